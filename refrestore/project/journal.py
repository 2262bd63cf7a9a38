"""The log of edits: entries are only ever added; undo and redo are entries too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from refrestore.errors import ProjectError

from .anchors import find_close_up, mark, resolve
from .columns import decode_boxes
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
from .scanning import now


class Journal:
    """Reads and writes the log of one project, and finds the faces its edits are about."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: dict[tuple[int, int], ResolvedEdit] = {}
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
        done, _ = standing((entry, action, said.get("edit")) for entry, action, said, *_ in entries)
        in_force = set(done)
        return [
            replace(_edit(*entry), undone=entry[0] not in in_force)
            for entry in entries
            if entry[1] not in ("undo", "redo")
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
        said: dict[str, Any] = {
            "subject": subject,
            "value": value,
            "anchors": [
                {
                    "identity": anchor.identity,
                    "track": anchor.track,
                    "marks": [[one.frame, *one.box] for one in anchor.marks],
                }
                for anchor in anchors
            ],
        }
        if self._group is not None:
            said["group"] = self._group
        self._write(scan, action, said)

    def anchors(self, scan: int, tracks: Mapping[int, int | None]) -> list[Anchor]:
        """Return anchors of a scan's tracks; `tracks` says who holds each now."""
        return [Anchor(holder, track, self._marks(scan, track)) for track, holder in tracks.items()]

    def undo(self, scan: int) -> list[Edit]:
        """Take the last edit in force, or the last group, back; return them, the last first."""
        done, _ = self._standing()
        return self._turn(scan, "undo", done)

    def redo(self, scan: int) -> list[Edit]:
        """Bring the last undone edit, or the last group, back; return them in their order."""
        _, undone = self._standing()
        return self._turn(scan, "redo", undone)

    def resolved(self, scan: int) -> list[ResolvedEdit]:
        """Return the edits in force, in terms of a scan's tracks."""
        return [self._resolve(edit, scan) for edit in self.edits() if not edit.undone]

    def _resolve(self, edit: Edit, scan: int) -> ResolvedEdit:
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
                group.update(dict.fromkeys(track for track in here if track is not None))
            self._found[key] = ResolvedEdit(
                edit.id,
                edit.action,
                edit.subject,
                tuple((holder, tuple(tracks)) for holder, tracks in groups.items()),
                edit.value,
            )
        return self._found[key]

    def _turn(self, scan: int, action: str, candidates: Sequence[int]) -> list[Edit]:
        if not candidates:
            return []
        made = {edit.id: edit for edit in self.edits()}
        group = made[candidates[-1]].group
        turned: list[Edit] = []
        for number in reversed(candidates):
            if turned and (group is None or made[number].group != group):
                break
            self._write(scan, action, {"edit": number})
            turned.append(replace(made[number], undone=action == "undo"))
        return turned

    def _marks(self, scan: int, track: int) -> tuple[Mark, ...]:
        # A track's faces are marked from its boxes alone; landmarks stay packed.
        rows = self._database.rows(
            "SELECT frame, box FROM chunks WHERE scan = ? AND track = ? ORDER BY first",
            (scan, track),
        )
        return mark([decode_boxes(frame, box) for frame, box in rows])

    def _write(self, scan: int, action: str, said: Mapping[str, Any]) -> int:
        return self._database.execute(
            "INSERT INTO log (scan, time, action, payload) VALUES (?, ?, ?, ?)",
            (scan, now(), action, json.dumps(said, ensure_ascii=False)),
        )

    def _standing(self) -> tuple[list[int], list[int]]:
        return standing(
            (entry, action, said.get("edit")) for entry, action, said, *_ in self._entries()
        )

    def _entries(self) -> list[tuple[int, str, dict[str, Any], int, str]]:
        rows = self._database.rows("SELECT id, action, payload, scan, time FROM log ORDER BY id")
        unknown = {row[1] for row in rows} - set(LOG_ACTIONS)
        if unknown:
            raise ProjectError(
                f"{self._database.path} has edits this refrestore does not know "
                f"({sorted(unknown)[0]}): update refrestore."
            )
        return [(row[0], row[1], json.loads(row[2]), row[3], row[4]) for row in rows]


def _edit(entry: int, action: str, said: dict[str, Any], scan: int, time: str) -> Edit:
    anchors = tuple(
        Anchor(
            one["identity"],
            one["track"],
            tuple(Mark(int(frame), (a, b, c, d)) for frame, a, b, c, d in one["marks"]),
        )
        for one in said["anchors"]
    )
    return Edit(
        entry,
        scan,
        time,
        cast(EditAction, action),
        said["subject"],
        anchors,
        said["value"],
        group=said.get("group"),
    )
