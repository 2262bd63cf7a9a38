"""The queue's SQLite file: schema, version, short transactions, errors in one sentence."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from refrestore.errors import BatchError
from refrestore.file_names import readable_name
from refrestore.media.files import disk_error
from refrestore.plain_file import check_plain
from refrestore.storage.opening import BUSY_SECONDS
from refrestore.storage.private import PRIVATE_FILE
from refrestore.storage.sqlite_file import SqliteFile

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


class QueueFile(SqliteFile):
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

    failure = BatchError

    def __init__(self, path: Path, *, make: bool = False) -> None:
        super().__init__(Path(path).absolute())
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

    def execute(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run a statement inside a transaction; return the id of the row it inserted."""
        return self._connection.execute(statement, values).lastrowid or 0

    def begin(self, *, write: bool) -> None:
        """Begin a transaction: a look at the queue is followed by a change of it."""
        super().begin(write=True)

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
                f"There is no queue {self.called}: make one with `refrestore batch add`."
            ) from error
        except OSError as error:
            raise BatchError(
                f"The queue {self.called} cannot be read: {error.strerror}."
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
                f"The queue {self.called} was written by a newer refrestore (schema "
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

    @property
    def called(self) -> str:
        """What the file is called in sentences."""
        return readable_name(self.path)

    def mistaken(self, error: sqlite3.Error) -> BatchError | None:
        """Return what is said of a file that is no database."""
        return self._not_ours() if "not a database" in str(error) else None

    def damage(self, text: object) -> BatchError:
        """Return the sentence for a file whose content cannot be right."""
        return BatchError(
            f"The queue {self.called} is damaged ({text}): remove it and add the "
            "films again; their scans are used."
        )

    def _not_ours(self) -> BatchError:
        return BatchError(f"{self.called} is not a queue of refrestore.")
