"""`refrestore identities references`: which close-ups a person is restored from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refrestore.cli import options
from refrestore.cli.output import print_json, print_line
from refrestore.cli.tables import print_table

from .shared import open_project, said_gaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refrestore.project import CloseUp

app = typer.Typer(help="Choose the close-ups people are restored from.", no_args_is_help=True)

Numbers = Annotated[
    list[int], typer.Argument(metavar="CLOSE-UP...", help="Close-ups, as `references list` says.")
]


@app.command("list")
@options.with_settings
def list_references(
    project: options.ProjectFolder,
    identity: Annotated[
        int | None, typer.Argument(metavar="[ID]", help="Only this person's.")
    ] = None,
    *,
    runtime: options.ProfilesDir,
    json: options.Json = False,
) -> None:
    """List close-ups, those that are never used too, and poses that need one."""
    from refrestore.project.gaps import all_gaps

    with open_project(project) as opened:
        found = opened.close_ups(identity)
        missing = all_gaps(opened, identity, options.profile_store(runtime))
    if json:
        print_json(
            {
                "references": [_said(one) for one in found],
                "gaps": [said_gaps(one) for one in missing],
            }
        )
        return
    _print(found, json)
    for one in missing:
        for sentence in one.sentences():
            print_line(sentence)


@app.command()
def drop(numbers: Numbers, project: options.ProjectFolder, json: options.Json = False) -> None:
    """Never use these close-ups as references, after another scan neither."""
    with open_project(project) as opened:
        opened.drop_close_ups(numbers)
    _print_some(project, numbers, json)


@app.command()
def add(numbers: Numbers, project: options.ProjectFolder, json: options.Json = False) -> None:
    """Use close-ups that were dropped again (a photo is added to a profile instead)."""
    with open_project(project) as opened:
        opened.use_close_ups(numbers)
    _print_some(project, numbers, json)


def _print_some(folder: Path, numbers: list[int], json: bool) -> None:
    with open_project(folder) as opened:
        _print([one for one in opened.close_ups() if one.id in numbers], json)


def _print(found: Sequence[CloseUp], json: bool) -> None:
    if json:
        print_json({"references": [_said(one) for one in found]})
        return
    if not found:
        print_line("There is no close-up.")
        return
    print_table(
        ("close-up", "id", "track", "from", "pixels", "yaw", "pitch", "quality", "used"),
        [
            (
                str(one.id),
                "" if one.identity is None else str(one.identity),
                str(one.track),
                one.source,
                f"{one.size:.0f}",
                str(round(one.yaw)),
                str(round(one.pitch)),
                f"{one.quality:.2f}",
                "yes" if one.used else "no",
            )
            for one in found
        ],
    )


def _said(one: CloseUp) -> dict[str, object]:
    return {
        key: round(value, 3) if isinstance(value, float) else value
        for key, value in asdict(one).items()
    }
