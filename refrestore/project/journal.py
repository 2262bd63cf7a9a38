"""The log of edits: entries are only ever added; undo and redo are entries too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from refrestore.errors import ProjectError
from refrestore.storage.utc import now

from .anchors import find_close_up, mark, resolve
from .damage import DamageError
from .database import Database
from .edits import (
    CLOSE_UP_ACTIONS,
    LOG_ACTIONS,
    Anchor,
    Edit,
    EditAction,
    Mark,
    ResolvedEdit,
    standing,
)
from .log_entries import edit_of, pack_edit, pack_turn, unpack_entry


class Journal:
    """Reads and writes the log of one project, and finds the faces its edits are about."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: dict[tuple[int, int], ResolvedEdit] = {}
        self._read: list[_LogEntry] = []
        self._group: int | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make the edits inside one group; the caller holds a write transaction."""
        outer = self._group
        self._group = outer or self.last() + 1
        try:
            yield
        except BaseException:
            self._found.clear()  # the numbers of edits that are rolled back are given again
            raise
        finally:
            self._group = outer

    def last(self) -> int:
        """Return the number of the last entry, 0 if there is none."""
        ((number,),) = self._database.rows("SELECT COALESCE(MAX(id), 0) FROM log")
        return int(number)

    def edits(self) -> list[Edit]:
        """Return every edit ever made, oldest first, `undone` where it is not in force."""
        entries = self._entries()
        done, _ = self._standing()
        in_force = set(done)
        return [
            one.edit if one.id in in_force else replace(one.edit, undone=True)
            for one in entries
            if one.edit is not None
        ]

    def append(
        self,
        scan: int,
        action: EditAction,
        subject: int,
        anchors: Sequence[Anchor],
        value: str | None = None,
    ) -> None:
        """Add an edit."""
        self._write(scan, action, pack_edit(subject, anchors, value, self._group))

    def anchors(self, scan: int, tracks: Mapping[int, int | None]) -> list[Anchor]:
        """Return anchors of a scan's tracks; `tracks` says who holds each now."""
        return [Anchor(holder, track, self._marks(scan, track)) for track, holder in tracks.items()]

    def undo(self, scan: int) -> list[Edit]:
        """Take the last edit in force, or the last group, back; return them, the last first."""
        return self._turn(scan, "undo", self.undoable())

    def redo(self, scan: int) -> list[Edit]:
        """Bring the last undone edit, or the last group, back; return them in their order."""
        return self._turn(scan, "redo", self.redoable())

    def undoable(self) -> list[Edit]:
        """Return what `undo` would take back, the last first."""
        done, _ = self._standing()
        return self._last_group(done)

    def redoable(self) -> list[Edit]:
        """Return what `redo` would bring back, in its order."""
        _, undone = self._standing()
        return self._last_group(undone)

    def resolved(self, scan: int) -> list[ResolvedEdit]:
        """Return the edits in force, in terms of a scan's tracks."""
        edits = [edit for edit in self.edits() if not edit.undone]
        if all((scan, edit.id) in self._found for edit in edits):
            return [self._found[scan, edit.id] for edit in edits]
        known = {row[0] for row in self._database.read("tracks", "id", "WHERE scan = ?", (scan,))}
        return [self._resolve(edit, scan, known) for edit in edits]

    def drawn(self, scan: int) -> dict[int, tuple[Mark, ...]]:
        """Return the tracks of a scan that the user drew, or would again by a redo, with marks."""
        done, undone = self._standing()
        known = {row[0] for row in self._database.read("tracks", "id", "WHERE scan = ?", (scan,))}
        found = {}
        for edit in self.edits():
            if edit.action != "draw" or edit.id not in {*done, *undone}:
                continue
            marks = next((one.marks for one in edit.anchors if one.identity is None), ())
            for holder, tracks in self._resolve(edit, scan, known).groups:
                if holder is None:
                    found.update(dict.fromkeys(tracks, marks))
        return found

    def subjects(self) -> set[int]:
        """Return the identities that any edit was ever about."""
        return {one.edit.subject for one in self._entries() if one.edit is not None}

    def _resolve(self, edit: Edit, scan: int, known: Set[int]) -> ResolvedEdit:
        # Neither edits nor scans ever change, so what was found once stays found.
        key = (scan, edit.id)
        if key not in self._found and edit.action in CLOSE_UP_ACTIONS:
            found = [
                find_close_up(self._database, scan, anchor.marks[0], exactly=edit.scan == scan)
                for anchor in edit.anchors
            ]
            there = tuple(one for one in found if one is not None)
            self._found[key] = ResolvedEdit(
                edit.id, edit.action, edit.subject, (), edit.value, there
            )
        elif key not in self._found:
            groups: dict[int | None, dict[int, None]] = {}
            for anchor in edit.anchors:
                here: Sequence[int | None] = (
                    [anchor.track]
                    if edit.scan == scan
                    else resolve(self._database, scan, anchor.marks)
                )
                group = groups.setdefault(anchor.identity, {})
                group.update(dict.fromkeys(t for t in here if t is not None and t in known))
            self._found[key] = ResolvedEdit(
                edit.id,
                edit.action,
                edit.subject,
                tuple((holder, tuple(tracks)) for holder, tracks in groups.items()),
                edit.value,
            )
        return self._found[key]

    def _last_group(self, candidates: Sequence[int]) -> list[Edit]:
        if not candidates:
            return []
        made = {edit.id: edit for edit in self.edits()}
        group = made[candidates[-1]].group
        found: list[Edit] = []
        for number in reversed(candidates):
            if found and (group is None or made[number].group != group):
                break
            found.append(made[number])
        return found

    def _turn(self, scan: int, action: str, edits: Sequence[Edit]) -> list[Edit]:
        for edit in edits:
            self._write(scan, action, pack_turn(edit.id))
        return [replace(edit, undone=action == "undo") for edit in edits]

    def _marks(self, scan: int, track: int) -> tuple[Mark, ...]:
        # A track's faces are marked from its boxes alone; landmarks stay packed.
        parts = self._database.read(
            "chunks", "frame, box", "WHERE scan = ? AND track = ? ORDER BY first", (scan, track)
        )
        return mark(parts)

    def _write(self, scan: int, action: str, said: str) -> int:
        return self._database.execute(
            "INSERT INTO log (scan, time, action, payload) VALUES (?, ?, ?, ?)",
            (scan, now(), action, said),
        )

    def _standing(self) -> tuple[list[int], list[int]]:
        with self._database.trusting():
            return standing((one.id, one.action, one.about) for one in self._entries())

    def _entries(self) -> list[_LogEntry]:
        """Return the whole log; what was read once is not read again."""
        with self._database.transaction():
            rows = self._rows(self._read[-1].row[0] if self._read else 0)
            if self._read and (not rows or rows[0] != self._read[-1].row):
                # It was rolled back, and its number is given again.
                self._read.clear()
                self._found.clear()
                rows = self._rows(0)
            elif self._read:
                rows = rows[1:]
            unknown = {row[1] for row in rows} - set(LOG_ACTIONS)
            if unknown:
                raise ProjectError(
                    f"{self._database.path} has edits this refrestore does not know "
                    f"({sorted(unknown)[0]}): update refrestore."
                )
            with self._database.trusting():
                self._read += [_LogEntry.of(row) for row in rows]
            return list(self._read)

    def _rows(self, first: int) -> list[_Row]:
        return self._database.read(
            "log", "id, action, payload, scan, time", "WHERE id >= ? ORDER BY id", (first,)
        )


_Row = tuple[Any, ...]
"""Number, action, payload, scan and time, as they are stored."""


@dataclass(frozen=True, slots=True)
class _LogEntry:
    """An entry of the log: an edit, or an undo or redo of one."""

    row: _Row
    about: int | None
    edit: Edit | None

    @classmethod
    def of(cls, row: _Row) -> _LogEntry:
        entry, action, payload, scan, time = row
        try:
            said = unpack_entry(action, payload)
        except DamageError as error:
            raise DamageError(f"log (id {entry}): {error}") from error
        turned = action in ("undo", "redo")
        edit = None if turned else edit_of(entry, scan, time, action, said)
        return cls(row, said.get("edit"), edit)

    @property
    def id(self) -> int:
        return int(self.row[0])

    @property
    def action(self) -> str:
        return str(self.row[1])
