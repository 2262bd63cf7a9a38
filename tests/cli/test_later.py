"""What a command does not need is not loaded: a list of modules, no clock."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from fractions import Fraction

import pytest
import typer
from typer.testing import CliRunner

from refrestore.cli import COMMANDS, app
from refrestore.cli.later import Later
from refrestore.project import Project, VideoSource
from refrestore.types import Geometry

HEAVY = frozenset(
    {"av", "cv2", "faiss", "fastapi", "insightface", "jinja2", "matplotlib", "onnx", "onnxruntime"}
    | {"PIL", "scipy", "skimage", "spandrel", "torch", "torchvision", "uvicorn"}
)
"""Packages that take a tenth of a second or more to load."""

SETTINGS = frozenset({"numpy", "pydantic"})
"""What reading a project takes, and the help does not."""

LISTED = """
import sys
from refrestore.__main__ import main
sys.argv = ["refrestore", *sys.argv[1:]]
try:
    main()
finally:
    print("loaded:", *{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def loaded(*words: str, **environment: str) -> set[str]:
    """Return the packages that a command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", LISTED, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split()[1:])


@pytest.fixture
def project(tmp_path):
    source = VideoSource(
        path=tmp_path / "film.mp4",
        fingerprint="0" * 64,
        geometry=Geometry(64, 48),
        start=Fraction(0),
        rate=Fraction(25),
        frames=10,
        duration=Fraction(10, 25),
    )
    Project.create(tmp_path / "project", source).close()
    return tmp_path / "project"


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["identities", "--help"]])
def test_help_loads_no_library(words) -> None:
    unneeded = HEAVY if words[0] == "identities" else HEAVY | SETTINGS
    assert not loaded(*words) & unneeded


def test_completion_loads_no_library() -> None:
    asked = {
        "_REFRESTORE_COMPLETE": "complete_bash",
        "COMP_WORDS": "refrestore re",
        "COMP_CWORD": "1",
    }
    assert not loaded(**asked) & HEAVY


def test_listing_people_loads_what_reads_a_project(project) -> None:
    assert not loaded("identities", "list", "-p", str(project)) & HEAVY


def test_the_pages_first_answer_waits_for_no_torch() -> None:
    code = "import sys, refrestore.review.server; print(*sys.modules)"
    known = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "onnxruntime", "faiss"} & set(known.stdout.split())


def test_the_listed_words_are_the_commands_own() -> None:
    root = typer.main.get_command(app)
    for name, home in COMMANDS.items():
        later = root.commands[name]
        assert isinstance(later, Later)
        command = later.load()
        assert command.name == name
        assert inspect.cleandoc(command.help).split("\n\n")[0].replace("\n", " ") == home.words


def test_commands_of_later_modules_run() -> None:
    for words in (["models", "path", "--help"], ["scan", "--help"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        assert " ".join(words[:-1]) in result.output


def test_unknown_commands_are_named_with_their_like() -> None:
    result = CliRunner().invoke(app, ["rendr"])
    assert result.exit_code == 2
    assert "render" in result.output
