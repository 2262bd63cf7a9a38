"""Adding differences: nothing where nothing is added, the right colour where something is."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import av.filter
import numpy as np
import pytest

from refrestore.media.addition import add
from refrestore.media.coding import read_region
from refrestore.media.planes import plane_views
from refrestore.types import Frame, Geometry

FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le", "gray", "gbrp", "nv12"]


@dataclass
class Rectangle:
    left: int
    top: int
    delta: np.ndarray


def noise(pixel_format: str, width: int = 49, height: int = 35) -> Frame:
    random = np.random.default_rng(3)
    rgb = random.integers(60, 190, (height, width, 3), dtype=np.uint8)
    picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixel_format)
    picture.pts, picture.time_base = 7, Fraction(1, 25)
    return Frame(7, Fraction(7, 25), picture, Geometry(width, height))


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_a_colour_change_arrives_and_the_rest_is_untouched(pixel_format: str) -> None:
    frame = noise(pixel_format)
    before = read_region(frame.picture, 0, 0, 49, 35)
    delta = np.zeros((16, 20, 3), np.float32)
    delta[2:-2, 2:-2] = (0.10, -0.05, 0.07) if pixel_format != "gray" else 0.08
    result = add(frame, [Rectangle(11, 9, delta)])
    after = read_region(result, 0, 0, 49, 35)
    change = (after - before)[14:20, 18:26].mean(axis=(0, 1))
    np.testing.assert_allclose(change, delta[8, 8], atol=0.006)
    for old, new in zip(
        plane_views(frame.picture.reformat(format=result.format.name)),
        plane_views(result),
        strict=True,
    ):
        ratio_y, ratio_x = 35 / old.shape[0], 49 / old.shape[1]
        outside = np.ones(old.shape, bool)
        outside[
            int(8 / ratio_y) : int(26 / ratio_y) + 1, int(8 / ratio_x) : int(33 / ratio_x) + 1
        ] = False
        np.testing.assert_array_equal(old[outside], new[outside])
    assert (result.pts, result.time_base) == (7, Fraction(1, 25))


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "gbrp"])
def test_adding_zero_gives_the_same_samples(pixel_format: str) -> None:
    frame = noise(pixel_format)
    result = add(frame, [Rectangle(0, 0, np.zeros((35, 49, 3), np.float32))])
    for old, new in zip(plane_views(frame.picture), plane_views(result), strict=True):
        np.testing.assert_array_equal(old, new)
    assert add(frame, []) is frame.picture


def test_ten_bits_resolve_what_eight_cannot() -> None:
    frame = noise("yuv420p10le")
    delta = np.full((16, 16, 3), 1 / 1023, np.float32)
    result = add(frame, [Rectangle(8, 8, delta)])
    change = plane_views(result)[0].astype(int) - plane_views(frame.picture)[0]
    assert set(np.unique(change[8:24, 8:24])) == {1}


def test_overlapping_rectangles_add_up() -> None:
    frame = noise("yuv444p")
    one = Rectangle(4, 4, np.full((10, 10, 3), 0.04, np.float32))
    both = add(frame, [one, one])
    change = plane_views(both)[0].astype(int) - plane_views(frame.picture)[0]
    assert abs(change[6:12, 6:12].mean() - 0.08 * 219) < 1


def test_interlaced_pictures_change_in_both_fields() -> None:
    frame = noise("yuv420p", 48, 32)
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=48, height=32, format=frame.picture.format, time_base=Fraction(1, 25)
    )
    field, sink = graph.add("setfield", "tff"), graph.add("buffersink")
    source.link_to(field)
    field.link_to(sink)
    graph.configure()
    graph.push(frame.picture)
    frame = Frame(0, Fraction(0), graph.pull(), frame.geometry)
    assert frame.picture.interlaced_frame
    result = add(frame, [Rectangle(8, 7, np.full((11, 16, 3), 0.1, np.float32))])
    change = (plane_views(result)[0].astype(int) - plane_views(frame.picture)[0]) != 0
    np.testing.assert_array_equal(np.flatnonzero(change.any(axis=1)), np.arange(7, 18))


def test_a_rectangle_beyond_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="not inside"):
        add(noise("yuv420p"), [Rectangle(40, 0, np.zeros((4, 20, 3), np.float32))])
