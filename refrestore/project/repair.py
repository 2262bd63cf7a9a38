"""Find what is damaged in a project, and restore what can be restored: the log above all."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from refrestore.errors import DiskError, ProjectError, RefrestoreError
from refrestore.media.files import disk_error, publish
from refrestore.plain_text import counted
from refrestore.storage.lock import FileLock
from refrestore.storage.opening import connect, copy_database, is_of_disk, write_ahead_log

from .assess import Assessment, Problem, assess
from .checked_rows import TABLES
from .database import APPLICATION_ID, SCANNED_TABLES, SCHEMA_VERSION, Database
from .folder import FILE, LOCK, PARTIAL, SPOOL
from .project import Project
from .salvage import Salvage, renew_first_page
from .video import VideoSource, pack_video, unpack_video

BACKUP = "project.damaged-{time}.sqlite"
"""The damaged file, kept beside the project's."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What `check` found.

    Parameters
    ----------
    problems
        What is damaged.
    advice
        What is not damaged and might be meant otherwise.
    """

    problems: tuple[Problem, ...]
    advice: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repaired:
    """What `repair` did.

    Parameters
    ----------
    backup
        Copy of the damaged file, None where nothing was wrong.
    kept, lost, next
        Sentences: what was kept, what was lost, what to do now.
    """

    backup: Path | None
    kept: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    next: tuple[str, ...] = ()


def check(folder: Path) -> Findings:
    """Say what is damaged in a project. Nothing is changed.

    Raises
    ------
    ProjectError
        When there is no project.
    """
    path = _file(folder)
    advice = tuple(_advice(folder, path))
    try:
        connection, _ = connect(path, APPLICATION_ID)
    except sqlite3.Error as error:
        if is_of_disk(error):
            raise DiskError(f"Cannot read {path} ({error}): make room.") from error
        return Findings((Problem("file", f"SQLite: {error}"),), advice)
    salvage = Salvage(connection)
    try:
        connection.execute("BEGIN")  # one view of it, whoever edits or scans meanwhile
        problems = assess(salvage, folder).problems
    except sqlite3.Error as error:
        problems = [Problem("file", f"SQLite: {error}")]
    finally:
        salvage.close()
    if not problems:
        problems = _opens(folder)
    return Findings(tuple(problems), advice)


def repair(folder: Path, video: VideoSource | None = None) -> Repaired:
    """Restore what can be restored of a damaged project.

    The damaged file is kept under another name. All edits that can be read stay. A scan stays if
    all of it is right but close-ups, of which those that are not are left out; else it is left out
    as a whole, and a new scan finds the faces again that the edits are about.

    Parameters
    ----------
    folder
        The project's.
    video
        The video it is about, if it does not know that any more.

    Raises
    ------
    ProjectError
        When there is no project, it is being scanned, it is another program's file or a newer
        version's, or it needs the video.
    DiskError
        When there is no room: about twice that of the project's file.
    """
    path = _file(folder)
    lock = FileLock(folder / LOCK)
    lock.acquire_or_refuse(folder)
    try:
        with tempfile.TemporaryDirectory(
            prefix=SPOOL, dir=folder, ignore_cleanup_errors=True
        ) as room:
            return _Repair(folder, path, Path(room), video).run()
    except OSError as error:
        raise disk_error(folder, error) from error
    finally:
        lock.release()


class _Repair:
    def __init__(self, folder: Path, path: Path, room: Path, video: VideoSource | None) -> None:
        self._folder, self._path, self._room, self._video = folder, path, room, video
        self._kept: list[str] = []
        self._lost: list[str] = []
        self._next: list[str] = []

    def run(self) -> Repaired:
        before = _state(self._path)
        with self._read() as salvage:
            found = assess(salvage, self._folder)
            if not found.problems:
                if not _opens(self._folder):
                    return Repaired(None)
                before = _state(self._path)  # opening may have folded the last edits in
            entry = self._entry(found)
            fresh = self._room / PARTIAL
            self._write(fresh, salvage, found, entry)
        self._verify(fresh)
        backup = self._folder / BACKUP.format(time=f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}")
        copy_database(self._path, backup)
        for copy in (backup, write_ahead_log(backup)):
            if copy.exists():
                copy.chmod(stat.S_IMODE(self._path.stat().st_mode))
                publish(copy, copy)
        if _state(self._path) != before:
            raise ProjectError(
                f"{self._path} was changed while it was repaired: close the program that uses it "
                "and repair it again."
            )
        fresh.chmod(stat.S_IMODE(self._path.stat().st_mode))
        # What was not folded in belongs to the damaged file, and is in its copy.
        for suffix in ("-wal", "-shm", "-journal"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        publish(fresh, self._path)
        for picture in found.thumbnails:
            picture.unlink(missing_ok=True)
        self._kept.append(f"The damaged file is kept as {backup}.")
        return Repaired(backup, tuple(self._kept), tuple(self._lost), tuple(self._next))

    @contextmanager
    def _read(self) -> Iterator[Salvage]:
        """Open a copy of the damaged file, with a new first page where that is what is broken."""
        copy = self._room / FILE
        copy_database(self._path, copy)
        salvage = _opened(copy)
        if salvage is not None and salvage.foreign():
            salvage.close()
            raise ProjectError(f"{self._path} is not a refrestore project: there is nothing to do.")
        version = None if salvage is None else salvage.pragma("user_version")
        if salvage is not None and (version or 0) > SCHEMA_VERSION and salvage.unknown():
            salvage.close()
            raise ProjectError(
                f"{self._path} was written by a newer refrestore (schema {version}): update "
                "refrestore and repair it with that."
            )
        if salvage is None or len(salvage.missing()) == len(TABLES):
            if salvage is not None:
                salvage.close()
            copy_database(self._path, copy)
            renew_first_page(copy, self._room)
            salvage = _opened(copy)
        if salvage is None:
            raise ProjectError(f"Nothing of {self._path} can be read: scan into a new folder.")
        try:
            yield salvage
        finally:
            salvage.close()

    def _entry(self, found: Assessment) -> str:
        """Return the entry about the video."""
        if found.video is None and self._video is None:
            raise ProjectError(
                f"{self._path} does not know its video any more: `refrestore project repair "
                f"{self._folder} --video FILE` says which it is."
            )
        if found.video is not None:
            known = unpack_video(found.video, self._folder)
            if self._video is not None and self._video.fingerprint != known.fingerprint:
                raise ProjectError(
                    f"The project {self._folder} is about {known.path.name}, and "
                    f"{self._video.path} is another video."
                )
            return found.video
        assert self._video is not None
        self._lost.append(
            f"The entry about the video was lost: {self._video.path} was taken at your word."
        )
        return pack_video(self._video, self._folder)

    def _write(self, fresh: Path, salvage: Salvage, found: Assessment, entry: str) -> None:
        Database.create(
            fresh,
            {
                "video": entry,
                "scan": str(found.scan or 0),
                "next_identity": str(found.next_identity),
            },
        )
        database = Database(fresh)
        try:
            with database.transaction(write=True):
                for row in found.log:
                    _insert(database, "log", row)
                if found.scan:
                    self._copy_scan(database, salvage, found)
                for table, last in found.last.items():
                    # Numbers are never given again: edits say which scan they were made on.
                    database.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
                    database.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, last))
        finally:
            database.close()
        self._tell(found)

    @staticmethod
    def _copy_scan(database: Database, salvage: Salvage, found: Assessment) -> None:
        right = set(found.references)
        for table in SCANNED_TABLES:
            for row in salvage.rows(table):
                number = row["id" if table == "scans" else "scan"]
                if number == found.scan and (table != "reference_crops" or row["id"] in right):
                    _insert(database, table, row)

    def _tell(self, found: Assessment) -> None:
        self._kept.append(
            f"{counted(len(found.log), 'entry', 'entries')} of the log of edits kept."
        )
        if found.aside:
            numbers = ", ".join(map(str, found.aside))
            self._lost.append(
                f"{counted(len(found.aside), 'entry', 'entries')} of the log could not be read and "
                f"have no effect any more (number {numbers})."
            )
        if found.scan:
            self._kept.append("The scan is kept.")
        elif found.scan is None:
            self._lost.append("The scan could not be trusted and was left out.")
            self._next.append(
                f"`refrestore scan VIDEO -p {self._folder}` finds the people again; the edits are "
                "applied to them."
            )
        if found.dropped:
            self._lost.append(
                f"{counted(len(found.dropped), 'close-up')} could not be read and were left out."
            )
            self._next.append(
                f"`refrestore scan VIDEO -p {self._folder}` takes the close-ups again."
            )
        if found.thumbnails:
            self._lost.append(
                f"{counted(len(found.thumbnails), 'picture')} of tracks could not be "
                "read and were removed."
            )

    def _verify(self, fresh: Path) -> None:
        connection, _ = connect(fresh, APPLICATION_ID)
        salvage = Salvage(connection)
        try:
            left = [
                one for one in assess(salvage, self._folder).problems if one.table != "pictures"
            ]
        finally:
            salvage.close()
        if left:
            raise ProjectError(
                f"{self._path} cannot be repaired ({left[0].text}); it is as it was: scan into a "
                "new folder."
            )


def _state(path: Path) -> list[tuple[int, int]]:
    """Return what changes with every edit that somebody else makes."""
    files = [path, write_ahead_log(path)]
    return [(one.stat().st_mtime_ns, one.stat().st_size) for one in files if one.exists()]


def _opened(path: Path) -> Salvage | None:
    try:
        connection, _ = connect(path, APPLICATION_ID)
        return Salvage(connection)
    except sqlite3.Error as error:
        if is_of_disk(error):
            raise DiskError(f"Cannot write {path} ({error}): make room.") from error
        return None


def _insert(database: Database, table: str, row: dict[str, Any]) -> None:
    names = [name for name in TABLES[table] if name in row]
    database.execute(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        [row[name] for name in names],
    )


def _opens(folder: Path) -> list[Problem]:
    """Return what reading finds that looking at each table did not."""
    try:
        with contextlib.closing(Database(folder / FILE)) as database:
            project = Project(folder, database)
            for person in project.identities():
                project.references(person.id)
            project.close_ups()
            project.unresolved()
    except DiskError:
        raise
    except RefrestoreError as error:
        return [Problem("file", str(error))]
    return []


def _file(folder: Path) -> Path:
    if not Project.exists(folder):
        raise ProjectError(f"There is no project in {folder}.")
    return folder / FILE


def _advice(folder: Path, path: Path) -> Iterator[str]:
    if os.name == "posix":
        modes = {one: stat.S_IMODE(one.stat().st_mode) for one in (folder, path)}
        if modes[folder] & 0o055 and modes[path] & 0o044:
            yield (
                f"Others on this machine can read {folder}, which holds faces and names: "
                f"`chmod -R go= {folder}` makes it private."
            )
