"""What `scan` says to those whose film has people without close-ups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from refrestore.project import Project
from refrestore.render.wanted import all_wanted
from refrestore.types import Identity

from .output import print_line

_TOLD = 5
"""People who are told of one by one, those seen longest."""

Wanted = Sequence[tuple[Identity, str]]


def read_wanted(project: Path) -> Wanted:
    """Return who of a scanned project needs photos, and which, in a sentence each."""
    with Project.open(project) as opened:
        return all_wanted(opened)


def as_json(wanted: Wanted) -> list[dict[str, Any]]:
    """Return the same for `--json`."""
    return [{"identity": who.id, "sentence": sentence} for who, sentence in wanted]


def tell_wanted(wanted: Wanted, project: Path) -> None:
    """Print the same for people, and where the photos go."""
    if not wanted:
        return
    for who, sentence in wanted[:_TOLD]:
        print_line(f"{who.name}: {sentence[0].lower()}{sentence[1:]}")
    if len(wanted) > _TOLD:
        print_line(f"So it is with {len(wanted) - _TOLD} more people, who are seen less.")
    print_line(
        "With photos: refrestore profile build NAME --photos FOLDER, then refrestore identities "
        f"link {wanted[0][0].id} NAME -p {project}"
    )
