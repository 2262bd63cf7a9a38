"""Edits in words, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refrestore.plain_text import counted
from refrestore.project import Edit

Names = Mapping[int, str]
"""What identities are called now."""

_STATES = {"restore": "Restore", "ignore": "Leave alone", "not_a_face": "Not a face:"}


def edit_words(edit: Edit, names: Names) -> str:
    """Return what an edit did; people are called as they are now."""

    def name(identity: int | None) -> str:
        return "nobody" if identity is None else names.get(identity, f"person {identity}")

    subject = name(edit.subject)
    others = [
        name(one)
        for one in dict.fromkeys(anchor.identity for anchor in edit.anchors)
        if one is not None and one != edit.subject
    ]
    moved = sum(anchor.identity != edit.subject for anchor in edit.anchors)
    tracks = counted(moved, "track")
    wanted = "" if edit.value is None else edit.value
    said = {
        "merge": f"Merge {_listed([subject, *others])}",
        "distinct": f"{_listed([subject, *others])} are different people",
        "split": f"Take {tracks} out as {subject}",
        "move": f"Move {tracks} to {subject}",
        "draw": f"Draw a face of {subject}",
        "keep": f"Keep {tracks} with {subject}",
        "rename": f"Name person {edit.subject} {wanted}" if wanted else f"Take {subject}'s name",
        "state": f"{_STATES.get(wanted, wanted)} {subject}",
        "strength": f"Strength of {subject}: {wanted}",
        "link": f"Link {subject} to {wanted}" if wanted else f"Unlink {subject}",
        "not_profile": f"{subject} is not the profile {wanted}",
        "drop": f"Don't use a close-up of {subject}",
        "use": f"Use a close-up of {subject} again",
    }
    return said[edit.action]


def group_words(edits: Sequence[Edit], names: Names) -> str | None:
    """Return edits that are undone together in a few words; None where there are none."""
    if not edits:
        return None
    # Of a face that was drawn and named the name is the smaller part.
    order = sorted(edits, key=lambda one: one.action != "draw")
    said = list(dict.fromkeys(edit_words(one, names) for one in order))
    return said[0] if len(said) == 1 else f"{said[0]}, and {len(said) - 1} more"


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
