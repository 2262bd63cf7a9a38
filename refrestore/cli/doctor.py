"""`refrestore doctor`: what this machine has, and whether the main job would run."""

from __future__ import annotations

from typing import Annotated

import typer

from refrestore.config import RuntimeSettings

from . import options
from .output import print_json
from .tables import print_table

LOOKED_AT = options.Options(("device", "pack", "models-dir", "profiles-dir"))


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("doctor")(doctor)


@options.with_settings
def doctor(
    *,
    runtime: Annotated[
        RuntimeSettings, options.Options(("device", "pack", "models-dir", "profiles-dir"))
    ],
    json: options.Json = False,
) -> None:
    """Check Python, torch, onnxruntime, encoders, models and folders.

    Exit status 1 if the main job would not run, or would leave a GPU unused (unless --device cpu).
    """
    from refrestore.doctor import diagnose

    result = diagnose(runtime)
    if json:
        print_json(result.as_json())
    else:
        rows = [(check.state, check.name, check.detail) for check in result.checks]
        print_table(("STATE", "WHAT", "DETAIL"), rows)
    if not result.ok:
        raise typer.Exit(1)
