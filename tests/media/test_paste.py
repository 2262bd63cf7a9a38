from __future__ import annotations

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from refrestore.media.coding import Coding, fields
from refrestore.media.paste import bring_back, paste
from refrestore.media.patch import Patch
from refrestore.media.planes import clone, planar
from tests.media.test_compose import FORMATS, added, copies, make_frame


class Numpy:
    """The same in numpy, as it was before there were tensors."""

    def __init__(self, picture):
        self.picture, self.coding = picture, Coding.of(picture)

    def paste(self, patches):
        width, height = self.picture.width, self.picture.height
        for planes, parity, step in fields(self.picture):
            self.sums = [np.zeros(plane.shape, np.float32) for plane in planes]
            for patch in patches:
                left, top = max(0, -patch.left), max(0, -patch.top)
                delta = patch.delta.numpy()[top : height - patch.top, left : width - patch.left]
                left, top = patch.left + left, patch.top + top
                first = (parity - top) % step
                if delta[first::step].any():
                    self.add(self.sums, left, (top + first) // step, delta[first::step])
            for plane, total in zip(planes, self.sums, strict=True):
                self.round_in(plane, total)

    def add(self, planes, left, top, delta):
        coding, codes = self.coding, self.codes(delta)
        height, width = delta.shape[:2]
        window = slice(top, top + height), slice(left, left + width)
        for plane, code in zip(planes, codes if coding.rgb else codes[:1], strict=False):
            plane[window] += code
        if coding.rgb or coding.planes == 1:
            return
        step_x, step_y = coding.step_x, coding.step_y
        x0, x1 = left // step_x, -(-(left + width) // step_x)
        y0, y1 = top // step_y, -(-(top + height) // step_y)
        rows, columns = planes[0].shape

        def padded(values):
            values = self.pad(values, 0, 0, top - y0 * step_y, top == 0)
            values = self.pad(values, 0, 1, y1 * step_y - top - height, top + height == rows)
            values = self.pad(values, 1, 0, left - x0 * step_x + step_x - 1, left == 0)
            return self.pad(values, 1, 1, x1 * step_x - left - width, left + width == columns)

        blocks = padded((delta != 0).any(2))[:, step_x - 1 :]
        touched = blocks.reshape(-1, step_y, x1 - x0, step_x).any((1, 3))
        for plane, code in zip(planes[1:3], codes[1:], strict=True):
            values, across = padded(code), np.float32(0)
            for offset in range(1 - step_x, step_x):
                weight = np.float32((step_x - abs(offset)) / step_x**2)
                across = across + weight * values[:, offset + step_x - 1 :: step_x][:, : x1 - x0]
            mean = across.reshape(-1, step_y, x1 - x0).mean(1, dtype=np.float32)
            plane[y0:y1, x0:x1] += mean * touched

    def codes(self, rgb):
        coding, scale = self.coding, np.float32(self.coding.luma[0])
        if coding.rgb:
            return [rgb[..., channel] * scale for channel in range(3)]
        luma = rgb @ np.array([coding.red, 1 - coding.red - coding.blue, coding.blue], np.float32)
        if coding.planes == 1:
            return [luma * scale]
        span = np.float32(coding.chroma[0])
        blue = (rgb[..., 2] - luma) * (span / np.float32(2 * (1 - coding.blue)))
        red = (rgb[..., 0] - luma) * (span / np.float32(2 * (1 - coding.red)))
        return [luma * scale, blue, red]

    def round_in(self, target, code):
        total = np.floor(target + code + np.float32(0.5))
        target[:] = np.clip(total, 0, self.coding.top).astype(target.dtype)

    @staticmethod
    def pad(values, axis, side, amount, border):
        width = [(0, 0), (0, 0)]
        width[axis] = (amount, 0) if side == 0 else (0, amount)
        return np.pad(values, width, mode="edge" if border else "constant")


def random_patch(rng, corner, extent):
    where = rng.random(extent[::-1]) > 0.4
    residual = rng.uniform(-1, 1, (*extent[::-1], 3)).astype(np.float32)
    return Patch(*corner, torch.from_numpy(residual), torch.from_numpy(where.astype(np.float32)))


def check(picture, patches):
    one, other = clone(planar(picture)), clone(planar(picture))
    bring_back(paste(one, patches))
    Numpy(other).paste(patches)
    for ours, theirs in zip(copies(one), copies(other), strict=True):
        # The three products of luma are added in another order; hardly ever a rounding shows it.
        assert np.abs(ours.astype(int) - theirs).max() <= 1
        assert (ours != theirs).sum() <= 1


@given(
    name=st.sampled_from([*FORMATS, "nv12"]),
    full=st.booleans(),
    size=st.tuples(st.integers(5, 40), st.integers(5, 40)),
    corners=st.lists(st.tuples(st.integers(-6, 30), st.integers(-6, 30)), min_size=1, max_size=4),
    extent=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    seed=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_tensors_add_what_numpy_did(name, full, size, corners, extent, seed):
    rng = np.random.default_rng(seed)
    seen = [one for one in corners if all(-extent[i] < one[i] < size[i] for i in (0, 1))]
    frame = make_frame(name, *size, seed=seed, full=full, matrix=9)
    check(frame.picture, [random_patch(rng, corner, extent) for corner in seen])


@pytest.mark.parametrize("corner", [(-3, -2), (5, 4), (8, 7), (60, 44)])
def test_tensors_add_to_fields_what_numpy_did(videos, corner):
    with av.open(str(videos("interlaced"))) as source:
        picture = next(source.decode(video=0))
    assert picture.interlaced_frame
    rng = np.random.default_rng(1)
    corners = [corner, (corner[0] + 7, corner[1] + 1)]
    for extent in ((12, 9), (5, 1), (1, 2)):
        check(picture, [random_patch(rng, one, extent) for one in corners if one[0] < 64])


class Fetched(TorchDispatchMode):
    """Counts what comes back from the GPU."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            source = args[0 if func is torch.ops.aten._to_copy.default else 1]
            self.count += source.device.type == "cuda" and result.device.type == "cpu"
        return result


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le", "gbrp", "gray10le"])
def test_what_a_gpu_made_comes_back_once(name):
    picture = planar(make_frame(name, 64, 48).picture)
    with FakeTensorMode(), Fetched() as fetched:
        patches = [
            Patch(left, 5, torch.zeros(9, 8, 3, device="cuda"), torch.zeros(9, 8, device="cuda"))
            for left in (-3, 2, 30, 33)
        ]
        bring_back(paste(picture, patches))
    assert fetched.count == 1


def test_patches_that_meet_through_others_share_a_rectangle():
    picture = planar(make_frame("yuv420p", 64, 48).picture)
    # The last one bridges the first two, and its rectangle with either reaches the third.
    corners = [(0, 0), (20, 20), (14, 2), (6, 6)]
    patches = [added(*corner, np.full((15, 15, 3), 0.05, np.float32)) for corner in corners]
    check(picture, patches)
