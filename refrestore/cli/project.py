"""`refrestore project`: check and repair."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from refrestore.errors import ProjectError

from . import options
from .output import print_json, print_line

app = typer.Typer(help="The project folder: check it, repair it.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="PROJECT", help="Project folder.")]


@app.command()
def check(folder: Folder, json: options.Json = False) -> None:
    """Say what is damaged in a project; exit status 5 if anything is."""
    from refrestore.project.repair import check as look

    found = look(folder)
    if json:
        print_json(
            {
                "project": str(folder),
                "problems": [asdict(one) for one in found.problems],
                "advice": list(found.advice),
            }
        )
    else:
        for problem in found.problems:
            print_line(problem.text)
        for advice in found.advice:
            print_line(f"Advice: {advice}")
        if found.problems:
            print_line(f"`refrestore project repair {folder}` restores what can be restored.")
        else:
            print_line(f"{folder} is in order.")
    if found.problems:
        raise typer.Exit(ProjectError.exit_code)


@app.command()
def repair(
    folder: Folder,
    video: Annotated[
        Path | None, typer.Option("--video", help="The video, if the project forgot which it is.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Restore what can be restored of a damaged project; the damaged file is kept."""
    from refrestore.media.probe import probe
    from refrestore.project.repair import repair as restore
    from refrestore.scan.scan import video_source

    done = restore(folder, None if video is None else video_source(probe(video)))
    if json:
        print_json(
            {
                "project": str(folder),
                "backup": None if done.backup is None else str(done.backup),
                "kept": list(done.kept),
                "lost": list(done.lost),
                "next": list(done.next),
            }
        )
        return
    if done.backup is None:
        print_line(f"{folder} is in order: nothing was done.")
    for sentence in (*done.kept, *done.lost, *done.next):
        print_line(sentence)
