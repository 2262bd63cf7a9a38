"""Options are fields of the settings: one place for name, type, bounds, help and default."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field
from typer.testing import CliRunner

import refrestore.cli
from refrestore.cli import options
from refrestore.config import EngineSettings, ExportSettings, FilmSettings, RuntimeSettings
from refrestore.errors import UsageError
from refrestore.typed_settings import INSIDE, Settings, Typed, places


class Tint(Settings):
    """Settings that no command has."""

    hue: float = Field(0.5, ge=0, le=1, description="Where on the wheel.")
    times: Literal[1, 2] = Field(1, description="How often.")
    warm: bool = Field(False, description="Like a lamp.")
    depth: Annotated[int | None, Typed("tint-depth", metavar="BITS", parse=lambda t: int(t, 2))] = (
        Field(None, description="In binary.")
    )
    secret: Annotated[int, INSIDE] = Field(3, description="Nobody's business.")


class Film(Settings):
    """Settings with others inside."""

    tint: Tint = Tint()
    hue: float = Field(0.5, description="Of the frame; one option with that of the tint.")


def test_a_field_is_an_option() -> None:
    app, made = typer.Typer(), []

    @app.command()
    @options.with_settings
    def paint(*, tint: Annotated[Tint, options.Options()], name: str = "") -> None:
        made[:] = tint, name

    def run(*words: str):
        return CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})

    help_ = run("--help").output
    for words in ("--hue", "Where on the wheel", "0<=x<=1", "default: 0.5", "--tint-depth", "BITS"):
        assert words in help_
    assert "secret" not in help_
    assert run("--hue", "0.25", "--times", "2", "--warm", "--tint-depth", "101").exit_code == 0
    assert made[0] == Tint(hue=0.25, times=2, warm=True, depth=5)
    assert run("--name", "x").exit_code == 0
    assert made == [Tint(), "x"]
    assert made[0].model_fields_set == set()
    for words, reason in (
        (("--hue", "1.5"), "--hue"),
        (("--tint-depth", "7"), "invalid literal"),
        (("--secret", "1"), "No such option"),
    ):
        refused = run(*words)
        assert refused.exit_code == 2
        assert reason in refused.output
    refused = run("--times", "3").exception
    assert isinstance(refused, UsageError)
    assert str(refused) == "The value 3 of --times is not allowed: it is one of 1, 2."


def test_only_some_of_the_options_and_settings_that_may_be_missing() -> None:
    app, made = typer.Typer(), []

    @app.command()
    @options.with_settings
    def paint(
        context: typer.Context, *, film: Annotated[Film | None, options.Options(("hue",))]
    ) -> None:
        made[:] = context.info_name, film

    assert CliRunner().invoke(app, ["--warm"]).exit_code == 2
    assert CliRunner().invoke(app, ["--hue", "0.1"]).exit_code == 0
    assert made[1] == Film(hue=0.1, tint=Tint(hue=0.1))
    assert CliRunner().invoke(app, []).exit_code == 0
    assert made[1] is None


def test_a_typed_text_is_parsed_by_the_settings_too() -> None:
    assert Tint(depth="110").depth == 6
    assert Tint.model_validate({"depth": 110}).depth == 110


def test_no_command_says_again_what_a_setting_says() -> None:
    known = {
        f"--{one}"
        for model in (FilmSettings, RuntimeSettings, EngineSettings, ExportSettings)
        for one in places(model)
    }
    # Of another film, or of a part: with other words on purpose.
    own = {
        ("compare.py", "--start"),
        ("compare.py", "--end"),
        ("evaluate.py", "--references"),
        ("evaluate.py", "--second-stage"),  # several of them
    }
    said = [
        (path.name, node.args[0].value)
        for path in Path(refrestore.cli.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "typer.Option"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ]
    assert ("options.py", "--preset") in said
    assert not {one for one in said if one[1] in known} - own
