"""`--preset`: its values are the options' defaults, and pass where those typed would."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from refrestore.cli import app
from refrestore.config import bits_per_second
from refrestore.errors import UsageError
from refrestore.presets import PLACES

ORDER = 'codec = "h265"\ncrf = 21.0\nscale = 2\nunfocused = true\ndetect-every = 3\nend = 9\n'


@pytest.fixture
def heard(monkeypatch, tmp_path):
    """Return a function that gives what a command understands of words."""
    (tmp_path / "mine.toml").write_text(ORDER)
    monkeypatch.chdir(tmp_path)

    def heard(name, *words):
        command = typer.main.get_group(app).commands[name].load()
        return command.make_context(name, list(words)).params

    return heard


def test_a_preset_gives_the_defaults_and_what_is_typed_counts_more(heard) -> None:
    asked = heard("run", "film.mp4", "-o", "out.mp4", "--scale", "4", "--preset", "mine.toml")
    assert (asked["codec"], asked["crf"], asked["unfocused"]) == ("h265", 21.0, True)
    assert (asked["scale"], asked["detect_every"], asked["end"]) == (4, 3, 9)
    assert asked["strength"] == 1.0
    assert heard("run", "film.mp4", "-o", "out.mp4")["codec"] == "libx264"


def test_each_command_takes_what_it_has(heard) -> None:
    asked = heard("scan", "film.mp4", "-p", "project", "--preset", "mine.toml")
    assert asked["detect_every"] == 3
    assert "codec" not in asked
    assert (
        heard("render", "-p", "project", "-o", "out.mp4", "--preset", "editor")["codec"] == "prores"
    )


def test_a_bit_rate_that_is_typed_takes_the_place_of_a_presets_quality(heard) -> None:
    asked = heard("render", "-p", "x", "-o", "o.mp4", "--preset", "mine.toml", "--bitrate", "8M")
    assert (asked["crf"], asked["bitrate"]) == (None, bits_per_second("8M"))


def test_an_old_encoder_preset_is_told_its_new_name(heard) -> None:
    with pytest.raises(UsageError, match="--encoder-preset"):
        heard("render", "-p", "x", "-o", "o.mp4", "--preset", "slow")


def test_every_option_of_a_preset_is_one_of_run() -> None:
    command = typer.main.get_group(app).commands["run"].load()
    assert {f"--{name}" for name in PLACES} <= {one for p in command.params for one in p.opts}


def test_presets_are_listed_and_shown() -> None:
    listed = CliRunner().invoke(app, ["presets"])
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == [
        "archive", "editor", "web"
    ]  # fmt: skip
    shown = CliRunner().invoke(app, ["presets", "editor"])
    assert "--codec prores" in shown.stdout
    said = json.loads(CliRunner().invoke(app, ["presets", "web", "--json"]).stdout)
    assert said["options"]["crf"] == 20
