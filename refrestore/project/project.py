"""The project folder: what pass 1 found, what the user decided, all that pass 2 needs.

::

    project.sqlite           shots, tracks, faces, the log of edits
    scans/0001/references/   aligned crops, PNG
    scans/0001/thumbnails/   a picture per track, JPEG
    scans/0001/times         when every frame is shown
    scan.lock                held while a scan is written

Paths inside are relative: the folder can be copied elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from refrestore.config import ScanSettings
from refrestore.errors import DiskError, ProjectError
from refrestore.media.entries import Entries
from refrestore.media.files import publish
from refrestore.media.treatment import UNTREATED, Treatment
from refrestore.storage.images import read_crop, read_image
from refrestore.storage.lock import FileLock
from refrestore.types import Faces, ImageArray, Reference, Shot, Track

from . import columns
from .close_ups import CloseUpDecisions
from .damage import damaged
from .database import Database
from .folder import FILE, LOCK, PARTIAL, making
from .journal import Journal
from .scan_folder import leftovers, scan_folder, sweep, thumbnail_path
from .scan_info import ScanInfo
from .scanning import ScanWriter
from .times import TIMES, read_entries
from .timing import Timeline
from .video import VideoSource, pack_video, unpack_video

_Result = TypeVar("_Result")

_NUMBER = "(SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'scan')"
_CURRENT = f"WHERE scan = {_NUMBER}"
_CURRENT_ONE = f"WHERE id = {_NUMBER}"
"""The current scan, found in the query itself: another process may put a new one in place."""


class Project(CloseUpDecisions):
    """A video's scan and the user's decisions about it; a context manager.

    Reading is safe from several threads and while another process scans or edits. Opened on a
    folder that cannot be written to, it can still be read.

    Made by `Project.create`, `Project.open` or `Project.open_or_create`.
    """

    def __init__(self, folder: Path, database: Database) -> None:
        super().__init__(database, Journal(database))
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, video: VideoSource) -> Project:
        """Make a project in a new or empty folder.

        Raises
        ------
        ProjectError
            When the folder holds a project or other things already.
        DiskError
            When it cannot be written.
        """
        if not _make(Path(folder), video):
            raise ProjectError(f"{folder} is a project already: open it or choose another folder.")
        return cls.open(folder)

    @classmethod
    def exists(cls, folder: Path) -> bool:
        """Return whether a folder holds a project, whole or damaged.

        Raises
        ------
        ProjectError
            When the folder cannot be looked into.
        """
        try:
            return (Path(folder) / FILE).is_file()
        except OSError as error:
            raise ProjectError(f"{folder} cannot be read ({error.strerror}).") from error

    @classmethod
    def open(cls, folder: Path) -> Project:
        """Open a project.

        Raises
        ------
        ProjectError
            When there is none, it is damaged or of another schema.
        """
        folder = Path(folder)
        if not cls.exists(folder):
            raise ProjectError(
                f"There is no project in {folder}: make one with "
                f"`refrestore scan VIDEO -p {folder}`."
            )
        project = cls(folder, Database(folder / FILE))
        try:
            project._clean()
        except BaseException:
            project.close()
            raise
        return project

    @classmethod
    def open_or_create(cls, folder: Path, video: VideoSource) -> Project:
        """Open the project of this video, or make one where there is none.

        Raises
        ------
        ProjectError
            As `create`, `open` and `check_video`.
        """
        if not cls.exists(folder):
            _make(Path(folder), video)
        project = cls.open(folder)
        try:
            project.check_video(video.fingerprint, video.path)
            project.check_stream(video.stream)
        except BaseException:
            project.close()
            raise
        return project

    def close(self) -> None:
        """Close; from then on everything is in the files, and the folder can be copied."""
        self.database.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @property
    def video(self) -> VideoSource:
        """The video this project is about."""
        entry = self.database.meta("video")
        with self.database.trusting():
            return unpack_video(entry, self.folder)

    def check_video(self, fingerprint: str, path: Path | None = None) -> None:
        """Refuse another video.

        Raises
        ------
        ProjectError
            When the fingerprint is not that of the project's video.
        """
        video = self.video
        if fingerprint != video.fingerprint:
            other = "the video given" if path is None else str(path)
            raise ProjectError(
                f"The project {self.folder} is about {video.path.name}, and {other} is another "
                "video: choose its own project or a new folder."
            )

    def check_stream(self, stream: int | None) -> None:
        """Refuse another stream of the video: its pictures are of another film.

        Parameters
        ----------
        stream
            Index of the one that is wanted, None for the one that is taken unasked.

        Raises
        ------
        ProjectError
            When it is not the project's.
        """
        video = self.video
        if stream != video.stream:
            about = "the first choice" if video.stream is None else f"stream {video.stream}"
            raise ProjectError(
                f"The project {self.folder} is about {about} of the streams in {video.path.name}, "
                "and another is asked for: choose its own project or a new folder."
            )

    def begin_scan(
        self,
        settings: ScanSettings,
        *,
        recogniser: str = "",
        recogniser_digest: str = "",
        treatment: Treatment = UNTREATED,
    ) -> ScanWriter:
        """Start a scan that replaces the current one when, and only when, it ends well.

        Raises
        ------
        ProjectError
            When another scan of this project is running.
        """
        return ScanWriter(self, settings, recogniser, recogniser_digest, treatment)

    def scan_info(self) -> ScanInfo | None:
        """Return what is known of the current scan, None before the first."""
        rows = self.database.read(
            "scans",
            "id, settings, recogniser, started, frames, recogniser_digest, treatment",
            _CURRENT_ONE,
        )
        if not rows:
            self.scan_id()  # which says so where there should be one
            return None
        return ScanInfo(*rows[0])

    def shots(self) -> list[Shot]:
        """Return the shots, in order."""
        rows = self.database.read(
            "shots", "number, first, stop, start", f"{_CURRENT} ORDER BY number"
        )
        return [Shot(*row) for row in rows]

    def tracks(self, track_ids: Iterable[int] | None = None) -> list[Track]:
        """Return all tracks or those asked for, by ascending id."""
        rows = self.database.read(
            "tracks",
            "id, shot, first, stop, embedding, embedding_weight, quality, size, weak",
            f"{_CURRENT} ORDER BY id",
        )
        wanted = None if track_ids is None else set(track_ids)
        return [Track(*row) for row in rows if wanted is None or row[0] in wanted]

    def faces(
        self,
        track_ids: Iterable[int] | None = None,
        first: int | None = None,
        stop: int | None = None,
    ) -> Faces:
        """Return faces with their `track` column, by ascending track and frame.

        Parameters
        ----------
        track_ids
            Only these tracks.
        first, stop
            Only these frames, half open.
        """
        low = 0 if first is None else first
        high = np.iinfo(np.int64).max if stop is None else stop
        wanted = None if track_ids is None else sorted(set(track_ids))
        query = "WHERE scan = ? AND first < ? AND stop > ?"
        bounds = "" if first is None else f" AND first > {int(low) - columns.CHUNK}"
        with self.database.transaction():
            scan = self.scan_id()
            if wanted is None:
                values = (scan, int(high), int(low))
                rows = self._chunks(f"{query}{bounds} ORDER BY track, first", values)
            else:
                rows = [
                    row
                    for track in wanted
                    for row in self._chunks(
                        f"{query} AND track = ? ORDER BY first",
                        (scan, int(high), int(low), int(track)),
                    )
                ]
            if first is None and stop is None:
                counts = Counter[int]()
                for row in rows:
                    counts[row[0]] += len(row[1])
                self.check_counts(counts, wanted)
        tables = (
            columns.table(dict(zip(columns.COLUMNS, row[1:], strict=True)), row[0]) for row in rows
        )
        # What was drawn over an older scan has what that scan noted.
        return Faces.concatenate(
            (faces[(faces.frame >= low) & (faces.frame < high)] for faces in tables), common=True
        )

    def check_counts(
        self, counts: Mapping[int, int], track_ids: Iterable[int] | None = None
    ) -> None:
        """Refuse faces that are not those the tracks say they have.

        Parameters
        ----------
        counts
            Faces that were read, by track.
        track_ids
            The tracks they were read of, by default all.
        """
        told = dict(self.database.read("tracks", "id, faces", _CURRENT))
        asked = told if track_ids is None else {t: told[t] for t in track_ids if t in told}
        for track in sorted({*asked, *counts}):
            if counts.get(track, 0) != asked.get(track, 0):
                raise damaged(
                    self.database.path,
                    f"chunks: track {track} has {counts.get(track, 0)} faces and should have "
                    f"{asked.get(track, 0)}",
                )

    def references(self, identity_id: int) -> list[Reference]:
        """Return the references of an identity's tracks, best first; dropped ones are left out.

        Raises
        ------
        ProjectError
            When there is no such identity or a crop is missing.
        """
        return self._retry(lambda: self._references(identity_id))

    def thumbnail(self, track_id: int) -> ImageArray | None:
        """Return the (H, W, 3) RGB picture of a track, None where there is none."""
        path = thumbnail_path(scan_folder(self.folder, self.scan_id()), track_id)
        return read_image(path) if path.is_file() else None

    def entries(self) -> Entries:
        """Return the frames whose times are known: all, or where the scan is an older one, cuts."""
        with self.database.transaction():
            folder, shots = scan_folder(self.folder, self.scan_id()), self.shots()
        return read_entries(folder / TIMES, shots)

    def timeline(self) -> Timeline:
        """Return the map from frames to seconds."""
        info = self.scan_info()
        video = self.video
        frames = info.frames if info is not None and info.frames is not None else video.frames
        return Timeline(self.shots(), video, frames, self.rate)

    @property
    def rate(self) -> Fraction:
        """Frames per second, as the current scan read the film."""
        info = self.scan_info()
        return self.video.rate * (1 if info is None else info.treatment.frames)

    def _references(self, identity_id: int) -> list[Reference]:
        with self.database.transaction():
            tracks = self.identity(identity_id).tracks
            dropped = self.dropped_close_ups()
            folder = scan_folder(self.folder, self.scan_id())
            rows = [
                row
                for track in tracks
                for row in self.database.read(
                    "reference_crops",
                    "file, frame, landmarks, embedding, pose, sharpness, quality, native_size, "
                    "source, id",
                    "WHERE scan = ? AND track = ?",
                    (self.scan_id(), track),
                )
                if row[9] not in dropped
            ]
        return [
            Reference(
                image=read_crop(folder / row[0]),
                frame=row[1],
                landmarks=row[2],
                embedding=row[3],
                pose=row[4],
                sharpness=row[5],
                quality=row[6],
                native_size=row[7],
                source=row[8],
            )
            for row in sorted(rows, key=lambda row: (-row[6], row[9]))
        ]

    def _chunks(self, rest: str, values: tuple[int, ...]) -> list[tuple[Any, ...]]:
        names = ", ".join(("track", *columns.COLUMNS))
        return self.database.read("chunks", names, rest, values)

    def _retry(self, read: Callable[[], _Result]) -> _Result:
        """Read once more if another process put a new scan in place while we read the old."""
        before = self.scan_id()
        try:
            return read()
        except ProjectError:
            if self.scan_id() == before:
                raise
        return read()

    def _clean(self) -> None:
        """Sweep away the remains of a scan that was killed, if there is room to do so."""
        current = self.scan_id()
        killed = self.database.rows("SELECT 1 FROM scans WHERE id <> ? LIMIT 1", (current,))
        if not self.database.writable or not (killed or leftovers(self.folder, current)):
            return
        lock = FileLock(self.folder / LOCK)
        with suppress(DiskError):
            if lock.acquire():
                try:
                    sweep(self.database, self.folder)
                finally:
                    lock.release()


def _make(folder: Path, video: VideoSource) -> bool:
    """Make a project in a folder; return False if there is one, made by another process or not."""
    if Project.exists(folder):
        return False
    with making(folder) as free:
        if free:
            Database.create(
                folder / PARTIAL,
                {"video": pack_video(video, folder), "scan": "0", "next_identity": "1"},
            )
            publish(folder / PARTIAL, folder / FILE)
    return free
