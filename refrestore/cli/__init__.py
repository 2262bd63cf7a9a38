"""Command line: parse, validate, one call into the library; no logic of its own."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from refrestore import __version__
from refrestore.errors import RefrestoreError, Stopped, kept_notes
from refrestore.plain_text import plain

from .later import Home
from .names import path_failures
from .output import prepare_streams
from .stopping import (
    SIGNALLED,
    StopHandler,
    command_line,
    go_on,
    leave,
    stopped_words,
    was_stopped,
)
from .usage import PlainGroup

DEBUG_VARIABLE = "REFRESTORE_DEBUG"

COMMANDS = {
    "run": Home("run", "Restore videos from end to end: scan, recognise, render, report."),
    "scan": Home("scan", "Pass 1: find who is in a video and the close-ups to restore them from."),
    "render": Home(
        "run", "Pass 2: restore a scanned and reviewed project; goes on where it was stopped."
    ),
    "batch": Home(
        "batch", "Many films: a queue of them, scanned, reviewed and rendered one after another."
    ),
    "preview": Home("run", "Restore one moment and write it as two pictures, before and after."),
    "review": Home(
        "review",
        "Look at the people of a project in the browser, correct them, preview and render.",
    ),
    "image": Home("image", "Restore faces of still pictures from a person's profile."),
    "compare": Home(
        "compare",
        "Show a film before and after: side by side, split by a moving line, or faces only.",
    ),
    "demo": Home("demo", "Make a film, find its people, restore it and show what changed."),
    "evaluate": Home(
        "evaluate",
        "Measure the restorer against input, others and wrong references.",
    ),
    "doctor": Home("doctor", "Check Python, torch, onnxruntime, encoders, models and folders."),
    "identities": Home("identities", "Look at the people of a project and correct them."),
    "profile": Home("profile", "Build, look at and exchange profiles of people."),
    "presets": Home("presets", "List the presets of --preset, or show one."),
    "project": Home("project", "The project folder: check it, repair it."),
    "models": Home("models", "Model files: list, download, verify."),
}
"""What the help lists, so that it loads none of it (tests/cli/test_later.py holds the words)."""


class Root(PlainGroup):
    """The command line: its commands, in the order of its help."""

    homes = COMMANDS


app = typer.Typer(
    name="refrestore",
    cls=Root,
    help="Restore the faces of a video from the people's own close-ups.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line; every expected error is one sentence and a non-zero exit."""
    prepare_streams()
    handler = StopHandler()
    handler.install()
    try:
        with path_failures(sys.argv[1:]):
            app()
    except BaseException as error:
        if (stop := was_stopped(error)) is not None and not isinstance(error, SystemExit):
            _stop(error, stop)
        elif isinstance(error, RefrestoreError):
            _fail(_sentence(error), error.exit_code, error)
        elif (refused := _refused_value(error)) is not None:
            _fail(refused, 2, error)
        raise
    finally:
        handler.uninstall()


def _sentence(error: RefrestoreError) -> str:
    """Return an error's sentence; where it ended a render, what is kept and how that goes on."""
    notes = [note for note in kept_notes(error) if note.goes_on]
    return f"{error} {go_on(notes, command_line())}" if notes else str(error)


def _refused_value(error: BaseException) -> str | None:
    """Say which value the settings refused, if that is what the error says."""
    pydantic = sys.modules.get("pydantic")  # where nothing has loaded it, nothing was refused
    if pydantic is None or not isinstance(error, pydantic.ValidationError):
        return None
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or error.title
    reason = first["msg"].removeprefix("Value error, ")
    return f"The value {first['input']!r} of {place} is not allowed: {reason}."


def _fail(message: str, code: int, error: BaseException) -> None:
    if os.environ.get(DEBUG_VARIABLE) == "1":
        raise error
    sys.stderr.write(f"refrestore: {plain(message)}\n")
    raise SystemExit(code)


def _stop(error: BaseException, stop: Stopped) -> None:
    if os.environ.get(DEBUG_VARIABLE) == "1":
        raise error
    with suppress(OSError):  # a closed terminal
        sys.stderr.write(f"refrestore: {stopped_words(error, command_line())}\n")
    leave(SIGNALLED + stop.number)
