"""`refrestore demo`: the main job on a film that is made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refrestore.config import RuntimeSettings

from . import options
from .output import print_json, print_line
from .progress import progress_reporter
from .run import counted_faces
from .tables import print_table


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("demo")(demo)


@options.with_settings
def demo(
    folder: Annotated[Path, typer.Argument(help="Where everything is put.")] = Path("demo"),
    *,
    runtime: Annotated[RuntimeSettings, options.Options(("device", "models-dir", "threads"))],
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Make a film, find its people, restore it and show what changed."""
    from refrestore.evaluate.demo.show import restore_demo, scan_demo

    with progress_reporter(progress) as report:
        scanned = scan_demo(folder, runtime=runtime, progress=report)
    if not json:
        print_line(f"Found {len(scanned.identities)} people in the film:")
        rows = [
            (one.name, f"{one.seconds:.1f} s", str(one.faces), str(one.references or "none"))
            for one in scanned.identities
        ]
        if rows:
            print_table(("WHO", "ON SCREEN", "FACES", "CLOSE-UPS"), rows)
    with progress_reporter(progress) as report:
        made = restore_demo(scanned, runtime=runtime, progress=report)
    files = {
        "film": scanned.film,
        "clean": scanned.clean,
        "people": scanned.sheet,
        "restored": made.result.output,
        "report": made.result.page,
        "comparison": made.comparison,
        "faces": made.faces,
    }
    if json:
        print_json(
            {
                **{name: str(file) for name, file in files.items()},
                "identities": len(scanned.identities),
                "restored_faces": made.result.summary["faces"],
            }
        )
        return
    print_line(f"Done: {counted_faces(made.result.summary)}.")
    labels = {
        "restored": "result",
        "report": "report",
        "comparison": "before and after",
        "faces": "faces beside the truth",
        "people": "people",
        "film": "film",
    }
    for name, label in labels.items():
        print_line(f"  {label + ':':24}{files[name]}")
    print_line(f"Look at its people in your browser: refrestore review {scanned.project}")
