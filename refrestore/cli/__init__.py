"""Command line: parse, validate, one call into the library; no logic of its own."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated

import typer
from pydantic import ValidationError

from refrestore import __version__
from refrestore.errors import RefrestoreError

from .names import path_failures

DEBUG_VARIABLE = "REFRESTORE_DEBUG"
INTERRUPTED = 130
"""Exit status after Ctrl-C, by the shells' convention (128 + SIGINT)."""

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
    try:
        with path_failures(sys.argv[1:]):
            app()
    except RefrestoreError as error:
        _fail(str(error), error.exit_code, error)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or error.title
        _fail(f"The value {first['input']!r} of {place} is not allowed: {first['msg']}.", 2, error)
    except KeyboardInterrupt as error:
        _fail("Interrupted; what was finished is kept.", INTERRUPTED, error)


def _fail(message: str, code: int, error: BaseException) -> None:
    if os.environ.get(DEBUG_VARIABLE) == "1":
        raise error
    sys.stderr.write(f"refrestore: {message}\n")
    raise SystemExit(code)
