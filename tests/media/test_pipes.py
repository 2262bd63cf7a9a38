"""What goes through pipes comes out as it went in."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from refrestore.config import EncoderSettings
from refrestore.errors import MediaError, UsageError
from refrestore.media.layer import layer
from refrestore.media.pipes import FilmFromPipe, FilmToPipe, pipe_encoder
from refrestore.media.planes import planar, plane_views
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader


class OneWay:
    """The reading end of a pipe: it cannot be sought in."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int) -> bytes:
        return self._content.read(size)


def piped(path: Any, kind: Any, **settings: Any) -> tuple[bytes, list[Any]]:
    info = probe(path)
    encoder = pipe_encoder(EncoderSettings(**settings), info, kind, scale=1, layer=False)
    target = io.BytesIO()
    with VideoReader(path, info=info) as reader, FilmToPipe(target, kind, encoder) as pipe:
        frames = list(reader)
        for frame in frames:
            pipe.write(frame.picture, frame.time)
    return target.getvalue(), frames


def samples(picture: Any) -> list[np.ndarray]:
    return [view.copy() for view in plane_views(planar(picture))]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("plain", "y4m"), ("plain", "nut"), ("ten_bit_hdr", "y4m"), ("ten_bit_hdr", "nut"),
        ("yuv444", "y4m"), ("gray_ten", "y4m"), ("rgb_ten", "nut"), ("variable_rate", "nut"),
        ("odd", "y4m"), ("aspect", "y4m"), ("starts_late", "nut"), ("b_frames", "y4m"),
    ],
)  # fmt: skip
def test_samples_and_times_survive(name, kind, videos):
    content, frames = piped(videos(name), kind)
    film = FilmFromPipe(OneWay(content))
    assert film.kind == kind
    info = probe(videos(name))
    assert film.info.pixel_format == info.pixel_format
    assert film.info.geometry.width == info.geometry.width
    if kind == "y4m":
        assert film.info.geometry.sample_aspect == info.geometry.sample_aspect
    found = list(film.frames(film.info))
    assert [one.index for one in found] == list(range(len(frames)))
    zero = 0 if kind == "nut" else frames[0].time
    assert [one.time for one in found] == [one.time - zero for one in frames]
    for one, other in zip(frames, found, strict=True):
        for a, b in zip(samples(one.picture), samples(other.picture), strict=True):
            np.testing.assert_array_equal(a, b)


def test_rgb_becomes_yuv_in_y4m_and_that_is_said(videos):
    info = probe(videos("rgb"))
    encoder = pipe_encoder(EncoderSettings(), info, "y4m", scale=1, layer=False)
    assert encoder.pixel_format == "yuv444p"
    assert "RGB becomes YUV" in encoder.notes[0]


def test_a_layer_goes_through_nut(videos):
    info, target = probe(videos("plain")), io.BytesIO()
    with pytest.raises(UsageError, match="y4m has no alpha"):
        pipe_encoder(EncoderSettings(), info, "y4m", scale=1, layer=True)
    encoder = pipe_encoder(EncoderSettings(), info, "nut", scale=1, layer=True)
    with VideoReader(info.path, info=info) as reader, FilmToPipe(target, "nut", encoder) as pipe:
        for frame in reader:
            pipe.write(layer(frame, []), frame.time)
    assert FilmFromPipe(OneWay(target.getvalue())).info.pixel_format == "gbrap"


def test_what_is_no_film_is_refused(videos, tmp_path):
    with pytest.raises(MediaError, match="is no film"):
        FilmFromPipe(OneWay(b"x" * 5000))
    with pytest.raises(MediaError, match="is no film"):
        FilmFromPipe(OneWay(b""))
    with pytest.raises(MediaError, match="come y4m and nut, and this is matroska"):
        FilmFromPipe(OneWay(videos("variable_rate").read_bytes()))
    content, _ = piped(videos("plain"), "y4m")
    with pytest.raises(MediaError, match="No picture"):
        FilmFromPipe(OneWay(content[:90]))


def test_options_that_are_not_for_pipes(videos):
    info = probe(videos("plain"))

    def resolve(kind: Any, **settings: Any) -> None:
        pipe_encoder(EncoderSettings(**settings), info, kind, scale=1, layer=False)

    with pytest.raises(UsageError, match="it takes --pix-fmt alone"):
        resolve("nut", codec="h264")
    with pytest.raises(UsageError, match=r"y4m has no rgb24 \(--pix-fmt\)"):
        resolve("y4m", pixel_format="rgb24")


def test_a_reader_that_goes_away_is_said(videos):
    info = probe(videos("large"))
    encoder = pipe_encoder(EncoderSettings(), info, "y4m", scale=1, layer=False)
    read, write = os.pipe()
    os.close(read)
    with VideoReader(info.path, info=info) as reader:
        frames = list(reader)

    def render() -> None:
        with os.fdopen(write, "wb", buffering=0) as target, FilmToPipe(target, "y4m", encoder) as p:
            for frame in frames:
                p.write(frame.picture, frame.time)

    with pytest.raises(MediaError, match="Nobody reads the pipe any more"):
        render()


def test_scaled_pictures_have_one_rate(videos):
    info, target = probe(videos("plain")), io.BytesIO()
    encoder = pipe_encoder(EncoderSettings(), info, "y4m", scale=2, layer=False)
    assert encoder.geometry.width == 2 * info.geometry.width
    assert encoder.rate == Fraction(25)
    assert target.getvalue() == b""
