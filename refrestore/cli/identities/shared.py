"""What the commands about identities share: arguments, opening, printing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refrestore.cli.output import print_json
from refrestore.cli.tables import print_table
from refrestore.errors import ApartError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refrestore.project import Edit, Project
    from refrestore.project.gaps import Coverage, Gaps
    from refrestore.types import Identity

One = Annotated[int, typer.Argument(metavar="ID", help="Identity, as `list` names it.")]
Several = Annotated[list[int], typer.Argument(metavar="ID...", help="Identities.")]
Tracks = Annotated[list[int], typer.Argument(metavar="TRACK...", help="Tracks, as `show` says.")]
Force = Annotated[bool, typer.Option("--force", help="Even if both are on screen in one frame.")]


def open_project(folder: Path) -> Project:
    """Open a project."""
    from refrestore.project import Project

    return Project.open(folder)


@contextmanager
def insisting() -> Iterator[None]:
    """Say of a refusal how to insist here; the page has a button for it."""
    try:
        yield
    except ApartError as error:
        raise ApartError(f"{str(error).removesuffix('.')}, or insist with --force.") from error


def said_gaps(found: Gaps) -> dict[str, Any]:
    """Return what is missing of a person as printed in JSON."""
    return {
        "identity": found.identity,
        "faces": found.faces,
        "poses": dict(found.poses),
        "missing": [{**asdict(gap), "sentence": gap.sentence(found.name)} for gap in found.missing],
    }


def coverage_words(shown: Coverage) -> str:
    """Return what close-ups show, in words."""
    poses = [f"{count} {pose}" for pose, count in shown.poses.items() if count]
    looks = [
        (shown.eyes_shut, "with eyes shut"),
        (shown.light["left"], "lit from the left"),
        (shown.light["right"], "lit from the right"),
    ]
    return "; ".join(
        part
        for part in (
            ", ".join(poses),
            ", ".join(f"{count} {what}" for count, what in looks if count),
        )
        if part
    )


def tell(project: Project, identities: Sequence[int], json: bool) -> None:
    """Print identities as they are now."""
    found = [project.identity(one) for one in dict.fromkeys(identities)]
    if json:
        print_json({"identities": [asdict(one) for one in found]})
        return
    print_identities(found)


def print_identities(identities: Sequence[Identity]) -> None:
    """Print a table of identities."""
    header = ("id", "name", "state", "seconds", "faces", "close-ups", "profile", "tracks")
    rows = [
        (
            str(one.id),
            one.name,
            one.state,
            f"{one.seconds:.1f}",
            str(one.faces),
            "only blurred" if one.provisional and not one.references else str(one.references),
            one.profile or "",
            " ".join(map(str, one.tracks)),
        )
        for one in identities
    ]
    if rows:
        print_table(header, rows)


def describe_edit(edit: Edit) -> dict[str, Any]:
    """Return an edit as printed in JSON."""
    return {
        "id": edit.id,
        "action": edit.action,
        "identity": edit.subject,
        "value": edit.value,
        "tracks": [anchor.track for anchor in edit.anchors],
        "group": edit.group,
    }


def edit_words(edit: Edit) -> str:
    """Return an edit in words, as near as can be to the command that makes it."""
    others = dict.fromkeys(
        anchor.identity for anchor in edit.anchors if anchor.identity not in (None, edit.subject)
    )
    tracks = " ".join(
        str(anchor.track) for anchor in edit.anchors if anchor.identity != edit.subject
    )
    if edit.action in ("merge", "distinct"):
        return " ".join([edit.action, str(edit.subject), *map(str, others)])
    if edit.action in ("move", "split"):
        new = " (new)" if edit.action == "split" else ""
        return f"move {tracks} --to {edit.subject}{new}"
    if edit.action == "draw":
        return f"draw track {tracks} --to {edit.subject}"
    if edit.action == "keep":
        return f"keep {tracks} with {edit.subject}"
    value = "" if edit.value is None else f" {edit.value}"
    return f"{edit.action.replace('_', '-')} {edit.subject}{value}"
