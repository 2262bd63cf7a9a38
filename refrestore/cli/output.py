"""Results on stdout: one JSON object for programs, lines for people."""

from __future__ import annotations

import json
from typing import Any

import typer


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_line(text: str) -> None:
    """Print one line."""
    typer.echo(text)
