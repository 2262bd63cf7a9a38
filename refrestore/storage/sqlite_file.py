"""An SQLite file for several threads: short transactions, errors in one sentence."""

from __future__ import annotations

import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from refrestore.errors import DiskError, RefrestoreError

from .opening import BUSY_SECONDS, is_of_disk


class SqliteFile(ABC):
    """One connection to a file, usable from several threads; what it holds is its heirs' affair.

    Parameters
    ----------
    path
        The file.
    """

    failure: ClassVar[type[RefrestoreError]]
    """What is wrong with such files."""

    _connection: sqlite3.Connection

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.RLock()
        self._depth = 0

    @property
    def called(self) -> str:
        """What the file is called in sentences."""
        return str(self.path)

    @abstractmethod
    def damage(self, text: object) -> RefrestoreError:
        """Return the sentence for a file whose content cannot be right, and the way back."""

    def mistaken(self, error: sqlite3.Error) -> RefrestoreError | None:
        """Return what is said where the file is not, or no more, the one that is meant."""
        return None

    def begin(self, *, write: bool) -> None:
        """Begin a transaction."""
        self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")

    @contextmanager
    def transaction(self, *, write: bool = False) -> Iterator[None]:
        """Make what is done inside one unit: a consistent view, and all written or nothing."""
        with self._mutex, self._explained():
            if self._depth:
                yield
                return
            self.begin(write=write)
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

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._mutex, self._explained():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a bug, or use after close
        except sqlite3.Error as error:
            if (mistake := self.mistaken(error)) is not None:
                raise mistake from error
            if is_of_disk(error):
                raise DiskError(
                    f"Cannot write {self.called} ({error}): make room or check its permissions."
                ) from error
            if "locked" in str(error):
                raise self.failure(
                    f"{self.called} has been busy for {BUSY_SECONDS:.0f} s: "
                    "close the other program that uses it."
                ) from error
            raise self.damage(error) from error
