"""`refrestore review`: look at the people of a project in the browser, correct them, render."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from refrestore.errors import Stopped, UsageError

from . import options
from .output import print_line


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("review")(review)


def review(
    project: Annotated[Path, typer.Argument(metavar="PROJECT", help="Project folder.")],
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes any that is free.")
    ] = 8765,
    host: Annotated[
        str,
        typer.Option("--host", help="Address to listen on; the default is for this machine only."),
    ] = "127.0.0.1",
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address only.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Default output; renders go to its folder."),
    ] = None,
    video: Annotated[
        Path | None, typer.Option("--video", help="The source, if it was moved.")
    ] = None,
    device: options.DeviceOption = "auto",
    pack: options.PackOption = "lite",
    models_dir: options.ModelsDir = None,
    profiles_dir: options.ProfilesDir = None,
    threads: options.Threads = None,
) -> None:
    """Look at the people of a project in the browser, correct them, preview and render."""
    try:
        from refrestore.review.server import serve
        from refrestore.review.settings import ReviewSettings
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("fastapi", "uvicorn", "starlette"):
            raise
        raise UsageError(
            f"The review page needs {error.name}, which is not installed: "
            "pip install 'refrestore[review]'."
        ) from error
    settings = ReviewSettings(
        project=project,
        host=host,
        port=port,
        runtime=options.runtime_settings(device, pack, models_dir, profiles_dir, threads),
        output=output,
        video=video,
        open_browser=not no_browser,
    )
    try:
        serve(settings, print_line, lambda sentence: typer.echo(sentence, err=True))
    except Stopped as stop:
        if stop.number != signal.SIGINT:
            raise
        typer.echo("The page is closed; every edit is kept.", err=True)  # the ordinary end
