"""`refrestore evaluate`: the restorer against its alternatives, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refrestore.config import RenderSettings, stage_named

from . import options
from .output import print_json, print_line
from .progress import progress_reporter


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("evaluate")(evaluate)


@options.with_settings
def evaluate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    stills: Annotated[
        list[Path] | None,
        typer.Option("--stills", help="Folder that holds a folder of photos a person; repeatable."),
    ] = None,
    clips: Annotated[
        list[Path] | None,
        typer.Option("--clips", help="Folder with clips of talking heads, or a clip; repeatable."),
    ] = None,
    people: Annotated[
        list[str] | None,
        typer.Option(
            "--people", help="Only this folder of photos or clip (without suffix); repeatable."
        ),
    ] = None,
    degradation: Annotated[
        list[str] | None,
        typer.Option(
            "--degradation",
            help="Of stills, as moderate or 24px (another word lists all); repeatable.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few people, for two minutes.")] = False,
    photos: Annotated[
        int | None, typer.Option("--photos", min=1, help="Photos restored of each person.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the degradations.")] = 0,
    references: Annotated[
        int, typer.Option("--references", min=1, max=8, help="References used per face.")
    ] = 5,
    second_stage: Annotated[
        list[str] | None,
        typer.Option(
            "--second-stage",
            metavar="NAME|FILE",
            help="A restorer as for render: alone, as its own tool runs it, and behind ours; "
            "repeatable.",
        ),
    ] = None,
    switches: Annotated[
        bool,
        typer.Option("--switches", help="A row more for each part of the restorer left out."),
    ] = False,
    tapes: Annotated[
        bool,
        typer.Option(
            "--tapes", help="Put these people on tapes, and restore them from photos that are not."
        ),
    ] = False,
    *,
    stages: Annotated[RenderSettings, options.Options(("fidelity", "accept-licence"))],
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
    from refrestore.evaluate.settings import EvaluationSettings

    given = {
        "stills": stills or (),
        "clips": clips or (),
        "people": people or (),
        "degradations": degradation,
        "photos": photos,
        "seed": seed,
        "second_stages": [stage_named(one) for one in second_stage or ()],
        "switches": switches,
        "tapes": tapes,
    }
    asked = {name: value for name, value in given.items() if value is not None}
    settings = EvaluationSettings.model_validate(asked)
    if quick:
        settings = settings.quick()
    with progress_reporter(progress) as report:
        result = run(
            output,
            settings,
            runtime=runtime,
            render_settings=stages.model_copy(update={"references": references}),
            progress=report,
        )
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
