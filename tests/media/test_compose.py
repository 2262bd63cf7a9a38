from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refrestore.media import Patch, compose, read_region, rgb
from refrestore.media.coding import subsampling
from refrestore.media.compose import enlarge
from refrestore.media.planes import PLANAR_EQUIVALENTS, clone, planar, plane_views
from refrestore.types import Frame, Geometry

FORMATS = [
    "yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "yuvj420p", "yuva420p",
    "yuv420p10le", "yuv422p10le", "yuv444p12le", "gray", "gray10le", "gbrp", "gbrp10le", "gbrap",
]  # fmt: skip
"""Every shape of planes: subsampling, depth, gray, RGB, alpha."""


def make_frame(name, width=34, height=18, seed=0, full=False, matrix=1):
    rng = np.random.default_rng(seed)
    picture = av.VideoFrame(width, height, name)
    picture.colorspace, picture.color_range = matrix, 2 if full else 1
    picture.pts, picture.time_base = 7, Fraction(1, 25)
    if planar(picture) is picture:
        for index, view in enumerate(plane_views(picture)):
            view[:] = rng.integers(0, 2 ** picture.format.components[index].bits, view.shape)
    else:
        for plane in picture.planes:
            plane.update(rng.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    return Frame(3, Fraction(7, 25), picture, Geometry(width, height))


def smooth_frame(name, full=False, matrix=1, width=64, height=48):
    """Colours that change slowly and lie inside the RGB cube."""
    frame = make_frame(name, width, height, full=full, matrix=matrix)
    for index, view in enumerate(plane_views(frame.picture)):
        rows, columns = np.mgrid[: view.shape[0], : view.shape[1]]
        wave = np.sin(columns / view.shape[1] * 3 + index) + np.cos(rows / view.shape[0] * 2)
        span = 20 if index == 0 or frame.picture.format.is_rgb else 6
        scale = 2 ** (frame.picture.format.components[index].bits - 8)
        view[:] = ((128 + span * wave) * scale).astype(view.dtype)
    return frame


def added(left, top, delta):
    return Patch(left, top, torch.from_numpy(delta), torch.ones(delta.shape[:2]))


def copies(picture):
    return [view.copy() for view in plane_views(planar(picture))]


@pytest.mark.parametrize("name", [*FORMATS, "nv12", "yuyv422", "bgr24", "p010le"])
def test_without_patches_nothing_changes(name):
    frame = make_frame(name)
    assert compose(frame, []) is frame.picture
    invisible = added(2, 2, np.zeros((4, 4, 3), np.float32))
    outside = added(90, 90, np.ones((4, 4, 3), np.float32))
    assert compose(frame, [outside]) is frame.picture
    for one, other in zip(
        copies(compose(frame, [invisible, outside])), copies(frame.picture), strict=True
    ):
        assert np.array_equal(one, other)


@given(
    name=st.sampled_from(FORMATS),
    size=st.tuples(st.integers(5, 40), st.integers(5, 40)),
    corner=st.tuples(st.integers(-6, 30), st.integers(-6, 30)),
    extent=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    seed=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_samples_to_which_nothing_is_added_are_bit_identical(name, size, corner, extent, seed):
    rng = np.random.default_rng(seed)
    frame = make_frame(name, *size, seed=seed)
    before = copies(frame.picture)
    where = rng.random(extent[::-1]) > 0.6
    delta = rng.uniform(-1, 1, (*extent[::-1], 3)) * where[..., None]
    result = compose(frame, [added(*corner, delta.astype(np.float32))])
    for one, other in zip(before, copies(frame.picture), strict=True):
        assert np.array_equal(one, other)  # the decoded picture is never written to
    shown = np.zeros((size[1] + 90, size[0] + 90), bool)  # margins: patches may hang over
    shown[30 + corner[1] :, 30 + corner[0] :][: extent[1], : extent[0]] = where
    shown = shown[30 : 30 + size[1], 30 : 30 + size[0]]
    for index, (one, other) in enumerate(zip(before, copies(result), strict=True)):
        step_x, step_y = (1, 1) if index in (0, 3) else subsampling(frame.picture.format)
        padded = np.pad(shown, ((0, -size[1] % step_y), (0, -size[0] % step_x)))
        blocks = padded.reshape(one.shape[0], step_y, one.shape[1], step_x).any((1, 3))
        if index == 3:
            blocks[:] = False  # a picture's own alpha is not the patch's
        assert np.array_equal(one[~blocks], other[~blocks])


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", ["yuv444p", "yuv444p12le", "gbrp", "gray", "yuv440p"])
def test_reads_as_swscale_does(name, full):
    frame = smooth_frame(name, full)
    region = read_region(frame.picture, 0, 0, 64, 48)
    assert np.abs(region * 255 - rgb(frame)).max() < 1.5


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "yuvj420p"])
def test_a_colour_change_arrives(name, full, matrix):
    frame = smooth_frame(name, full, matrix)
    before = read_region(frame.picture, 0, 0, 64, 48)
    delta = np.zeros((24, 32, 3), np.float32)
    delta[:] = 0.08 if "gray" in name else (0.10, -0.05, 0.07)
    after = read_region(compose(frame, [added(12, 8, delta)]), 0, 0, 64, 48)
    change = (after - before)[16:24, 20:36].mean(axis=(0, 1))
    assert np.abs(change - delta[0, 0]).max() < 0.006


