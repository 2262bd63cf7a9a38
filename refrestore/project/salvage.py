"""Read what can be read of a project's file, however damaged it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .checked_rows import TABLES
from .database import Database

Row = dict[str, Any]
"""A row as it is stored, by column: nothing in it is checked."""

_MOST_LOOKUPS = 200_000
"""Rows that are looked for one by one where the way to them is broken."""

_LARGEST_INTEGRITY_LIST = 10

_PAGE = 4096
"""Bytes of a page: SQLite's own choice since 2016, and nobody made another."""

_DEFAULTS: Row = {"recogniser_digest": "", "treatment": ""}
"""Columns that an older version did not have."""

_HEADER_PAGES, _HEADER_FREE = slice(28, 32), slice(32, 40)
"""Number of pages; first of the unused pages and how many (SQLite's file format, 1.3)."""


class Salvage:
    """A connection that gives each table's rows as far as they can be read.

    Parameters
    ----------
    connection
        To the damaged file.

    Attributes
    ----------
    broken
        Why a table could not be read to its end, by table; complete after all were read.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._connection.text_factory = _text
        self.broken: dict[str, str] = {}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def pragma(self, name: str) -> int | None:
        """Return a number of the file's header, None if it cannot be read."""
        try:
            return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
        except (sqlite3.Error, TypeError, ValueError):
            return None

    def integrity(self) -> list[str]:
        """Return what SQLite itself finds wrong."""
        try:
            found = self._connection.execute(f"PRAGMA integrity_check({_LARGEST_INTEGRITY_LIST})")
            return [str(line) for (line,) in found if line != "ok"]
        except sqlite3.Error as error:
            return [str(error)]

    def missing(self) -> list[str]:
        """Return the tables that are not there, or not with all of their columns."""
        return [table for table in TABLES if not self._complete(table)]

    def unknown(self) -> bool:
        """Return whether there are columns that this version does not know."""
        return any(set(self._columns(table)) - set(checks) for table, checks in TABLES.items())

    def foreign(self) -> bool:
        """Return whether this is a whole database of something else."""
        try:
            names = {row[0] for row in self._connection.execute("SELECT name FROM sqlite_master")}
        except sqlite3.Error:
            return False
        return bool(names) and not names & {"meta", "log"}

    def sequence(self, table: str) -> int:
        """Return the largest number that a table ever gave, 0 if that is not known."""
        try:
            found = self._connection.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)
            ).fetchone()
        except sqlite3.Error:
            return 0
        return found[0] if found and type(found[0]) is int and 0 <= found[0] < 2**53 else 0

    def rows(self, table: str) -> Iterator[Row]:
        """Yield the rows of a table, first those before a break, at last those behind it."""
        if not self._complete(table):
            return
        key = {"meta": "key", "shots": "scan, number"}.get(table, "rowid")
        seen: set[Any] = set()
        yield from self._walk(table, key, "", seen)
        if table not in self.broken:
            return
        ahead = max((one for one in seen if isinstance(one, int)), default=0)
        behind: list[Row] = list(self._walk(table, key, "DESC", seen))
        if key == "rowid":
            later = [one for one in seen if isinstance(one, int) and one > ahead]
            end = min(later, default=self.sequence(table) + 1)
            for number in range(ahead + 1, min(end, ahead + _MOST_LOOKUPS)):
                yield from self._walk(table, key, "", seen, f"WHERE rowid = {number}")
        yield from behind

    def _walk(
        self, table: str, key: str, order: str, seen: set[Any], where: str = ""
    ) -> Iterator[Row]:
        ordered = ", ".join(f"{part} {order}" for part in key.split(", "))
        try:
            found = self._connection.execute(
                f"SELECT {key}, * FROM {table} {where} ORDER BY {ordered}"
            )
            parts = len(key.split(", "))
            names = [column[0] for column in found.description][parts:]
            for values in found:
                place = values[0] if parts == 1 else values[:parts]
                if place in seen:
                    return
                seen.add(place)
                yield {**_DEFAULTS, **dict(zip(names, values[parts:], strict=True))}
        except sqlite3.Error as error:
            self.broken.setdefault(table, str(error))

    def _columns(self, table: str) -> list[str]:
        try:
            return [row[1] for row in self._connection.execute(f"PRAGMA table_info({table})")]
        except sqlite3.Error:
            return []

    def _complete(self, table: str) -> bool:
        return set(TABLES[table]) <= {*self._columns(table), *_DEFAULTS}


def renew_first_page(path: Path, folder: Path) -> None:
    """Give a file the first page of a new project, which says where the tables begin.

    All projects are made alike, so their tables begin in the same places. Pages that the file has
    not any more are a new project's too.

    Parameters
    ----------
    path
        The file; it is changed.
    folder
        Where to make the new project's file.
    """
    fresh = folder / "fresh.sqlite"
    Database.create(fresh, {})
    content = bytearray(fresh.read_bytes())
    fresh.unlink()
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.write(content[size:])
        pages = max(size, len(content)) // _PAGE
        content[_HEADER_PAGES] = pages.to_bytes(4, "big")
        content[_HEADER_FREE] = bytes(8)
        file.seek(0)
        file.write(content[:_PAGE])


def _text(content: bytes) -> str | bytes:
    """Return a text, or what it is made of where that is none: whoever checks it refuses it."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content
