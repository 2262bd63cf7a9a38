"""Draw a face that the detector missed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from refrestore.cli import options
from refrestore.cli.output import print_json, print_line
from refrestore.cli.parse import parse_box, parse_time
from refrestore.cli.progress import progress_reporter
from refrestore.errors import UsageError

from .shared import open_project, print_identities


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command()(draw)


@options.with_settings
def draw(
    project: options.ProjectFolder,
    at: Annotated[
        Any,
        typer.Option(
            "--at", parser=parse_time, metavar="TIME", help="Which moment; as for render --start."
        ),
    ],
    box: Annotated[
        Any,
        typer.Option(
            "--box",
            parser=parse_box,
            metavar="X,Y,W,H",
            help="Where the face is: left, top, width, height in pixels of the shown picture.",
        ),
    ],
    name: Annotated[str | None, typer.Option("--name", help="Who it is: somebody new.")] = None,
    to: Annotated[
        int | None, typer.Option("--to", metavar="ID", help="Who it is: somebody in the project.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option("--video", help="The source, if it was moved.")
    ] = None,
    *,
    runtime: options.HereOptions,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Follow a face that the scan missed from a box on one frame, backwards and forwards."""
    from dataclasses import asdict

    from refrestore.scan.draw import Pencil, draw_face

    if name is not None and to is not None:
        raise UsageError("Give --name for somebody new, or --to for somebody in the project.")
    with open_project(project) as opened, progress_reporter(progress) as report:
        drawn = draw_face(
            opened,
            at,
            box,
            pencil=Pencil.open(runtime),
            identity=to,
            name=name,
            video=video,
            progress=report,
        )
        person = opened.identity(drawn.identity)
        people = {t: one for one in opened.identities() for t in one.tracks}
    if json:
        print_json({"drawn": asdict(drawn), "identities": [asdict(person)]})
        return
    print_identities([person])
    print_line(
        f"Followed from {drawn.start:.2f} to {drawn.end:.2f} s ({drawn.stop - drawn.first} frames)."
    )
    for track in drawn.met:
        met = people[track]
        print_line(
            f"There {met.name} ({met.id}) is seen in the same place, in track {track}: if it is "
            f"one person, refrestore identities merge {met.id} {person.id} -p {project}"
        )
