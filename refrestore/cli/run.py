"""The commands a user lives in: run, render, preview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from refrestore.config import (
    EncoderSettings,
    ExportSettings,
    RenderSettings,
    ScanSettings,
)
from refrestore.errors import UsageError
from refrestore.plain_text import counted
from refrestore.render.person_words import UNSEEN, sentences

from . import options
from .output import print_json, print_line
from .parse import parse_time
from .progress import Reporter, progress_reporter

ExportFaces = Annotated[
    Path | None,
    typer.Option(
        "--export-faces",
        metavar="DIR",
        help="Write faces as pictures, by person and time: cropped, restored, compare.",
    ),
]
ExportEvery = Annotated[
    int | None,
    typer.Option(
        "--export-every",
        min=1,
        help="Export every n-th frame (default 25), of each appearance one face at least, "
        "of each person at most 200.",
    ),
]


_TOLD = 5
"""People whom the terminal is told of, those seen longest."""


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command("run")(run)
    app.command("render")(render)
    app.command("preview")(preview)


def run(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Videos to restore.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Output video, or a folder for several.")
    ],
    preset: options.PresetOption = None,
    profile: options.Profiles = None,
    project: Annotated[
        Path | None, typer.Option("--project", "-p", help="Project folder; default beside OUTPUT.")
    ] = None,
    container: options.ContainerOption = None,
    scale: options.Scale = 1,
    strength: options.Strength = 1.0,
    references: options.References = 5,
    min_face: options.MinFace = 16,
    unfocused: options.Unfocused = False,
    codec: options.Codec = None,
    crf: options.Crf = None,
    bitrate: options.Bitrate = None,
    encoder_preset: options.EncoderPreset = None,
    pix_fmt: options.PixFmt = None,
    start: options.Start = None,
    end: options.End = None,
    detect_every: options.DetectEvery = 5,
    deinterlace: options.Deinterlacing = "auto",
    denoise: options.Denoising = "off",
    video_stream: options.VideoStream = None,
    batch: options.Batch = "auto",
    background: options.Background = None,
    export_faces: ExportFaces = None,
    export_every: ExportEvery = None,
    device: options.DeviceOption = "auto",
    pack: options.PackOption = "lite",
    models_dir: options.ModelsDir = None,
    profiles_dir: options.ProfilesDir = None,
    threads: options.Threads = None,
    engine: options.Engine = "local",
    ray_address: options.RayAddress = None,
    workers: options.Workers = None,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Restore videos from end to end: scan, recognise, render, report."""
    from refrestore.engine.run import run as run_all

    runtime = options.runtime_settings(device, pack, models_dir, profiles_dir, threads)
    cluster = options.engine_settings(engine, ray_address, workers)
    people = options.load_profiles(runtime, profile or [])
    with progress_reporter(progress) as report:
        results = run_all(
            videos,
            output,
            profiles=people,
            project=project,
            container=container,
            scan_settings=ScanSettings(
                detect_every=detect_every,
                min_face=min_face,
                deinterlace=deinterlace,
                denoise=denoise,
                video_stream=video_stream,
            ),
            render_settings=RenderSettings.model_validate(
                {
                    "scale": scale,
                    "strength": strength,
                    "references": references,
                    "min_face": min_face,
                    "unfocused": unfocused,
                    "start": start,
                    "end": end,
                    "batch": batch,
                    "background": background,
                }
            ),
            encoder=_encoder(codec, crf, bitrate, encoder_preset, pix_fmt),
            runtime=runtime,
            export=_export(export_faces, export_every),
            progress=report,
            announce=report.note,
            engine=cluster,
            heard=report.worker,
        )
    if json:
        print_json({"results": [_result(result) for result in results]})
        return
    for result in results:
        _tell(result, report, "run again with --profile NAME")


