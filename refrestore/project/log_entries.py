"""Entries of the log as they are written, and read again without trusting them."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Sequence
from typing import Any, cast, get_args

from refrestore.types import IdentityState

from .damage import DamageError
from .edits import CLOSE_UP_ACTIONS, LOG_ACTIONS, Anchor, Edit, EditAction, Mark
from .values import field, finite, json_object, optional, text, whole

MOST_PIXELS = 1e6
"""No picture is as wide as this."""

_ENTRY = whole(1, 2**53)
_NUMBER = whole(0, 2**53)
_FRAME = whole(0, 2**31 - 1)
_EDGE = finite(-MOST_PIXELS, MOST_PIXELS)

Said = dict[str, Any]
"""The payload of an entry: checked where it was read."""


def pack_edit(subject: int, anchors: Sequence[Anchor], value: str | None, group: int | None) -> str:
    """Return what an edit says, as it is stored."""
    said: Said = {
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
    if group is not None:
        said["group"] = group
    return json.dumps(said, ensure_ascii=False)


def pack_turn(edit: int) -> str:
    """Return what an undo or a redo says, as it is stored."""
    return json.dumps({"edit": edit})


def unpack_entry(action: str, payload: str) -> Said:
    """Return what an entry says, as `pack_edit` or `pack_turn` wrote it; marks and anchors as such.

    Raises
    ------
    DamageError
        When it cannot be right.
    """
    if not action.isascii() or not action.replace("_", "").isalpha():
        raise DamageError("its action is no word")
    said = json_object(payload)
    if action not in LOG_ACTIONS:  # of a newer version; whoever reads the log says so
        return said
    if action in ("undo", "redo"):
        return {"edit": field(said, "edit", _ENTRY)}
    anchors = said.get("anchors")
    if not isinstance(anchors, list):
        raise DamageError("anchors: it is no list")
    return {
        "subject": field(said, "subject", _NUMBER),
        "value": _value(action, field(said, "value", optional(text(math.inf)))),
        "anchors": tuple(_anchor(one, action in CLOSE_UP_ACTIONS) for one in anchors),
        "group": field(said, "group", optional(_ENTRY)),
    }


def edit_of(entry: int, scan: int, time: str, action: str, said: Said) -> Edit:
    """Return the edit that a checked entry is."""
    return Edit(
        entry,
        scan,
        time,
        cast(EditAction, action),
        said["subject"],
        said["anchors"],
        said["value"],
        group=said["group"],
    )


def _anchor(said: Any, one_face: bool) -> Anchor:
    if not isinstance(said, dict):
        raise DamageError("anchors: one is no object")
    marks = said.get("marks")
    if not isinstance(marks, list) or (one_face and not marks):
        raise DamageError("marks: there is no list of them")
    return Anchor(
        field(said, "identity", optional(_NUMBER)),
        field(said, "track", _NUMBER),
        tuple(map(_mark, marks)),
    )


def _mark(said: Any) -> Mark:
    if not isinstance(said, list) or len(said) != 5:
        raise DamageError("marks: one is no frame with four edges")
    left, top, right, bottom = map(_EDGE, said[1:])
    return Mark(_FRAME(said[0]), (left, top, right, bottom))


def _value(action: str, value: str | None) -> str | None:
    if action == "state" and value not in get_args(IdentityState):
        raise DamageError("value: it is no state")
    if action == "strength":
        try:
            finite(0, 1)(float(value or 1))
        except ValueError as error:
            raise DamageError("value: it is no strength from 0 to 1") from error
    if action in ("rename", "link", "not_profile") and _steers(value or ""):
        raise DamageError("value: a name with control characters")
    return value


def _steers(name: str) -> bool:
    """Return whether a name would do something to a terminal, or cannot be written at all."""
    return any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)
