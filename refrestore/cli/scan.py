"""`refrestore scan`: pass 1."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refrestore.plain_text import counted

from . import options
from .output import print_json, print_line
from .progress import progress_reporter


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("scan")(scan)


@options.with_settings
def scan(
    video: Annotated[Path, typer.Argument(help="Video, or numbered pictures: frames/%06d.png.")],
    project: options.ProjectFolder,
    preset: options.PresetOption = None,
    profile: options.Profiles = None,
    *,
    settings: options.ScanOptions,
    runtime: options.RuntimeOptions,
    engine: options.EngineOptions,
    progress: options.Progress = "auto",
    json: options.Json = False,
) -> None:
    """Pass 1: find who is in a video and the close-ups to restore them from."""
    from dataclasses import asdict

    from refrestore.engine.whole_scan import scan as scan_video
    from refrestore.project import Project
    from refrestore.scan.recognise import match_identities

    from .advice import as_json, read_wanted, tell_wanted
    from .profile_words import match_of, match_words

    profiles = options.load_profiles(runtime, profile or [])
    with progress_reporter(progress) as report:
        summary = scan_video(
            video,
            project,
            settings=settings,
            runtime=runtime,
            progress=report,
            announce=report.note,
            engine=engine,
            heard=report.worker,
        )
    matches, people = {}, {}
    if profiles:
        with Project.open(project) as opened:
            people = {one.id: one.name for one in opened.identities()}
            matches = match_identities(opened, profiles, link=True, runtime=runtime)
    wanted = read_wanted(project)
    if json:
        said = [
            {"identity": number, "name": people[number], **match_of(answer)}
            for number, answer in matches.items()
        ]
        found = {"matches": said, "wanted": as_json(wanted)}
        print_json({"project": str(project), **asdict(summary), **found})
        return
    print_line(
        f"{counted(summary.frames, 'frame')}, {counted(summary.shots, 'shot')}: "
        f"{counted(summary.identities, 'person', 'people')} in "
        f"{counted(summary.tracks, 'appearance')}, {counted(summary.references, 'close-up')} kept."
    )
    for number, answer in matches.items():
        print_line(match_words(f"{number} {people[number]}", answer))
    tell_wanted(wanted, project)
    print_line(f"Look at them: refrestore review {project}")
    print_line(f"       or, here: refrestore identities list -p {project}")
