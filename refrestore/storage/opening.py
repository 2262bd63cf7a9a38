"""Connect to an SQLite file: to write, or to read where nothing can be written."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from refrestore.errors import DiskError

BUSY_SECONDS = 30.0
"""How long to wait for another process's write; ours last milliseconds."""

_DISK = ("full", "readonly", "disk I/O", "unable to open")
"""Parts of SQLite's messages that speak of the disk or of permissions, not of the content."""


def connect(path: Path, application: int) -> tuple[sqlite3.Connection, bool]:
    """Return a connection and whether it can write.

    What another process wrote and could not fold into the file any more is read in both cases.

    Parameters
    ----------
    path
        The file.
    application
        Number in the header of a file that is ours; nothing is changed in another program's.

    Raises
    ------
    sqlite3.Error
        When it cannot be read.
    DiskError
        When the last edits can only be read with room that is nowhere.
    """
    if may_write(path):
        try:
            return _for_writing(path, application), True
        except sqlite3.OperationalError as error:
            if not is_of_disk(error):
                raise
    return _for_reading(path), False


def is_of_disk(error: sqlite3.Error) -> bool:
    """Return whether an error is about room, permissions or the device."""
    return any(part in str(error) for part in _DISK)


def may_write(path: Path) -> bool:
    """Return whether a file's permissions let us write it; its folder's show when it is opened."""
    try:
        with path.open("r+b"):
            return True
    except OSError:
        return False


def write_ahead_log(path: Path) -> Path:
    """Return the file in which SQLite keeps what is not yet folded into the database."""
    return path.with_name(f"{path.name}-wal")


def copy_database(path: Path, target: Path) -> None:
    """Copy a database with what is not yet folded into it."""
    shutil.copyfile(path, target)
    if _has_content(write_ahead_log(path)):
        shutil.copyfile(write_ahead_log(path), write_ahead_log(target))


def _for_writing(path: Path, application: int) -> sqlite3.Connection:
    connection = _connect(path, "mode=rw")
    try:
        if connection.execute("PRAGMA application_id").fetchone() == (application,):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        _touch(connection)  # makes the files that WAL needs beside the database
    except BaseException:
        connection.close()
        raise
    return connection


def _for_reading(path: Path) -> sqlite3.Connection:
    """Connect without writing: WAL needs to write beside the file even to read.

    `immutable` does without, but overlooks what is not folded into the file.
    """
    unfolded = write_ahead_log(path)
    if unfolded.exists():
        connection = _connect(path, "mode=ro")
        try:
            _touch(connection)
        except sqlite3.OperationalError:
            connection.close()
        else:
            return connection
        if _has_content(unfolded):
            return _copied(path)
    return _connect(path, "mode=ro&immutable=1")


def _copied(path: Path) -> sqlite3.Connection:
    """Return a copy in memory with all that is not folded into the file."""
    try:
        if may_write(path):  # the disk is full
            return _copied_alone(path)
        with tempfile.TemporaryDirectory(prefix="refrestore-") as folder:
            copy_database(path, Path(folder) / path.name)
            return _copied_alone(Path(folder) / path.name)
    except (OSError, sqlite3.OperationalError) as error:
        raise DiskError(
            f"The last edits of {path} cannot be read ({error}), as nothing can be written beside "
            "it: make room or copy the folder elsewhere."
        ) from error


def _copied_alone(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "mode=rw", timeout=0)
    try:
        # Whoever is alone keeps the index of the log in memory instead of in a file.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        return in_memory(connection)
    finally:
        connection.close()


def in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy of a database in memory."""
    copy = sqlite3.connect(
        ":memory:", isolation_level=None, check_same_thread=False, factory=_LegibleConnection
    )
    connection.backup(copy)
    return copy


def _touch(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


class _LegibleConnection(sqlite3.Connection):
    """A connection whose complaints can be read, whatever a damaged schema makes SQLite quote."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run a statement."""
        try:
            return super().execute(sql, parameters)
        except UnicodeDecodeError as error:
            raise sqlite3.DatabaseError("malformed database schema") from error


def _connect(path: Path, options: str, *, timeout: float = BUSY_SECONDS) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?{options}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        factory=_LegibleConnection,
    )
