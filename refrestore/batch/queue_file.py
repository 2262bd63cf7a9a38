"""The queue's SQLite file: schema, version, short transactions, errors in one sentence."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refrestore.errors import BatchError, DiskError
from refrestore.file_names import readable_name
from refrestore.media.files import disk_error
from refrestore.plain_file import check_plain
from refrestore.project.opening import BUSY_SECONDS, is_of_disk
from refrestore.storage.private import PRIVATE_FILE

APPLICATION_ID = 0x72665271
""""rfRq", in the file's header."""

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE films (
    id INTEGER PRIMARY KEY AUTOINCREMENT, video TEXT NOT NULL UNIQUE, output TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL, options TEXT NOT NULL, priority INTEGER NOT NULL, added TEXT NOT NULL,
    step TEXT NOT NULL DEFAULT 'scan', runner INTEGER, failure TEXT, stage TEXT,
    done INTEGER NOT NULL DEFAULT 0, total INTEGER, before TEXT, people TEXT NOT NULL DEFAULT '[]',
    result TEXT, owed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX films_by_turn ON films (priority DESC, id);
CREATE INDEX films_by_runner ON films (runner) WHERE runner IS NOT NULL;
CREATE TABLE folders (
    folder TEXT PRIMARY KEY, output TEXT NOT NULL, options TEXT NOT NULL, priority INTEGER NOT NULL
) WITHOUT ROWID;
"""


class QueueFile:
    """One connection to a queue's file; for several threads, beside other processes.

    Parameters
    ----------
    path
        The file.
    make
        Whether it is made where there is none.

    Raises
    ------
    BatchError
        If it is missing, damaged, another program's, or of a newer refrestore.
    DiskError
        If it cannot be written.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self.path = Path(path).absolute()
        self._mutex = threading.RLock()
        self._depth = 0
        if make:
            self._begin_file()
        self._check_file()
        with self._explained():
            self._connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._explained():
                self._check(make)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            self._connection.close()

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._mutex, self._explained():
            return self._connection.execute(query, values).fetchall()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run a statement inside a transaction; return the id of the row it inserted."""
        return self._connection.execute(statement, values).lastrowid or 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is done inside one unit, after which it is on the disk or not at all."""
        with self._mutex, self._explained():
            if self._depth:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    def _begin_file(self) -> None:
        """Make an empty file that is its owner's alone: it says who is in which film."""
        try:
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
        except FileExistsError:
            return
        except OSError as error:
            raise disk_error(self.path, error) from error

    def _check_file(self) -> None:
        try:
            check_plain(self.path)
        except FileNotFoundError as error:
            raise BatchError(
                f"There is no queue {readable_name(self.path)}: make one with "
                "`refrestore batch add`."
            ) from error
        except OSError as error:
            raise BatchError(
                f"The queue {readable_name(self.path)} cannot be read: {error.strerror}."
            ) from error

    def _check(self, make: bool) -> None:
        """Make the tables of a new file; refuse another program's and a newer one's."""
        (application,) = self.rows("PRAGMA application_id")[0]
        (version,) = self.rows("PRAGMA user_version")[0]
        empty = not self.rows("SELECT 1 FROM sqlite_master LIMIT 1")
        if make and empty and application in (0, APPLICATION_ID):
            self._make()
            return
        if application != APPLICATION_ID:
            raise self._not_ours()
        if version > SCHEMA_VERSION:
            raise BatchError(
                f"The queue {readable_name(self.path)} was written by a newer refrestore (schema "
                f"{version}, this one knows {SCHEMA_VERSION}): update refrestore."
            )
        self._connection.execute("PRAGMA synchronous = NORMAL")

    def _make(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        with self.transaction():
            if not self.rows("SELECT 1 FROM sqlite_master LIMIT 1"):  # another process was faster
                for statement in SCHEMA.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a bug, or use after close
        except sqlite3.Error as error:
            if "not a database" in str(error):
                raise self._not_ours() from error
            if is_of_disk(error):
                raise DiskError(
                    f"Cannot write {readable_name(self.path)} ({error}): make room or check its "
                    "permissions."
                ) from error
            if "locked" in str(error):
                raise BatchError(
                    f"{readable_name(self.path)} has been busy for {BUSY_SECONDS:.0f} s: close the "
                    "other program that uses it."
                ) from error
            raise self.damaged(str(error)) from error

    def damaged(self, text: str) -> BatchError:
        """Return the sentence for a file whose content cannot be right."""
        return BatchError(
            f"The queue {readable_name(self.path)} is damaged ({text}): remove it and add the "
            "films again; their scans are used."
        )

    def _not_ours(self) -> BatchError:
        return BatchError(f"{readable_name(self.path)} is not a queue of refrestore.")