def test_ten_bits_resolve_what_eight_cannot():
    frame = smooth_frame("yuv420p10le")
    result = compose(frame, [added(8, 8, np.full((16, 16, 3), 1 / 876, np.float32))])
    change = plane_views(result)[0].astype(int) - plane_views(frame.picture)[0]
    assert set(np.unique(change[8:24, 8:24])) == {1}


def test_overlapping_patches_add_up():
    frame = smooth_frame("yuv444p")
    one = added(4, 4, np.full((10, 10, 3), 0.04, np.float32))
    change = plane_views(compose(frame, [one, one]))[0].astype(int) - plane_views(frame.picture)[0]
    assert abs(change[6:12, 6:12].mean() - 0.08 * 219) < 1


def test_time_tags_and_fields_survive():
    frame = make_frame("yuv420p10le", matrix=9)
    patch = added(4, 4, np.full((6, 6, 3), 0.3, np.float32))
    for scale in (1, 2):
        result = compose(frame, [patch], scale=scale)
        assert (result.pts, result.time_base) == (7, Fraction(1, 25))
        assert (result.colorspace, result.color_range) == (9, 1)
        assert result.format.name == "yuv420p10le"


@pytest.mark.parametrize("name", [*FORMATS, "nv12"])
@pytest.mark.parametrize("scale", [2, 4])
def test_enlarged(name, scale):
    frame = smooth_frame(name) if name != "nv12" else make_frame(name)
    result = compose(frame, [], scale=scale)
    assert (result.width, result.height) == (64 * scale, 48 * scale) or name == "nv12"
    assert result.format.name == name
    if name != "nv12":
        large = read_region(result, 0, 0, result.width, result.height)
        small = read_region(frame.picture, 0, 0, 64, 48)
        means = large.reshape(48, scale, 64, scale, 3).mean((1, 3))
        assert np.abs(means - small)[2:-2, 2:-2].max() < 0.03
    patch = added(20, 8, np.full((9, 9, 3), 0.3, np.float32))
    again = compose(frame, [patch], scale=scale)
    for one, other in zip(copies(result), copies(again), strict=True):
        assert np.array_equal(one[-4:], other[-4:])


def test_untagged_matrix_is_the_sources_when_enlarged_past_720_lines():
    frame = make_frame("yuv420p", 64, 400, matrix=2)
    assert compose(frame, [], scale=2).colorspace == 6


def test_interlaced_fields_do_not_mix(videos):
    with av.open(str(videos("interlaced"))) as source:
        picture = next(source.decode(video=0))
    assert picture.interlaced_frame
    copy = clone(picture)
    for view in plane_views(copy):
        view[0::2], view[1::2] = 60, 180
    frame = Frame(0, Fraction(0), copy, Geometry(64, 48))
    assert enlarge(copy, 2).interlaced_frame
    for view in plane_views(enlarge(copy, 2)):
        assert np.all(view[0::2] == 60)
        assert np.all(view[1::2] == 180)
    patch = added(9, 5, np.tile(np.float32([-0.3, -0.1, 0.2]), (11, 13, 1)))
    patch.residual[1::2] = 0  # rows 5, 7, 9...: the second field only
    result = compose(frame, [patch])
    assert result.interlaced_frame
    for view in plane_views(result):
        assert np.all(view[0::2] == 60)
        assert (view[1::2] != 180).any()
    region = read_region(copy, 3, 3, 20, 10)
    assert np.allclose(region[0::2], region[0], atol=1e-6)
    assert np.allclose(region[1::2], region[1], atol=1e-6)


def test_clone_is_independent_and_complete(videos):
    with av.open(str(videos("rotated_90"))) as source:
        picture = next(source.decode(video=0))
    before = copies(picture)
    copy = clone(picture)
    for view in plane_views(copy):
        view[:] = 0
    for one, other in zip(before, copies(picture), strict=True):
        assert np.array_equal(one, other)
    assert copy.rotation == picture.rotation == -90
    assert (copy.pts, copy.time_base) == (picture.pts, picture.time_base)


@pytest.mark.parametrize("name", sorted(PLANAR_EQUIVALENTS.keys() - {"pal8"}))
def test_interleaved_formats_lose_nothing_in_planes(name):
    picture = make_frame(name, 32, 16).picture
    back = planar(picture).reformat(
        format=name, src_colorspace=1, dst_colorspace=1, interpolation="POINT"
    )
    again = planar(back)
    for one, other in zip(copies(picture), copies(again), strict=True):
        assert np.array_equal(one, other)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="Patch needs"):
        Patch(0, 0, torch.zeros(3, 4), torch.zeros(3, 4))
