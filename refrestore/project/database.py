"""The project's SQLite file: schema, version, short transactions, errors in one sentence."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from refrestore.errors import DiskError, ProjectError
from refrestore.media.files import disk_error
from refrestore.storage.opening import connect, in_memory, is_of_disk
from refrestore.storage.private import PRIVATE_FILE
from refrestore.storage.sqlite_file import SqliteFile

from .checked_rows import meta_number, read_row
from .damage import DamageError, damaged

APPLICATION_ID = 0x72665270
""""rfRp", in the file's header, so that another program's database is not mistaken for ours."""

SCHEMA_VERSION = 3

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE scans (
    id INTEGER PRIMARY KEY AUTOINCREMENT, settings TEXT NOT NULL, recogniser TEXT NOT NULL,
    started TEXT NOT NULL, frames INTEGER, recogniser_digest TEXT NOT NULL DEFAULT '',
    treatment TEXT NOT NULL DEFAULT ''
);
CREATE TABLE shots (
    scan INTEGER NOT NULL, number INTEGER NOT NULL, first INTEGER NOT NULL, stop INTEGER NOT NULL,
    start TEXT NOT NULL, PRIMARY KEY (scan, number)
) WITHOUT ROWID;
CREATE TABLE tracks (
    scan INTEGER NOT NULL, id INTEGER NOT NULL, shot INTEGER NOT NULL, first INTEGER NOT NULL,
    stop INTEGER NOT NULL, faces INTEGER NOT NULL, embedding BLOB, embedding_weight REAL NOT NULL,
    quality REAL NOT NULL, size REAL NOT NULL, weak INTEGER NOT NULL, identity INTEGER,
    PRIMARY KEY (scan, id)
);
CREATE TABLE chunks (
    scan INTEGER NOT NULL, track INTEGER NOT NULL, first INTEGER NOT NULL, stop INTEGER NOT NULL,
    frame BLOB NOT NULL, box BLOB NOT NULL, keypoints BLOB NOT NULL, score BLOB NOT NULL,
    quality BLOB, sharpness BLOB, pose BLOB, embedding BLOB, landmarks BLOB,
    PRIMARY KEY (scan, track, first)
);
CREATE INDEX chunks_by_time ON chunks (scan, first, stop);
CREATE TABLE reference_crops (
    id INTEGER PRIMARY KEY AUTOINCREMENT, scan INTEGER NOT NULL, track INTEGER NOT NULL,
    file TEXT NOT NULL, frame INTEGER, landmarks BLOB NOT NULL, embedding BLOB NOT NULL,
    pose BLOB NOT NULL, sharpness REAL NOT NULL, quality REAL NOT NULL, native_size REAL NOT NULL,
    source TEXT NOT NULL
);
CREATE INDEX reference_crops_by_track ON reference_crops (scan, track);
CREATE TABLE log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, scan INTEGER NOT NULL, time TEXT NOT NULL,
    action TEXT NOT NULL, payload TEXT NOT NULL
);
CREATE TRIGGER log_keeps BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER log_stays BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'append only'); END;
"""

SCANNED_TABLES = ("reference_crops", "chunks", "tracks", "shots", "scans")
"""Tables whose rows belong to a scan, in the order in which to empty them."""

Migration = Callable[[sqlite3.Connection], None]


def _recogniser_by_digest(connection: sqlite3.Connection) -> None:
    """1 to 2: a scan says which file its recogniser was, "" where that was not noted."""
    connection.execute("ALTER TABLE scans ADD COLUMN recogniser_digest TEXT NOT NULL DEFAULT ''")


def _pictures_treated(connection: sqlite3.Connection) -> None:
    """2 to 3: a scan says what was done to the pictures, "" where that was nothing."""
    connection.execute("ALTER TABLE scans ADD COLUMN treatment TEXT NOT NULL DEFAULT ''")


MIGRATIONS: Mapping[int, Migration] = MappingProxyType(
    {1: _recogniser_by_digest, 2: _pictures_treated}
)
"""Step from version n to n + 1, run inside one transaction."""


