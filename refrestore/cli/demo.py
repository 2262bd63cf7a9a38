"""`refrestore demo`: the main job on a film that is made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .output import print_json, print_line
from .progress import progress_reporter


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="Where everything is put.")] = Path("demo"),
    device: options.DeviceOption = "auto",
    models_dir: options.ModelsDir = None,
    threads: options.Threads = None,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Make a film, find its people, restore it and show what changed."""
    from refrestore.engine.demo import demo as run_demo

    runtime = options.runtime_settings(device, "lite", models_dir, None, threads)
    with progress_reporter(progress) as report:
        made = run_demo(folder, runtime=runtime, progress=report)
    files = {
        "film": made.film,
        "people": made.sheet,
        "restored": made.result.output,
        "report": made.result.page,
        "comparison": made.comparison,
        "faces": made.faces,
    }
    if json:
        print_json(
            {
                **{name: str(file) for name, file in files.items()},
                "identities": len(made.identities),
                "restored_faces": made.result.summary["faces"],
            }
        )
        return
    print_line(f"Found {len(made.identities)} people in the film:")
    for identity in made.identities:
        print_line(
            f"  {identity.name}: {identity.seconds:.1f} s on screen, "
            f"{identity.references} close-ups"
        )
    print_line(f"Restored {made.result.summary['faces']} faces.")
    for name, file in files.items():
        print_line(f"  {name}: {file}")
