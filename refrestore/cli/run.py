"""The commands a user lives in: run, render, preview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from refrestore.config import PipeFormat, RenderSettings
from refrestore.errors import UsageError
from refrestore.plain_text import counted
from refrestore.render.person_words import UNSEEN, sentences

from . import options
from .output import print_json, print_line
from .parse import parse_time
from .progress import Reporter, progress_reporter

PREVIEWED = options.Options(
    ("scale", "strength", "references", "unfocused", "background", *options.STAGE_OPTIONS)
)

_TOLD = 5
"""People whom the terminal is told of, those seen longest."""


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command("run")(run)
    app.command("render")(render)
    app.command("preview")(preview)


@options.with_settings
def run(
    videos: Annotated[
        list[Path],
        typer.Argument(metavar="VIDEO...", help="Videos, or numbered pictures: frames/%06d.png."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Output video, or numbered pictures (new/%06d.png), or a folder for several.",
        ),
    ],
    preset: options.PresetOption = None,
    profile: options.Profiles = None,
    project: Annotated[
        Path | None, typer.Option("--project", "-p", help="Project folder; default beside OUTPUT.")
    ] = None,
    *,
    asked: options.FilmOptions,
    export: options.ExportOptions,
    runtime: options.RuntimeOptions,
    engine: options.EngineOptions,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Restore videos from end to end: scan, recognise, render, report."""
    from refrestore.engine.run import run as run_all

    people = options.load_profiles(runtime, profile or [])
    with progress_reporter(progress) as report:
        results = run_all(
            videos,
            output,
            profiles=people,
            project=project,
            container=asked.container,
            scan_settings=asked.scan,
            render_settings=asked.render,
            encoder=asked.encoder,
            runtime=runtime,
            export=export,
            progress=report,
            announce=report.note,
            engine=engine,
            heard=report.worker,
        )
    if json:
        print_json({"results": [_result(result) for result in results]})
        return
    for result in results:
        _tell(result, report, "run again with --profile NAME")


@options.with_settings
def render(
    project: options.ProjectFolder,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Output video, or numbered pictures (new/%06d.png), or - for a pipe.",
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[VIDEO]", help="The source, if it was moved; - if it comes through a pipe."
        ),
    ] = None,
    video: Annotated[Path | None, typer.Option("--video", help="The same as VIDEO.")] = None,
    pipe: Annotated[
        PipeFormat | None,
        typer.Option("--pipe", help="With -o -: y4m (default), or nut, which keeps times."),
    ] = None,
    preset: options.PresetOption = None,
    *,
    settings: options.RenderOptions,
    encoder: options.EncoderOptions,
    export: options.ExportOptions,
    runtime: options.RuntimeOptions,
    engine: options.EngineOptions,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Pass 2: restore a scanned and reviewed project; goes on where it was stopped."""
    if source is not None and video is not None:
        raise UsageError("VIDEO and --video are the same: give one of them.")
    video = video or source
    again = f"refrestore identities link ID NAME -p {project}, and render again"
    if str(output) == "-" or str(video) == "-":
        from .piped import render_into_pipe

        if json or export is not None or engine.name != "local":
            raise UsageError("--json, --export-faces and --engine ray are not for pipes.")
        render_into_pipe(
            project,
            output,
            video,
            pipe,
            progress,
            lambda result, report: _tell(result, report, again),
            settings=settings,
            encoder=encoder,
            runtime=runtime,
        )
        return
    if pipe is not None:
        raise UsageError("--pipe says what goes into a pipe: give -o - with it.")
    from refrestore.engine.local import render as render_project
    from refrestore.project import Project

    with Project.open(project) as opened, progress_reporter(progress) as report:
        result = render_project(
            opened,
            output,
            settings=settings,
            encoder=encoder,
            runtime=runtime,
            profiles=options.linked_profiles(runtime, opened),
            video=video,
            export=export,
            progress=report,
            announce=report.note,
            engine=engine,
            heard=report.worker,
        )
    if json:
        print_json(_result(result))
        return
    _tell(result, report, again)


@options.with_settings
def preview(
    project: options.ProjectFolder,
    at: Annotated[
        Any,
        typer.Option(
            "--at", parser=parse_time, metavar="TIME", help="Which moment; as for render --start."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for before.png and after.png.")
    ] = Path(),
    video: Annotated[
        Path | None, typer.Option("--video", help="The source, if it was moved.")
    ] = None,
    *,
    settings: Annotated[RenderSettings, PREVIEWED],
    runtime: options.RuntimeOptions,
    json: options.Json = False,
) -> None:
    """Restore one moment and write it as two pictures, before and after."""
    from refrestore.media.stills import write_picture
    from refrestore.project import Project
    from refrestore.render.preview import preview as preview_project

    with Project.open(project) as opened:
        shown = preview_project(
            opened,
            at,
            settings=settings,
            runtime=runtime,
            profiles=options.linked_profiles(runtime, opened),
            video=video,
        )
    output.mkdir(parents=True, exist_ok=True)
    files = {"before": output / "before.png", "after": output / "after.png"}
    write_picture(files["before"], shown.before)
    write_picture(files["after"], shown.after)
    if json:
        names = {name: str(file) for name, file in files.items()}
        print_json({"time": float(shown.time), "faces": shown.faces, **names})
        return
    print_line(f"{shown.faces} faces restored at {float(shown.time):.3f} s.")
    print_line(f"{files['before']}  {files['after']}")


def _result(result: Any) -> dict[str, Any]:
    people = [
        {key: value for key, value in person.items() if key not in ("pictures", "thumbnails")}
        for person in result.summary["identities"]
    ]
    return {
        "output": str(result.output),
        "report": str(result.report),
        "page": str(result.page),
        "exported_faces": None if result.exported is None else str(result.exported),
        **{
            key: result.summary[key]
            for key in ("frames", "faces", "unreferenced", "unseen", "wall_seconds", "notes")
        },
        "identities": people,
    }


def counted_faces(summary: Mapping[str, Any]) -> str:
    """Return how many faces were restored from close-ups, without, and for nobody to see."""
    plain, unseen = summary["unreferenced"], summary["unseen"]
    said = f"{counted(summary['faces'] - plain, 'face')} restored from close-ups"
    said += f", {plain} cleaned without" if plain else ""
    return f"{said}, {unseen} {UNSEEN}" if unseen else said


def _tell_people(people: Sequence[Mapping[str, Any]]) -> None:
    told = [(one["name"], said) for one in people if (said := sentences(one))]
    for name, said in told[:_TOLD]:
        for sentence in said:
            print_line(f"  {name}: {sentence[0].lower()}{sentence[1:]}")
    if (more := len(told) - _TOLD) > 0:
        print_line(f"  The report says the same of {more} more, who are seen less.")


def _tell(result: Any, report: Reporter, then: str) -> None:
    """Print what was done; `then` is what to do when there are profiles."""
    summary = result.summary
    frames = counted(summary["frames"], "frame")
    print_line(f"{result.output}: {frames}, {counted_faces(summary)}.")
    for note in summary["notes"]:
        if not report.told(note):
            print_line(note)
    _tell_people(summary["identities"])
    if any(one["wanted"] for one in summary["identities"]):
        print_line(f"With photos: refrestore profile build NAME --photos FOLDER; then {then}.")
    print_line(f"Report: {result.page}")
    if result.exported is not None:
        print_line(f"Faces: {result.exported}")
