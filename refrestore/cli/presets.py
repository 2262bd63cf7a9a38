"""`refrestore presets`: what `--preset` takes."""

from __future__ import annotations

from typing import Annotated

import typer

from refrestore.presets import load_preset, preset_names

from . import options
from .output import print_json, print_line
from .tables import print_table


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("presets")(presets)


def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="[FILE|NAME]", help="The one to show.")
    ] = None,
    json: options.Json = False,
) -> None:
    """List the presets of --preset, or show one."""
    if name is None:
        known = [load_preset(one) for one in preset_names()]
        if json:
            print_json({"presets": [{"name": one.name, "about": one.about} for one in known]})
        else:
            print_table(("name", "what for"), [(one.name, one.about) for one in known])
        return
    shown = load_preset(name)
    if json:
        print_json({"name": shown.name, "about": shown.about, "options": dict(shown.values)})
        return
    if shown.about:
        print_line(shown.about)
    for option, value in shown.values.items():
        said = value if isinstance(value, str) else f"{value}".lower()
        print_line(f"  --{option}" if value is True else f"  --{option} {said}")
