"""`refrestore review`: look at the people of a project in the browser, correct them, render."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from refrestore.errors import Stopped, UsageError
from refrestore.review.review_settings import PageSettings, ReviewSettings

from . import options
from .output import print_line, print_note


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("review")(review)


@options.with_settings
def review(
    project: Annotated[
        Path,
        typer.Argument(
            metavar="PROJECT|QUEUE", help="Project folder, or the queue of `refrestore batch`."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Default output; renders go to its folder."),
    ] = None,
    video: Annotated[
        Path | None, typer.Option("--video", help="The source, if it was moved.")
    ] = None,
    *,
    page: Annotated[PageSettings, options.Options()],
    render: options.StageOptions,
    runtime: options.RuntimeOptions,
) -> None:
    """Look at the people of a project in the browser, correct them, preview and render."""
    try:
        from refrestore.review.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("fastapi", "uvicorn", "starlette"):
            raise
        raise UsageError(
            f"The review page needs {error.name}, which is not installed: "
            "pip install 'refrestore[review]'."
        ) from error
    settings = ReviewSettings(
        project=project,
        render=render,
        runtime=runtime,
        output=output,
        video=video,
        **dict(page),
    )
    wishes = lines_typed(sys.stdin.fileno()) if sys.stdin and sys.stdin.isatty() else None
    try:
        serve(settings, print_line, print_note, wishes)
    except Stopped as stop:
        if stop.number != signal.SIGINT:
            raise
        print_note("The page is closed; every edit is kept.")  # the ordinary end


def lines_typed(terminal: int) -> Iterator[None]:
    """Come by whenever a line was typed, until no more can be.

    Parameters
    ----------
    terminal
        Its descriptor: reading from `sys.stdin` in a thread would hold a lock at the end.
    """
    while _ours(terminal) and os.read(terminal, 4096):
        yield


def _ours(terminal: int) -> bool:
    """Wait for a line; say whether it is for this program."""
    if os.name != "posix":
        return True
    try:
        # Who reads in the background is stopped by the system.
        while select.select([terminal], [], []) and os.tcgetpgrp(terminal) != os.getpgrp():
            time.sleep(1)
    except OSError:
        return False
    return True
