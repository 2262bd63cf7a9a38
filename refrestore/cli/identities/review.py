"""The review sheet: everything about a project's people as a text to edit and apply."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refrestore.cli import options
from refrestore.cli.output import print_json, print_line
from refrestore.plain_text import counted

from .shared import describe_edit, edit_words, open_project


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("export-review")(export_review)
    app.command("apply-review")(apply_review)


def export_review(
    project: options.ProjectFolder,
    output: Annotated[Path, typer.Option("--output", "-o", help="File: .yaml or .json.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if there is one.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Write everybody, with tracks and close-ups, as a text to edit."""
    from refrestore.project.review_sheet import write_sheet

    with open_project(project) as opened:
        sheet = write_sheet(opened, output, overwrite=overwrite)
    if json:
        print_json({"review": str(output), "people": len(sheet.people)})
    else:
        print_line(f"{output}: {counted(len(sheet.people), 'person', 'people')}.")


@options.with_settings
def apply_review(
    review: Annotated[Path, typer.Argument(metavar="FILE", help="The edited file.")],
    project: options.ProjectFolder,
    force: Annotated[
        bool, typer.Option("--force", help="Join even people who are on screen together.")
    ] = False,
    *,
    runtime: options.ProfilesDir,
    json: options.Json = False,
) -> None:
    """Make the changes of an edited review: all of them, or none if one is not possible."""
    from refrestore.project.review_apply import apply_sheet

    profiles = options.profile_store(runtime).list()
    with open_project(project) as opened:
        made = apply_sheet(opened, review, profiles=profiles, force=force)
    if json:
        print_json({"edits": [describe_edit(one) for one in made]})
        return
    for one in made:
        print_line(edit_words(one))
    print_line(f"{len(made)} changes." if made else "Nothing to change.")
