"""Command line: parse, validate, one call into the library; no logic of its own."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer
from pydantic import ValidationError

from refrestore import __version__
from refrestore.errors import RefrestoreError, Stopped, kept_notes

from .stopping import (
    SIGNALLED,
    StopHandler,
    command_line,
    go_on,
    leave,
    stopped_words,
    was_stopped,
)

DEBUG_VARIABLE = "REFRESTORE_DEBUG"

app = typer.Typer(
    name="refrestore",
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


def _mount() -> None:
    for group in ("identities", "profile", "models"):
        app.add_typer(importlib.import_module(f"{__name__}.{group}").app, name=group)
    for module in ("run", "review", "image", "compare", "demo", "evaluate", "doctor"):
        importlib.import_module(f"{__name__}.{module}").register(app)


_mount()


def main() -> None:
    """Run the command line; every expected error is one sentence and a non-zero exit."""
    handler = StopHandler()
    handler.install()
    try:
        app()
    except BaseException as error:
        if (stop := was_stopped(error)) is not None and not isinstance(error, SystemExit):
            _stop(error, stop)
        elif isinstance(error, RefrestoreError):
            _fail(_sentence(error), error.exit_code, error)
        elif isinstance(error, ValidationError):
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or error.title
            value = f"The value {first['input']!r} of {place} is not allowed: {first['msg']}."
            _fail(value, 2, error)
        raise
    finally:
        handler.uninstall()


def _sentence(error: RefrestoreError) -> str:
    """Return an error's sentence; where it ended a render, what is kept and how that goes on."""
    notes = [note for note in kept_notes(error) if note.goes_on]
    return f"{error} {go_on(notes, command_line())}" if notes else str(error)


def _fail(message: str, code: int, error: BaseException) -> None:
    if os.environ.get(DEBUG_VARIABLE) == "1":
        raise error
    sys.stderr.write(f"refrestore: {message}\n")
    raise SystemExit(code)


def _stop(error: BaseException, stop: Stopped) -> None:
    if os.environ.get(DEBUG_VARIABLE) == "1":
        raise error
    with suppress(OSError):  # a closed terminal
        sys.stderr.write(f"refrestore: {stopped_words(error, command_line())}\n")
    leave(SIGNALLED + stop.number)
