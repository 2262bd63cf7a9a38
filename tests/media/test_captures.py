"""What capture cards and camcorders write goes in, and comes out in the containers asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from refrestore.config import EncoderSettings, ScanSettings
from refrestore.media.compose import compose
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.join import join
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.segments import SegmentWriter
from refrestore.media.source import open_source
from tests.analogue import write_tape

PAL: dict[str, Any] = {"size": (720, 576), "rate": Fraction(25), "aspect": Fraction(16, 15)}
NTSC: dict[str, Any] = {
    "size": (720, 480), "rate": Fraction(30_000, 1001), "aspect": Fraction(8, 9)
}  # fmt: skip


@dataclass(frozen=True)
class Capture:
    """A kind of capture, and the pixel format that its output has."""

    codec: str
    pixel_format: str
    becomes: str
    order: str = "top"
    sound: str | None = "pcm_s16le"
    shape: dict[str, Any] = field(default_factory=lambda: PAL)
    aspect: bool = True


CAPTURES = {
    "ntsc.dv": Capture("dvvideo", "yuv411p", "yuv422p", "bottom", shape=NTSC),
    "pal.dv": Capture("dvvideo", "yuv420p", "yuv420p", "bottom"),
    "silent.dv": Capture("dvvideo", "yuv420p", "yuv420p", "bottom", sound=None),
    "ntsc.avi": Capture("dvvideo", "yuv411p", "yuv422p", "bottom", shape=NTSC),
    "ntsc.mov": Capture("dvvideo", "yuv411p", "yuv422p", "bottom", shape=NTSC),
    "card.mpg": Capture("mpeg2video", "yuv420p", "yuv420p", sound="mp2"),
    "card.mkv": Capture("mpeg2video", "yuv422p", "yuv422p"),
    "packed.avi": Capture("rawvideo", "uyvy422", "yuv422p", aspect=False),  # AVI has no aspect
    "deep.mov": Capture("v210", "yuv422p10le", "yuv422p10le"),
}


@pytest.fixture(scope="module", params=list(CAPTURES))
def capture(request, tmp_path_factory):
    kind = CAPTURES[request.param]
    path = write_tape(
        tmp_path_factory.mktemp("captures") / request.param,
        kind.order,
        codec=kind.codec,
        pixel_format=kind.pixel_format,
        sound=kind.sound,
        frames=6,
        **kind.shape,
    )
    return kind, path


def heard(path) -> np.ndarray:
    with av.open(str(path)) as source:
        frames = list(source.decode(audio=0))
    return np.concatenate([
        frame.to_ndarray() if frame.format.is_planar else frame.to_ndarray().reshape(-1, 2).T
        for frame in frames
    ], axis=1)  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "deinterlace"),
    [(".mkv", "auto"), (".mp4", "auto"), (".mov", "off"), (".mkv", "field"), (".mov", "field")],
)
def test_a_capture_comes_out(capture, tmp_path, suffix, deinterlace):
    kind, path = capture
    info = open_source(path, ScanSettings(deinterlace=deinterlace))
    assert info.pixel_format == kind.pixel_format
    output = tmp_path / f"out{suffix}"
    encoder = resolve_encoder(EncoderSettings(preset="ultrafast"), info, scale=1, output=output)
    times = []
    with VideoReader(path, info=info) as reader, SegmentWriter(tmp_path / "film", encoder) as film:
        for frame in reader:
            film.write(compose(frame, []), frame.time)
            times.append(frame.time)
    join([tmp_path / "film"], encoder, info, output)
    written = probe(output)
    with VideoReader(output) as reader:
        found = [(frame.time, frame.picture.interlaced_frame) for frame in reader]
    assert len(found) == 6 * info.treatment.frames == len(times)
    assert max(abs(one - other[0]) for one, other in zip(times, found, strict=True)) < 0.001
    assert {flag for _, flag in found} == {written.interlaced}
    assert written.pixel_format == kind.becomes
    assert written.geometry.sample_aspect == (kind.shape["aspect"] if kind.aspect else 1)
    if deinterlace != "off":
        assert info.treatment.top_first == (kind.order == "top")
        assert not written.interlaced
    else:
        assert written.interlaced == info.interlaced
    if kind.sound == "pcm_s16le":  # as it was, or in a codec without loss
        assert np.array_equal(heard(output), heard(path))
    else:
        assert len([each for each in written.streams if each.kind == "audio"]) == bool(kind.sound)
