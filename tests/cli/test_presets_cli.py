"""`--preset`: its values are the options' defaults, and pass where those typed would."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
import typer
from typer.testing import CliRunner

from refrestore.batch.queue import Queue
from refrestore.cli import app
from refrestore.config import bits_per_second
from refrestore.errors import UsageError
from refrestore.presets import PLACES
from refrestore.project import Project, VideoSource
from refrestore.types import Geometry

ORDER = 'codec = "h265"\ncrf = 21.0\nscale = 2\nunfocused = true\ndetect-every = 3\nend = 9\n'


@pytest.fixture
def heard(monkeypatch, tmp_path):
    """Return a function that gives what a command understands of words."""
    (tmp_path / "mine.toml").write_text(ORDER)
    monkeypatch.chdir(tmp_path)

    def heard(name, *words):
        command = typer.main.get_group(app).commands[name].load()
        return command.make_context(name, [str(word) for word in words]).params

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


@pytest.fixture
def places(monkeypatch, tmp_path):
    """Return the user's folder of settings and a film's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    own, films = tmp_path / "config" / "refrestore", tmp_path / "films"
    own.mkdir(parents=True)
    films.mkdir()
    return own / "refrestore.toml", films / "refrestore.toml"


def test_what_is_typed_counts_more_than_the_films_file_and_that_than_the_users(
    heard, places, capsys
) -> None:
    places[0].write_text('scale = 2\nstrength = 0.5\ncrf = 20\ncodec = "h265"\ndetect-every = 7')
    places[1].write_text("scale = 4\nmin-face = 30\nbitrate = '8M'")
    film = places[1].parent / "film.mp4"
    asked = heard("run", "--strength", "0.25", film, "-o", "out.mp4")
    assert (asked["strength"], asked["scale"], asked["min_face"]) == (0.25, 4, 30)
    assert (asked["codec"], asked["crf"], asked["bitrate"]) == ("h265", None, 8_000_000)
    said = capsys.readouterr().err
    assert f"Of {places[0]}: scale, strength, crf, codec, detect-every." in said.replace("\n", " ")
    assert f"Of {places[1]}: scale, min-face, bitrate." in said.replace("\n", " ")
    asked = heard("run", "--crf", "9", film, "-o", "out.mp4", "--preset", "mine.toml")
    assert (asked["crf"], asked["bitrate"], asked["scale"], asked["min_face"]) == (9, None, 2, 30)
    other = heard("run", "elsewhere/film.mp4", "-o", "out.mp4")
    assert (other["scale"], other["crf"]) == (2, 20)
    scanned = heard("scan", film, "-p", "project")
    assert (scanned["detect_every"], scanned["min_face"]) == (7, 30)


def test_a_render_finds_the_file_beside_its_projects_film(heard, places) -> None:
    places[1].write_text("scale = 4")
    film = places[1].parent / "film.mp4"
    source = VideoSource(
        path=film, fingerprint="f", geometry=Geometry(64, 48), start=Fraction(0), rate=Fraction(25)
    )
    folder = film.parent.parent / "project"
    Project.create(folder, source).close()
    assert heard("render", "-p", folder, "-o", "out.mp4")["scale"] == 4
    assert heard("render", "-p", "nowhere", "-o", "out.mp4")["scale"] == 1
    assert heard("render", "-p", folder, "elsewhere/film.mp4", "-o", "out.mp4")["scale"] == 1
    frames = places[1].parent / "%06d.png"
    assert heard("run", frames, "-o", "out.mp4")["scale"] == 4
    assert heard("run", frames.parent, "-o", "out.mp4")["scale"] == 4


def test_settings_files_that_cannot_be(heard, places) -> None:
    film = places[1].parent / "film.mp4"
    places[1].write_text("scal = 2")
    with pytest.raises(UsageError, match=r"settings file .*films.* has 'scal', .*is it scale\?"):
        heard("run", film, "-o", "out.mp4")
    places[1].write_text("scale = ")
    with pytest.raises(UsageError, match=r"settings file .* is no TOML"):
        heard("run", film, "-o", "out.mp4")
    places[1].write_text("scale = 3")
    with pytest.raises(UsageError, match=r"settings file .* has scale = 3"):
        heard("run", film, "-o", "out.mp4")
    places[1].write_text("scale = 2")
    with pytest.raises(UsageError, match="films lie in several folders"):
        heard("run", film, "elsewhere/film.mp4", "-o", "out")


def test_the_queue_takes_the_users_file(places, tmp_path) -> None:
    places[0].write_text("scale = 2")
    (tmp_path / "a.mp4").write_bytes(b"film")
    words = ["batch", "add", tmp_path / "a.mp4", "-q", tmp_path / "queue", "-o", tmp_path / "out"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    with Queue(tmp_path / "queue") as queue:
        assert queue.films()[0].values["scale"] in (2, "2")
