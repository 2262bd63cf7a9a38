"""`refrestore doctor`: what this machine has, and whether the main job would run."""

from __future__ import annotations

import typer

from . import options
from .output import print_json
from .tables import print_table


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("doctor")(doctor)


def doctor(
    device: options.DeviceOption = "auto",
    pack: options.PackOption = "lite",
    models_dir: options.ModelsDir = None,
    profiles_dir: options.ProfilesDir = None,
    json: options.Json = False,
) -> None:
    """Check Python, torch, onnxruntime, encoders, models and folders.

    Exit status 1 if the main job would not run, or would leave a GPU unused (unless --device cpu).
    """
    from refrestore.doctor import diagnose

    result = diagnose(options.runtime_settings(device, pack, models_dir, profiles_dir))
    if json:
        print_json(result.as_json())
    else:
        rows = [(check.state, check.name, check.detail) for check in result.checks]
        print_table(("STATE", "WHAT", "DETAIL"), rows)
    if not result.ok:
        raise typer.Exit(1)
