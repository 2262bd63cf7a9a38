"""`refrestore compare`: a film before and after, in one video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from refrestore.plain_text import counted

from . import options
from .output import print_json, print_line
from .parse import parse_time
from .progress import progress_reporter

Mode = Annotated[
    Literal["side", "split", "faces"],
    typer.Option(
        "--mode",
        help="side: beside each other; split: a line moves over the picture, before on its left; "
        "faces: only the people's faces, before above after.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("compare")(compare)


@options.with_settings
def compare(
    before: Annotated[Path, typer.Argument(metavar="IN", help="The film before.")],
    after: Annotated[Path, typer.Argument(metavar="OUT", help="What was made of it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The video to write.")],
    mode: Mode = "side",
    project: Annotated[
        Path | None,
        typer.Option(
            "--project",
            "-p",
            help="The project of IN: which video stream it took, whether it was deinterlaced, and "
            "for --mode faces whose they are; without, that is measured, and faces are scanned.",
        ),
    ] = None,
    start: Annotated[
        Any,
        typer.Option(
            "--start",
            parser=parse_time,
            metavar="TIME",
            help="Only from this time of IN on, as for render; if OUT is a part, where it begins.",
        ),
    ] = None,
    end: Annotated[
        Any,
        typer.Option("--end", parser=parse_time, metavar="TIME", help="Stop before this time."),
    ] = None,
    *,
    runtime: options.HereOptions,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Show a film before and after: side by side, split by a moving line, or faces only."""
    from refrestore.compare.compare import compare as compare_films

    with progress_reporter(progress) as report:
        made = compare_films(
            before,
            after,
            output,
            mode=mode,
            project=project,
            start=start,
            end=end,
            runtime=runtime,
            progress=report,
            announce=report.note,
        )
    if json:
        print_json(
            {
                "output": str(made.output),
                "frames": made.frames,
                "width": made.width,
                "height": made.height,
                "notes": list(made.notes),
            }
        )
        return
    frames = counted(made.frames, "frame")
    print_line(f"{made.output}: {frames}, {made.width}x{made.height}.")
    for note in made.notes:
        if not report.told(note):
            print_line(note)
