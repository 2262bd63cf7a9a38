"""What sentences, help texts and documents tell a user to type exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

import refrestore
from refrestore.cli import app
from refrestore.cli.later import Later

PACKAGE = Path(refrestore.__file__).parent
ROOT = PACKAGE.parent

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
OURS = re.compile(r"refrestore [^`\"'\n]*")

ELSEWHERE = {
    "--no-", "--update-lite", "--force-reinstall", "--no-deps", "--query-gpu", "--format", "--head"
}  # fmt: skip
"""Begins names of what is switched off; options of `python -m refrestore.models`, for who trains,
of pip, of nvidia-smi and of Ray."""


def inside(command) -> Iterator[tuple[str, object]]:
    """Yield the name of each command of a group, and the command."""
    for name, inner in getattr(command, "commands", {}).items():
        yield name, inner.load() if isinstance(inner, Later) else inner


def commands(
    command=None, name: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Yield the path and the options of each command."""
    command = command or typer.main.get_command(app)
    options = {"--help"}
    for param in command.params:
        options |= {*param.opts, *param.secondary_opts}
    yield name, options
    for own, inner in inside(command):
        yield from commands(inner, (*name, own))


KNOWN = dict(commands())
ANY = set().union(*KNOWN.values()) | ELSEWHERE


@cache
def sentences() -> list[tuple[str, str]]:
    """Return every text in the package's code, with what an f-string fills in as X."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.JoinedStr):
                parts = (
                    str(part.value) if isinstance(part, ast.Constant) else "X"
                    for part in node.values
                )
                found.append((place, "".join(parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append((place, node.value))
    return found


def documents() -> Iterator[tuple[str, str]]:
    """Yield the lines of the documents that name commands of ours."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if "python " not in line:
                for part in OURS.findall(line):
                    yield f"{path.relative_to(ROOT)}:{number}", part


def wrong(place: str, text: str) -> Iterator[str]:
    for option in OPTION.findall(text):
        if option not in ANY:
            yield f"{place}: there is no option {option}"


def misplaced(place: str, text: str) -> Iterator[str]:
    """Yield what is wrong with the commands in backticks."""
    for code in re.findall(r"`(refrestore [^`]+)`", text):
        words = code.split()[1:]
        name: tuple[str, ...] = ()
        while words and (*name, words[0]) in KNOWN:
            name = (*name, words.pop(0))
        if not name or (words and words[0].islower() and any(k[:-1] == name for k in KNOWN)):
            yield f"{place}: there is no command {code}"
        for option in OPTION.findall(code):
            if option not in KNOWN[name]:
                yield f"{place}: {' '.join(name)} has no option {option}"


@pytest.mark.parametrize("texts", [sentences, documents])
def test_options_and_commands_that_are_named_exist(texts):
    found = [
        error for place, text in texts() for error in (*wrong(place, text), *misplaced(place, text))
    ]
    assert not found, "\n".join(dict.fromkeys(found))


def test_help_names_only_options_there_are():
    def texts(command, name: str) -> Iterator[tuple[str, str]]:
        yield name, command.help or ""
        yield from ((name, getattr(param, "help", None) or "") for param in command.params)
        for own, inner in inside(command):
            yield from texts(inner, f"{name} {own}")

    found = [
        error
        for place, text in texts(typer.main.get_command(app), "refrestore")
        for error in (*wrong(place, text), *misplaced(place, text))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "advice",
    ["ask for it to be", "or overwrite it", "apply with force"],
)
def test_nobody_is_told_to_do_what_has_no_name(advice):
    assert not [place for place, text in sentences() if advice in text]