class Database(SqliteFile):
    """One connection to a project's file, usable from several threads.

    Parameters
    ----------
    path
        The SQLite file; must exist.
    migrations
        Steps from older schemas.
    """

    failure = ProjectError

    def __init__(self, path: Path, migrations: Mapping[int, Migration] = MIGRATIONS) -> None:
        super().__init__(path)
        self._closed = False
        self._file: os.stat_result | None = None
        with self._explained():
            self._connection, self.writable = connect(path, APPLICATION_ID)
        try:
            with self._explained():
                self._check(migrations)
            self._file = path.stat()
        except OSError as error:
            self._connection.close()
            raise disk_error(path, error) from error
        except BaseException:
            self._connection.close()
            raise

    @staticmethod
    def create(path: Path, meta: Mapping[str, str]) -> None:
        """Write a new file with the current schema; `path` must be free and is not durable yet.

        Raises
        ------
        DiskError
            When it cannot be written.
        """
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
            connection = sqlite3.connect(path, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = MEMORY")  # half a file is thrown away
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
                connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            finally:
                connection.close()
        except OSError as error:
            raise disk_error(path, error) from error
        except sqlite3.Error as error:
            path.unlink(missing_ok=True)
            raise DiskError(
                f"Cannot write {path} ({error}): make room or choose another folder."
            ) from error

    def close(self) -> None:
        """Fold the write-ahead log into the file, so that the folder can be copied, and close."""
        with self._mutex, self._explained():
            if self._closed:
                return
            self._closed = True
            try:
                if self.writable:
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.OperationalError as error:
                if not is_of_disk(error):
                    raise
                # No room: it stays in the log beside the file, which is read as well.
            finally:
                self._connection.close()

    def begin(self, *, write: bool) -> None:
        """Begin a transaction, if what is written would be kept."""
        if write:
            self.check_there()
        super().begin(write=write)

    def read(
        self, table: str, names: str, rest: str = "", values: Sequence[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Return rows of one table, each value checked and unpacked by `rows.read_row`.

        Parameters
        ----------
        table
            Its name.
        names
            The columns, separated by commas.
        rest, values
            What follows the table in the query, and what is bound in it.

        Raises
        ------
        ProjectError
            When a value cannot be right.
        """
        found = self.rows(f"SELECT {names} FROM {table} {rest}", values)
        columns = names.split(", ")
        with self.trusting():
            return [read_row(table, columns, row) for row in found]

    @contextmanager
    def trusting(self) -> Iterator[None]:
        """Say of `DamageError` raised inside which file it is in, and the way back."""
        try:
            yield
        except DamageError as error:
            raise damaged(self.path, error) from error

    def execute(self, query: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; return the id of the row it inserted."""
        with self._mutex, self._explained():
            if not self._depth:
                self.check_there()
            return self._connection.execute(query, values).lastrowid or 0

    def check_there(self) -> None:
        """Refuse to go on with a file that is not in its place any more: nothing would be kept.

        Raises
        ------
        ProjectError
            When it was deleted, moved or replaced since it was opened.
        """
        if not self._is_there():
            raise self._gone()

    @property
    def mode(self) -> int:
        """Permissions of the file, which all others of the project have too, as SQLite's have."""
        try:
            return stat.S_IMODE(self.path.stat().st_mode) & 0o666
        except OSError:
            return PRIVATE_FILE

    def meta(self, key: str) -> str:
        """Return a setting of the file."""
        found = self.read("meta", "key, value", "WHERE key = ?", (key,))
        if not found:
            raise damaged(self.path, f"meta: {key} is missing")
        return str(found[0][1])

    def number(self, key: str) -> int:
        """Return a setting of the file that is a whole number."""
        written = self.meta(key)
        with self.trusting():
            return meta_number(key, written)

    def current_scan(self) -> int:
        """Return the number of the current scan, 0 before the first."""
        # In one query, or another process's new scan could come in between.
        found = self.rows(
            "SELECT EXISTS (SELECT 1 FROM scans WHERE id = CAST(value AS INTEGER)), value "
            "FROM meta WHERE key = 'scan'"
        )
        with self.trusting():
            number = meta_number("scan", found[0][1] if found else None)
            if number and not found[0][0]:
                raise DamageError(f"meta: scan {number} is the current one and is not there")
        return number

    def set_meta(self, key: str, value: str) -> None:
        """Store a setting of the file."""
        self.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def shrink(self) -> None:
        """Give pages of deleted rows back to the file system."""
        with self._mutex, self._explained():
            # `execute` would step once and free a single page.
            self._connection.executescript("PRAGMA incremental_vacuum")

    def _check(self, migrations: Mapping[int, Migration]) -> None:
        (application,) = self.rows("PRAGMA application_id")[0]
        if application != APPLICATION_ID:
            raise ProjectError(f"{self.path} is not a refrestore project.")
        version = self._version()
        if version > SCHEMA_VERSION:
            raise ProjectError(
                f"{self.path} was written by a newer refrestore (schema {version}, this one knows "
                f"{SCHEMA_VERSION}): update refrestore."
            )
        steps = range(version, SCHEMA_VERSION)
        if any(step not in migrations for step in steps):
            raise ProjectError(
                f"{self.path} was written by an older refrestore (schema {version}, this one knows "
                f"{SCHEMA_VERSION}) and cannot be converted: scan the video into a new project."
            )
        if steps:
            if not self.writable:
                self._copy_to_memory()
            with self.transaction(write=True):
                for step in range(self._version(), SCHEMA_VERSION):  # another process may have
                    migrations[step](self._connection)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        if not self.writable:
            self._connection.execute("PRAGMA query_only = ON")  # it may be a copy in memory

    def _version(self) -> int:
        return int(self.rows("PRAGMA user_version")[0][0])

    def _copy_to_memory(self) -> None:
        """Go on with a copy that can be converted, as the file itself cannot be written to."""
        copy = in_memory(self._connection)
        self._connection.close()
        self._connection = copy

    def _is_there(self) -> bool:
        if self._file is None:
            return True
        try:
            return os.path.samestat(self._file, self.path.stat())
        except OSError:
            return False

    def _gone(self) -> ProjectError:
        return ProjectError(
            f"The project {self.path.parent} was deleted, moved or replaced while it was in use: "
            "what was done since is lost; put it back or begin again."
        )

    def damage(self, text: object) -> ProjectError:
        """Return the sentence for a damaged file."""
        return damaged(self.path, text)

    def mistaken(self, error: sqlite3.Error) -> ProjectError | None:
        """Return what is said where the file is not in its place any more."""
        return None if self._is_there() else self._gone()
