"""Presets: what they may say, and that it is what the options would have said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from refrestore.config import EncoderSettings, FilmSettings, RenderSettings, ScanSettings
from refrestore.errors import UsageError
from refrestore.media.containers import FORMATS
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.probe import probe
from refrestore.moment import FrameNumber
from refrestore.presets import (
    PLACES,
    film_settings,
    load_preset,
    preset_names,
)


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_three_ship_and_each_says_what_it_is_for() -> None:
    assert preset_names() == ["archive", "editor", "web"]
    for name in preset_names():
        preset = load_preset(name)
        assert preset.name == name
        assert preset.about.endswith(".")
        assert preset.values["codec"]


@pytest.mark.parametrize("name", ["archive", "editor", "web"])
def test_what_ships_can_be_encoded(name, tmp_path) -> None:
    import numpy as np

    from refrestore.media.simple import write_pictures

    film = tmp_path / "film.mp4"
    write_pictures(film, [np.full((48, 64, 3), 90, np.uint8)] * 3, rate=25)
    settings = film_settings(load_preset(name).values, name)
    output = tmp_path / f"out.{settings.container}"
    encoder = resolve_encoder(settings.encoder, probe(film), scale=1, output=output)
    assert encoder.codec == {"archive": "ffv1", "editor": "prores_ks", "web": "libx264"}[name]


def test_each_option_reaches_its_settings() -> None:
    given = {
        "detect-every": 7, "deinterlace": "off", "denoise": "light", "video-stream": 1,
        "fps": 23.976,
        "min-face": 20, "scale": 2, "strength": 0.5, "references": 3, "unfocused": True,
        "batch": 4, "background": "net.pth", "start": "12f", "end": 75.5, "codec": "av1",
        "crf": 20, "encoder-preset": "6", "pix-fmt": "yuv420p", "container": "mkv",
        "second-stage": "codeformer", "fidelity": 0.7, "accept-licence": "codeformer",
    }  # fmt: skip
    assert set(given) == set(PLACES) - {"bitrate", "layer"}
    found = film_settings(given, "This")
    assert found.scan == ScanSettings(
        detect_every=7,
        deinterlace="off",
        denoise="light",
        video_stream=1,
        min_face=20,
        fps=Fraction(24000, 1001),
    )
    assert found.render.model_copy(update={"start": None, "end": None}) == RenderSettings(
        scale=2, strength=0.5, references=3, unfocused=True, batch=4, min_face=20,
        background=Path("net.pth"), second_stage="codeformer", fidelity=0.7,
        accept_licence="codeformer",
    )  # fmt: skip
    assert found.render.start == FrameNumber(12)
    assert found.render.end == 75.5
    assert found.encoder == EncoderSettings(codec="av1", crf=20, preset="6", pixel_format="yuv420p")
    assert found.container == "mkv"
    assert film_settings({"layer": True}, "This").render.layer
    assert film_settings({"bitrate": "8M"}, "This").encoder.bitrate == 8_000_000
    assert film_settings({}, "This") == FilmSettings()


def test_every_setting_of_a_film_has_an_option_or_is_inside() -> None:
    inside = {
        "detect_size",
        "min_score",
        "identity_threshold",
        "max_references",
        "segment_seconds",
        "pictures",
    }
    reached = {place[-1] for places in PLACES.values() for place in places}
    for model in (ScanSettings, RenderSettings, EncoderSettings):
        assert set(model.model_fields) - inside <= reached


def test_containers_are_those_that_are_written() -> None:
    for suffix in FORMATS:
        assert film_settings({"container": suffix[1:]}, "This").container == suffix[1:]


def test_a_network_lies_beside_its_preset(tmp_path) -> None:
    name = written(tmp_path, '# Twice as large.\nscale = 2\nbackground = "nets/x2.pth"\n')
    preset = load_preset(name)
    assert preset.about == "Twice as large."
    assert preset.values["background"] == str(tmp_path / "nets" / "x2.pth")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scal = 2", "'scal', which is no option for films: is it scale?"),
        ("detect_every = 2", "is it detect-every?"),
        ("threads = 4", "they are container, scale, "),
        ("scale = 3", "scale = 3, which is not allowed"),
        ("scale = true", "scale = 'True', which is not allowed"),
        ("crf = 99", "crf = 99, which is not allowed"),
        ('crf = "fine"', "crf = 'fine'"),
        ("codec = [1]", "codec = [1]"),
        ('bitrate = "fast"', "bitrate = 'fast', which is not allowed: 'fast' is no bit rate"),
        ('start = "soon"', "start = 'soon', which is not allowed"),
        ("start = 00:01:00", "start = "),
        ("crf = 20\nbitrate = 8000", "both crf and bitrate"),
        ("scale = ", "is no TOML"),
        ("[render]\nscale = 2", "'render', which is no option for films"),
        ('background = "x.pth"', "--background enlarges"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path, text, words) -> None:
    name = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_preset(name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_preset(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"There is no preset slow: .*--encoder-preset"):
        load_preset("slow")
    with pytest.raises(UsageError, match="cannot be read: it is a folder"):
        load_preset(str(tmp_path))
    (tmp_path / "picture.toml").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UsageError, match="not text"):
        load_preset(str(tmp_path / "picture.toml"))
