"""What the answers share: the open project, what was read of it, the work under way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from refrestore.batch.queue import Queue
from refrestore.batch.queued_film import QueuedFilm
from refrestore.errors import RefrestoreError
from refrestore.project import Project

from .estimate import Planner
from .jobs import Jobs
from .photo_desk import PhotoDesk
from .profile_index import ProfileIndex
from .reading import ProjectView, Reader
from .refusals import NotFoundError, StaleError
from .review_settings import ReviewSettings
from .scan_cache import ScanCache
from .studio import Studio
from .thumbnails import COVER, PictureCache, small_jpeg
from .words import edit_words

FIRST_FACES = 32
"""Faces made small before the page asks: a window of 1920 x 1080 shows 28."""


@dataclass(frozen=True)
class FilmInQueue:
    """A film's number in a queue."""

    queue: Queue
    number: int

    @property
    def now(self) -> QueuedFilm:
        """The film as it is now."""
        return self.queue.film(self.number)


@dataclass(frozen=True, eq=False)
class PageState:
    """One running review."""

    settings: ReviewSettings
    project: Project
    profile_index: ProfileIndex
    reader: Reader
    pictures: PictureCache
    jobs: Jobs
    studio: Studio
    planner: Planner
    photos: PhotoDesk
    film: FilmInQueue | None = None

    @classmethod
    def of(
        cls, settings: ReviewSettings, project: Project, film: FilmInQueue | None = None
    ) -> PageState:
        """Return the state of the page of a project, and of a film in a queue if it is one's."""
        profile_index = ProfileIndex(settings.profiles)
        reader = Reader(project, profile_index)
        studio = Studio(settings, profile_index)
        photos = PhotoDesk(settings.runtime, profile_index.store)
        return cls(
            settings,
            project,
            profile_index,
            reader,
            PictureCache(),
            Jobs(),
            studio,
            Planner(),
            photos,
            film,
        )

    def warm(self) -> None:
        """Read what the first view shows, so that it need not wait for that."""
        threading.Thread(target=self._first_faces, name="first faces", daemon=True).start()
        self.reader.warm()

    def _first_faces(self) -> None:
        view = self.reader.view()
        longest = sorted(view.identities.values(), key=lambda one: -one.seconds)
        covers = [view.cover(identity) for identity in longest[:FIRST_FACES]]
        with suppress(RefrestoreError):  # who asks for it is told
            for cover in covers:
                if cover is not None:
                    self.close_up(view.scanned, cover.id, COVER)

    def close_up(self, scanned: ScanCache, number: int, size: int) -> bytes:
        """Return the JPEG of a scan's close-up, `size` pixels wide and high."""
        path = scanned.folder / scanned.close_up_files[number].file
        return self.pictures.get((scanned.scan, number, size), lambda: small_jpeg(path, size))

    def close(self) -> None:
        """End what is under way; the project itself stays open."""
        self.jobs.stop()
        self.studio.close()

    @property
    def output_folder(self) -> Path:
        """Where renders are written."""
        if self.settings.output is not None:
            return self.settings.output.resolve().parent
        return self.project.folder.resolve().parent

    @contextmanager
    def change(self, version: str) -> Iterator[None]:
        """Hold the project for a change that was decided on at a version.

        Raises
        ------
        StaleError
            When the project is not at that version any more.
        """
        with self.project.database.transaction(write=True):
            now = self.reader.version()
            if now != version:
                raise StaleError(now)
            yield

    def said_between(self, before: int, after: int) -> list[str]:
        """Return in words the edits made after one entry of the log and up to another."""
        names = {one.id: one.name for one in self.reader.view().identities.values()}
        made = [one for one in self.project.edits() if before < one.id <= after]
        return [edit_words(one, names) for one in made]

    def view_of_scan(self, scan: int) -> ProjectView:
        """Return the project, if this is its current scan.

        Raises
        ------
        NotFoundError
            When it is not.
        """
        view = self.reader.view()
        if view.scanned.scan != scan:
            raise NotFoundError("This scan is not the current one: load the page again.")
        return view
