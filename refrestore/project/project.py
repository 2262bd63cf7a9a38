"""The project folder: what pass 1 found, what the user decided, all that pass 2 needs.

::

    project.sqlite           shots, tracks, faces, the log of edits
    scans/0001/references/   aligned crops, PNG
    scans/0001/thumbnails/   a picture per track, JPEG
    scan.lock                held while a scan is written

Paths inside are relative: the folder can be copied elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np

from refrestore.config import ScanSettings
from refrestore.errors import DiskError, ProjectError
from refrestore.media.files import publish
from refrestore.types import Faces, ImageArray, Reference, Shot, Track

from . import columns
from .close_ups import CloseUpDecisions
from .database import Database
from .files import read_image
from .folder import FILE, LOCK, PARTIAL, making
from .journal import Journal
from .lock import FileLock
from .network import Network
from .scanning import (
    ScanWriter,
    leftovers,
    read_settings,
    scan_folder,
    sweep,
    thumbnail_path,
)
from .timing import Timeline
from .video import VideoSource, pack_video, unpack_video

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class ScanInfo:
    """What is known of the current scan.

    Parameters
    ----------
    id
        Its number; grows with every scan.
    settings
        What it was made with.
    recogniser
        Name of the network its embeddings are from; those of others cannot be compared.
    started
        When, ISO 8601 in UTC.
    frames
        Frames the video really has, None if not counted.
    recogniser_digest
        First 16 hexadecimal digits of the SHA-256 of the network's file, "" in a scan of a version
        that did not note it.
    """

    id: int
    settings: ScanSettings
    recogniser: str
    started: str
    frames: int | None
    recogniser_digest: str = ""

    @property
    def network(self) -> Network:
        """The network its embeddings are from."""
        return Network(self.recogniser, self.recogniser_digest)


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
        except BaseException:
            project.close()
            raise
        return project

    def close(self) -> None:
        """Close; from then on everything is in the files, and the folder can be copied."""
        self.database.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def video(self) -> VideoSource:
        """The video this project is about."""
        return unpack_video(self.database.meta("video"), self.folder)

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

    def begin_scan(
        self, settings: ScanSettings, *, recogniser: str = "", recogniser_digest: str = ""
    ) -> ScanWriter:
        """Start a scan that replaces the current one when, and only when, it ends well.

        Raises
        ------
        ProjectError
            When another scan of this project is running.
        """
        return ScanWriter(self, settings, recogniser, recogniser_digest)

    def scan_info(self) -> ScanInfo | None:
        """Return what is known of the current scan, None before the first."""
        rows = self.database.rows(
            "SELECT id, settings, recogniser, started, frames, recogniser_digest FROM scans "
            "WHERE id = (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'scan')"
        )
        if not rows:
            return None
        number, settings, *rest = rows[0]
        return ScanInfo(number, read_settings(settings), *rest)

    def shots(self) -> list[Shot]:
        """Return the shots, in order."""
        rows = self.database.rows(
            "SELECT number, first, stop, start FROM shots WHERE scan = "
            "(SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'scan') ORDER BY number"
        )
        return [Shot(number, first, stop, Fraction(start)) for number, first, stop, start in rows]

    def tracks(self, track_ids: Iterable[int] | None = None) -> list[Track]:
        """Return all tracks or those asked for, by ascending id."""
        rows = self.database.rows(
            "SELECT id, shot, first, stop, embedding, embedding_weight, quality, size, weak "
            "FROM tracks WHERE scan = "
            "(SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'scan') ORDER BY id"
        )
        wanted = None if track_ids is None else set(track_ids)
        return [
            Track(
                id=row[0],
                shot=row[1],
                first=row[2],
                stop=row[3],
                embedding=columns.unpack_embedding(row[4]),
                embedding_weight=row[5],
                quality=row[6],
                size=row[7],
                weak=bool(row[8]),
            )
            for row in rows
            if wanted is None or row[0] in wanted
        ]

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
        names = ", ".join(columns.COLUMNS)
        query = f"SELECT track, {names} FROM chunks WHERE scan = ? AND first < ? AND stop > ?"
        bounds = "" if first is None else f" AND first > {int(low) - columns.CHUNK}"
        with self.database.transaction():
            scan = self.scan_id()
            if track_ids is None:
                rows = self.database.rows(
                    f"{query}{bounds} ORDER BY track, first", (scan, int(high), int(low))
                )
            else:
                rows = [
                    row
                    for track in sorted(set(track_ids))
                    for row in self.database.rows(
                        f"{query} AND track = ? ORDER BY first",
                        (scan, int(high), int(low), int(track)),
                    )
                ]
        return Faces.concatenate(self._decode(row, int(low), int(high)) for row in rows)

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

    def timeline(self) -> Timeline:
        """Return the map from frames to seconds."""
        info = self.scan_info()
        video = self.video
        frames = info.frames if info is not None and info.frames is not None else video.frames
        return Timeline(self.shots(), video, frames)

    def _references(self, identity_id: int) -> list[Reference]:
        with self.database.transaction():
            tracks = self.identity(identity_id).tracks
            dropped = self.dropped_close_ups()
            folder = scan_folder(self.folder, self.scan_id())
            rows = [
                row
                for track in tracks
                for row in self.database.rows(
                    "SELECT file, frame, landmarks, embedding, pose, sharpness, quality, "
                    "native_size, source, id FROM reference_crops WHERE scan = ? AND track = ?",
                    (self.scan_id(), track),
                )
                if row[9] not in dropped
            ]
        return [
            Reference(
                image=read_image(folder / row[0]),
                frame=row[1],
                landmarks=np.frombuffer(row[2], "<f4").reshape(-1, 2),
                embedding=embedding,
                pose=np.frombuffer(row[4], "<f4"),
                sharpness=row[5],
                quality=row[6],
                native_size=row[7],
                source=row[8],
            )
            for row in sorted(rows, key=lambda row: (-row[6], row[9]))
            if (embedding := columns.unpack_embedding(row[3])) is not None
        ]

    def _decode(self, row: Sequence[object], low: int, high: int) -> Faces:
        track, *blobs = row
        try:
            faces = columns.decode(dict(zip(columns.COLUMNS, blobs, strict=True)), track)  # type: ignore[arg-type]
        except ValueError as error:
            raise ProjectError(
                f"{self.database.path} is damaged ({error}): scan the video again."
            ) from error
        return faces[(faces.frame >= low) & (faces.frame < high)]

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
