"""Results on stdout: one JSON object for programs, lines for people.

Every word that people see goes through `plain` on its way: names and titles are other people's.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import typer

from refrestore.plain_text import PlainFormatter, json_text, plain


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object."""
    typer.echo(json_text(value))


def print_line(text: str) -> None:
    """Print one line."""
    typer.echo(plain(text))


def print_note(text: str) -> None:
    """Print one line on stderr, beside the results."""
    typer.echo(plain(text), err=True)


def prepare_streams() -> None:
    """Make warnings plain, and letters that a terminal's encoding lacks no failure."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    logging.lastResort = handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(PlainFormatter())