def render(
    project: options.ProjectFolder,
    output: Annotated[Path, typer.Option("--output", "-o", help="Output video.")],
    video: Annotated[
        Path | None, typer.Option("--video", help="The source, if it was moved.")
    ] = None,
    preset: options.PresetOption = None,
    scale: options.Scale = 1,
    strength: options.Strength = 1.0,
    references: options.References = 5,
    min_face: options.MinFace = 16,
    unfocused: options.Unfocused = False,
    codec: options.Codec = None,
    crf: options.Crf = None,
    bitrate: options.Bitrate = None,
    encoder_preset: options.EncoderPreset = None,
    pix_fmt: options.PixFmt = None,
    start: options.Start = None,
    end: options.End = None,
    batch: options.Batch = "auto",
    background: options.Background = None,
    export_faces: ExportFaces = None,
    export_every: ExportEvery = None,
    device: options.DeviceOption = "auto",
    pack: options.PackOption = "lite",
    models_dir: options.ModelsDir = None,
    profiles_dir: options.ProfilesDir = None,
    threads: options.Threads = None,
    engine: options.Engine = "local",
    ray_address: options.RayAddress = None,
    workers: options.Workers = None,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Pass 2: restore a scanned and reviewed project; goes on where it was stopped."""
    from refrestore.engine.local import render as render_project
    from refrestore.project import Project

    runtime = options.runtime_settings(device, pack, models_dir, profiles_dir, threads)
    cluster = options.engine_settings(engine, ray_address, workers)
    with Project.open(project) as opened, progress_reporter(progress) as report:
        result = render_project(
            opened,
            output,
            settings=RenderSettings.model_validate(
                {
                    "scale": scale,
                    "strength": strength,
                    "references": references,
                    "min_face": min_face,
                    "unfocused": unfocused,
                    "start": start,
                    "end": end,
                    "batch": batch,
                    "background": background,
                }
            ),
            encoder=_encoder(codec, crf, bitrate, encoder_preset, pix_fmt),
            runtime=runtime,
            profiles=options.linked_profiles(runtime, opened),
            video=video,
            export=_export(export_faces, export_every),
            progress=report,
            announce=report.note,
            engine=cluster,
            heard=report.worker,
        )
    if json:
        print_json(_result(result))
        return
    _tell(result, report, f"refrestore identities link ID NAME -p {project}, and render again")


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
    scale: options.Scale = 1,
    strength: options.Strength = 1.0,
    references: options.References = 5,
    unfocused: options.Unfocused = False,
    background: options.Background = None,
    device: options.DeviceOption = "auto",
    pack: options.PackOption = "lite",
    models_dir: options.ModelsDir = None,
    profiles_dir: options.ProfilesDir = None,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Restore one moment and write it as two pictures, before and after."""
    from refrestore.media.stills import write_picture
    from refrestore.project import Project
    from refrestore.render.preview import preview as preview_project

    runtime = options.runtime_settings(device, pack, models_dir, profiles_dir, threads)
    settings = RenderSettings.model_validate(
        {
            "scale": scale,
            "strength": strength,
            "references": references,
            "unfocused": unfocused,
            "background": background,
        }
    )
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


def _encoder(
    codec: str | None,
    crf: float | None,
    bitrate: int | None,
    preset: str | None,
    pix_fmt: str | None,
) -> EncoderSettings:
    """Return the settings asked for; `model_fields_set` tells which those are."""
    given = {
        "codec": codec, "crf": crf, "bitrate": bitrate, "preset": preset, "pixel_format": pix_fmt
    }  # fmt: skip
    asked = {name: value for name, value in given.items() if value is not None}
    return EncoderSettings.model_validate(asked)


def _export(folder: Path | None, every: int | None) -> ExportSettings | None:
    if folder is None:
        if every is not None:
            raise UsageError("--export-every says which faces to write; give --export-faces DIR.")
        return None
    return (
        ExportSettings(folder=folder)
        if every is None
        else ExportSettings(folder=folder, every=every)
    )


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
    print_line(f"{result.output}: {summary['frames']} frames, {counted_faces(summary)}.")
    for note in summary["notes"]:
        if not report.told(note):
            print_line(note)
    _tell_people(summary["identities"])
    if any(one["wanted"] for one in summary["identities"]):
        print_line(f"With photos: refrestore profile build NAME --photos FOLDER; then {then}.")
    print_line(f"Report: {result.page}")
    if result.exported is not None:
        print_line(f"Faces: {result.exported}")
