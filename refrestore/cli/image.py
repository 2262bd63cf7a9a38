"""`refrestore image`: still pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from refrestore.config import RenderSettings
from refrestore.errors import UsageError
from refrestore.plain_text import counted
from refrestore.render.person_words import greys, reason_words

from . import options
from .output import print_json, print_line

RESTORED = options.Options(
    ("scale", "strength", *options.STAGE_OPTIONS, "provenance", "name-people", "c2pa-key")
)


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("image")(image)


@options.with_settings
def image(
    photos: Annotated[
        list[Path],
        typer.Argument(metavar="PHOTO...", help="Pictures to restore, or folders of them."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Output picture, or a folder for several.")
    ],
    profile: Annotated[str | None, typer.Option("--profile", help="Whose face it is.")] = None,
    no_references: Annotated[
        bool, typer.Option("--no-references", help="Restore without references.")
    ] = False,
    *,
    settings: Annotated[RenderSettings, RESTORED],
    runtime: options.RuntimeOptions,
    json: options.Json = False,
) -> None:
    """Restore faces of still pictures from a person's profile."""
    from refrestore.engine.still_files import restore_pictures

    if (profile is None) != no_references:
        raise UsageError("Say whose face it is with --profile NAME, or give --no-references.")
    person = None if profile is None else options.load_profiles(runtime, [profile])[0]
    results = restore_pictures(photos, output, profile=person, settings=settings, runtime=runtime)
    if json:
        print_json(
            {
                "pictures": [
                    {"input": str(source), "output": str(target), "faces": result.summary()}
                    for source, target, result in results
                ]
            }
        )
        return
    for _, target, result in results:
        faces = result.summary()
        print_line(f"{target}: {counted(len(faces), 'face')}" + (":" if faces else " found."))
        for face in faces:
            print_line(f"  {face['size']:.0f} px: {_said(face, profile)}")


def _said(face: dict[str, Any], profile: str | None) -> str:
    """Return what was done to a face."""
    from refrestore.restore.guard import Choice

    if face["done"] == Choice.INPUT.value:
        return f"left alone, {reason_words(face['reason'], profile)}"
    said = f"{face['done']}, {greys(face['change'])}"
    before, after = face["similarity"]["input"], face["similarity"]["restored"]
    if face["done"] != Choice.RESTORED.value or before is None or after is None:
        return f"{said} ({reason_words(face['reason'], profile)})"
    return f"{said}; likeness to {profile} {before:.2f} before, {after:.2f} after"
