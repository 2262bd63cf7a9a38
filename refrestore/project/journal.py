"""The log of edits: entries are only ever added; undo and redo are entries too."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from refrestore.errors import ProjectError

from .anchors import mark, resolve
from .columns import decode_boxes
from .database import Database
from .edits import LOG_ACTIONS, Anchor, Edit, EditAction, Mark, ResolvedEdit, standing
from .scanning import now


class Journal:
    """Reads and writes the log of one project, and finds the faces its edits are about."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: dict[tuple[int, int], ResolvedEdit] = {}

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
        tracks: Mapping[int, int | None],
        value: str | None = None,
    ) -> Edit:
        """Add an edit; `tracks` are the tracks it is about and who holds them now."""
        anchors = [
            {"identity": holder, "track": track, "marks": self._marks(scan, track)}
            for track, holder in tracks.items()
        ]
        said = {"subject": subject, "value": value, "anchors": anchors}
        entry = self._write(scan, action, said)
        return next(edit for edit in reversed(self.edits()) if edit.id == entry)

    def undo(self, scan: int) -> Edit | None:
        """Take the last edit in force back; return it, or None if there is none."""
        done, _ = self._standing()
        return self._turn(scan, "undo", done)

    def redo(self, scan: int) -> Edit | None:
        """Bring the last undone edit back; return it, or None if there is none."""
        _, undone = self._standing()
        return self._turn(scan, "redo", undone)

    def resolved(self, scan: int) -> list[ResolvedEdit]:
        """Return the edits in force, in terms of a scan's tracks."""
        return [self._resolve(edit, scan) for edit in self.edits() if not edit.undone]

    def _resolve(self, edit: Edit, scan: int) -> ResolvedEdit:
        # Neither edits nor scans ever change, so what was found once stays found.
        key = (scan, edit.id)
        if key not in self._found:
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

    def _turn(self, scan: int, action: str, candidates: Sequence[int]) -> Edit | None:
        if not candidates:
            return None
        self._write(scan, action, {"edit": candidates[-1]})
        return next(edit for edit in self.edits() if edit.id == candidates[-1])

    def _marks(self, scan: int, track: int) -> list[list[float]]:
        # A track's faces are marked from its boxes alone; landmarks stay packed.
        rows = self._database.rows(
            "SELECT frame, box FROM chunks WHERE scan = ? AND track = ? ORDER BY first",
            (scan, track),
        )
        parts = [decode_boxes(frame, box) for frame, box in rows]
        return [[one.frame, *one.box] for one in mark(parts)]

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
        entry, scan, time, cast(EditAction, action), said["subject"], anchors, said["value"]
    )
