"""A layer laid over its source is the render."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
import torch

from refrestore.config import EncoderSettings, RenderSettings
from refrestore.errors import UsageError
from refrestore.media.coding import read_region
from refrestore.media.compose import compose, enlarge
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.frame_files import output_of
from refrestore.media.join import join
from refrestore.media.layer import layer
from refrestore.media.patch import Patch
from refrestore.media.planes import plane_views
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.segments import SegmentWriter
from refrestore.types import Frame, Geometry

WIDTH, HEIGHT = 96, 64


def frame_of(pixel_format: str, seed: int = 0) -> Frame:
    """A smooth picture, dark enough that nothing that is added clips."""
    picture = av.VideoFrame(WIDTH, HEIGHT, pixel_format)
    picture.colorspace, picture.color_range = (0, 2) if picture.format.is_rgb else (1, 1)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for number, view in enumerate(plane_views(picture)):
        depth = picture.format.components[number].bits
        y, x = rows[: view.shape[0], : view.shape[1]], columns[: view.shape[0], : view.shape[1]]
        high = 4 if number and not picture.format.is_rgb else 20  # no colour outside RGB
        wave = 118 + high * np.sin(x / 9 + number + seed) + high * np.cos(y / 7)
        view[:] = np.rint(wave * 2 ** (depth - 8)).astype(view.dtype)
    return Frame(0, Fraction(0), picture, Geometry(WIDTH, HEIGHT))


def patches() -> list[Patch]:
    """Two feathered faces, one over the other's edge, and one that leaves the picture."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for left, top in ((10, 8), (34, 20), (80, -12)):
        ramp = torch.sin(torch.linspace(0, np.pi, 32))
        residual = (torch.rand(32, 32, 3, generator=generator) - 0.5) * 0.3
        found.append(Patch(left, top, residual, torch.outer(ramp, ramp)))
    return found


def rgb_of(picture: av.VideoFrame) -> np.ndarray:
    return read_region(picture, 0, 0, picture.width, picture.height)


def laid(over: np.ndarray, top: av.VideoFrame) -> np.ndarray:
    """Lay a picture with straight alpha over another, as an editor does."""
    most = (1 << top.format.components[0].bits) - 1
    views = plane_views(top) if "p" in top.format.name else None
    assert views is not None
    red, green, blue, alpha = (view.astype(np.float64) / most for view in views)
    colour = np.stack([red, green, blue], -1)
    return colour * alpha[..., None] + over * (1 - alpha[..., None])


@pytest.mark.parametrize(
    ("pixel_format", "scale", "most"),
    [("gbrp", 1, 1.0), ("gbrp", 2, 1.0), ("gbrp10le", 1, 0.3), ("yuv444p", 1, 2.0)],
)
def test_laid_over_the_source_it_is_the_render(pixel_format, scale, most):
    """`most` is the largest difference in 8-bit codes: the render is rounded as well."""
    frame = frame_of(pixel_format)
    before = rgb_of(frame.picture if scale == 1 else enlarge(frame.picture, scale))
    wanted = rgb_of(compose(frame, patches(), scale=scale))
    top = layer(frame, patches(), scale=scale)
    assert top.format.name == ("gbrap16le" if "10" in pixel_format else "gbrap")
    result = laid(before, top)
    assert np.abs(result - wanted).max() * 255 <= most
    assert np.abs(wanted - before).max() * 255 > 15
    clear = plane_views(top)[3] == 0
    assert 0.3 < clear.mean() < 0.95
    assert not any(plane[clear].any() for plane in plane_views(top))


def test_without_a_face_everything_is_clear():
    top = layer(frame_of("yuv420p"), [Patch(-40, 0, torch.zeros(8, 8, 3), torch.ones(8, 8))])
    assert not any(plane.any() for plane in plane_views(top))


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_files_of_it_keep_alpha_times_and_nothing_else(suffix, videos, tmp_path):
    info, output = probe(videos("everything")), tmp_path / f"layer{suffix}"
    encoder = resolve_encoder(EncoderSettings(), info, scale=1, output=output, layer=True)
    assert encoder.codec == {".mov": "prores_ks", ".mkv": "ffv1"}[suffix]
    assert len(encoder.notes) == 1
    assert "lay it over the film" in encoder.notes[0]
    segment = tmp_path / "one.segment"
    patch = Patch(8, 8, torch.full((24, 24, 3), 0.2), torch.full((24, 24), 0.5))
    with VideoReader(info.path, info=info) as reader, SegmentWriter(segment, encoder) as writer:
        frames = list(reader)
        for frame in frames:
            writer.write(layer(frame, [patch]), frame.time)
    join([segment], encoder, info, output)
    written = probe(output)
    assert {one.kind for one in written.streams if not one.chapters} == {"video"}
    with VideoReader(output, info=written) as reader:
        after = list(reader)
    assert [one.time for one in after] == [one.time for one in frames]
    alpha: Any = plane_views(after[3].picture.reformat(format="gbrap16le"))[3]
    assert abs(int(alpha[20, 20]) - 32768) < 600
    assert not alpha[50:60, 40:].any() or alpha[40:, 40:].max() < 300


def test_pictures_of_it(videos, tmp_path):
    output, settings = output_of(tmp_path / "layer" / "%d.png", EncoderSettings())
    for kind, pixel_format in (("plain", "rgba"), ("ten_bit_hdr", "rgba64be")):
        info = probe(videos(kind))
        encoder = resolve_encoder(settings, info, scale=2, output=output, layer=True)
        assert encoder.pixel_format == pixel_format
        assert "over the film enlarged 2 times" in encoder.notes[0]
        assert len(encoder.notes) == 1


def test_layers_that_cannot_be(videos, tmp_path):
    info = probe(videos("plain"))

    def resolve(name: str, **settings: Any) -> None:
        asked = EncoderSettings(**settings)
        resolve_encoder(asked, info, scale=1, output=tmp_path / name, layer=True)

    with pytest.raises(UsageError, match=r"needs alpha, which mp4 files seldom have"):
        resolve("layer.mp4")
    with pytest.raises(UsageError, match=r"libx264 does not keep"):
        resolve("layer.mkv", codec="h264")
    with pytest.raises(UsageError, match=r"prores_ks does not keep as yuv422p10le"):
        resolve("layer.mov", pixel_format="yuv422p10le")
    with pytest.raises(UsageError, match="--background repaints the whole frame"):
        RenderSettings(scale=2, background="x.pth", layer=True)
