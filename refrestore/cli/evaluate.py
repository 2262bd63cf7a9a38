"""`refrestore evaluate`: the restorer against its alternatives, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refrestore.config import RenderSettings
from refrestore.evaluate.settings import EvaluationSettings

from . import options
from .output import print_json, print_line
from .progress import progress_reporter


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("evaluate")(evaluate)


@options.with_settings
def evaluate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    quick: Annotated[bool, typer.Option("--quick", help="A few people, for two minutes.")] = False,
    *,
    settings: Annotated[EvaluationSettings, options.Options()],
    render: Annotated[
        RenderSettings, options.Options(("references", "fidelity", "accept-licence"))
    ],
    runtime: options.HereOptions,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Measure the restorer against input, others and wrong references.

    Stills are restored from the person's other photos; of clips a film with near and far shots
    is made, and its far shots are restored from the near ones. With --tapes, tapes without one
    sharp face are made of both, and restored from albums. Writes evaluation.json, .md and
    .html, and comparison.mp4 for films.
    """
    from refrestore.evaluate.evaluation import evaluate as run

    if quick:
        settings = settings.quick()
    with progress_reporter(progress) as report:
        result = run(output, settings, runtime=runtime, render_settings=render, progress=report)
    files = {"table": result.markdown, "page": result.page, "figures": result.json}
    if result.comparison is not None:
        files["comparison"] = result.comparison
    if json:
        print_json(
            {
                **{name: str(file) for name, file in files.items()},
                "means": result.table.plain()["means"],
                "goals_reached": sum(goal.reached for goal in result.goals),
                "goals": len(result.goals),
                "notes": result.notes,
            }
        )
        return
    for row in result.table.markdown().splitlines():
        print_line(row)
    for note in result.notes:
        print_line(note)
    reached = sum(goal.reached for goal in result.goals)
    print_line(f"{reached} of {len(result.goals)} figures reached.")
    for name, file in files.items():
        print_line(f"  {name + ':':12}{file}")
