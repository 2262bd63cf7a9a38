"""Motion blur and grain are found where they are and given in the same measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data
from torch.nn import functional as F

from refrestore.restore import camera
from refrestore.restore.camera import (
    as_filmed,
    grain,
    middle_shutters,
    native_sides,
    shutters_of,
    smeared,
    velocities,
)
from refrestore.restore.warp import warp

SIDE = 128
SIDES = np.array([SIDE])
BOX = np.array([[130, 130, 380, 400]])
MASK = torch.zeros(512, 512)
MASK[130:400, 130:380] = 1


@pytest.fixture(scope="module")
def face() -> torch.Tensor:
    portrait = torch.from_numpy(data.astronaut().copy()).permute(2, 0, 1)[None].float() / 255
    crop = portrait[:, :, 0:256, 100:356]
    return torch.nn.functional.interpolate(crop, size=512, mode="bicubic")[0].clamp(0, 1)


def native(image: torch.Tensor, noise: float = 0.0) -> torch.Tensor:
    """Return a crop as a picture of `SIDE` pixels shows it."""
    small = torch.nn.functional.interpolate(image[None], size=SIDE, mode="bilinear", antialias=True)
    small = small + noise * torch.randn(small.shape, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(small, size=512, mode="bicubic")[0].clamp(0, 1)


def shutter_of(restored, before, mask, motion, side) -> float:
    planes = restored[None], before[None], mask[None]
    return float(shutters_of(*planes, motion[None], sides=np.array([side]), boxes=BOX))


def grain_of(restored, before) -> torch.Tensor | None:
    """Return the grain given back, in the box."""
    planes = restored[None], before[None], MASK[None]
    lost = grain(*planes, sides=SIDES, boxes=BOX)
    return None if lost is None else lost[0]


@pytest.mark.parametrize("angle", [0.0, 0.7, 1.6, 2.5])
def test_a_blur_is_found_and_none_is_made_up(face, angle) -> None:
    motion = (np.array([np.cos(angle), np.sin(angle)]) * 32).astype(np.float32)
    blurred = native(smeared(face[None], torch.from_numpy(motion)[None], 32)[0])
    found = shutter_of(native(face), blurred, MASK, motion, SIDE)
    assert found >= 0.5
    assert shutter_of(native(face), native(face), MASK, motion, SIDE) == 0


def test_what_hardly_moves_tells_nothing(face) -> None:
    slow = np.array([2.0, 0.0], np.float32)
    assert np.isnan(shutter_of(face, face, MASK, slow, SIDE))


def test_a_smear_keeps_brightness_and_works_along_its_line() -> None:
    dot = torch.zeros((1, 1, 65, 65))
    dot[0, 0, 32, 32] = 1
    line = smeared(dot, torch.tensor([[8.0, 0.0]]), 8)[0, 0]
    assert float(line.sum()) == pytest.approx(1, abs=0.02)
    assert float(line[32].sum()) == pytest.approx(1, abs=0.02)
    assert float(line[32, 28]) > 0.05


def test_grain_that_was_lost_is_given_back(face) -> None:
    smooth = torch.nn.functional.avg_pool2d(face[None], 63, 1, 31)[0]
    noisy = native(smooth, 3 / 255)
    lost = grain_of(smooth, noisy)
    assert lost is not None
    given = lost[:, 70:170, 70:170].std()
    had = (noisy - smooth)[:, 200:300, 200:300].std()
    assert 0.4 * had < given < 1.1 * had
    assert grain_of(noisy, noisy) is None
    assert grain_of(smooth, smooth) is None
    damaged = native(smooth, 0.15)
    assert grain_of(smooth, damaged) is None


def test_nothing_to_match_changes_nothing(face) -> None:
    planes = face[None], face[None], MASK[None]
    still = np.zeros((1, 2), np.float32)
    same = as_filmed(*planes, still, torch.ones(1), sides=np.array([512]), boxes=BOX)
    assert torch.equal(same[0], face)


def test_velocity_is_the_faces_over_the_picture() -> None:
    frames = np.arange(5)
    to_crop = np.zeros((5, 2, 3))
    to_crop[:, 0, 0] = to_crop[:, 1, 1] = 4.0  # a crop pixel is a quarter of a picture pixel
    to_crop[:, 0, 2] = -4.0 * 10 * frames  # the face goes right by 10 picture pixels a frame
    moved = velocities(to_crop, frames, np.array([256.0, 256.0]))
    np.testing.assert_allclose(moved, np.tile([40.0, 0.0], (5, 1)), atol=1e-3)
    assert native_sides(to_crop, 512).tolist() == [128] * 5


def test_a_side_that_changes_is_no_motion() -> None:
    frames = np.arange(6)
    to_crop = np.zeros((6, 2, 3))
    to_crop[:, 0, 0] = to_crop[:, 1, 1] = 2.0
    to_crop[3:] *= 0.5
    middle = np.array([[256.0, 256.0]] * 3 + [[128.0, 128.0]] * 3)
    np.testing.assert_allclose(velocities(to_crop, frames, middle), 0, atol=1e-6)


def test_both_ways_of_smearing_agree(face) -> None:
    lines = torch.tensor([[7.3, -3.1], [0.0, 0.0], [-31.0, 12.5]])
    images = torch.stack([face[:, 100:260, 100:280]] * 3)
    places = camera._taps(lines, 17)
    one, other = camera._filtered(images, *places), camera._sampled(images, *places)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    torch.testing.assert_close(one[1], images[1], atol=1e-5, rtol=0)
    assert float((one[0] - images[0]).abs().mean()) > 0.005


def test_the_median_of_what_is_known() -> None:
    none = np.nan
    known = [[0.25, none, none], [0.0, 0.5, none], [0.5, 0.25, 1.0], [none, none, none]]
    assert middle_shutters(torch.tensor(known)).tolist() == [0.25, 0.25, 0.5, 0.0]


def alone_shutter(restored, before, mask, motion, side) -> float:
    """Return what `shutters_of` does for one face, one number after another."""

    def shrunk(plane):
        return F.interpolate(plane[None, None], size=side, mode="bilinear", antialias=True)[0, 0]

    def directions(image):
        dx, dy = (image[1:-1, 2:] - image[1:-1, :-2]) / 2, (image[2:, 1:-1] - image[:-2, 1:-1]) / 2
        weight, (x, y) = where[1:-1, 1:-1], native / np.linalg.norm(native)
        along = float(((dx * x + dy * y) ** 2 * weight).sum())
        return np.log((float(((dy * x - dx * y) ** 2 * weight).sum()) + 1e-6) / (along + 1e-6))

    native = motion * (side / restored.shape[-1])
    after, own, where = shrunk(restored.mean(0)), shrunk(before.mean(0)), shrunk(mask)
    wanted, apart = directions(own), []
    for shutter in (0, 0.25, 0.5, 0.75, 1):
        line = native * shutter
        taps = min(17, max(2, int(np.ceil(np.linalg.norm(line))) + 1))
        shifted = [
            warp(
                after[None, None],
                torch.tensor(line * step)[None, :, None, None].float().expand(1, 2, side, side),
                stride=1,
            )
            for step in np.linspace(-0.5, 0.5, taps)
        ]
        apart.append(abs(directions(sum(shifted)[0, 0] / taps) - wanted))
    best = int(np.argmin(apart))
    return best / 4 if apart[best] <= 0.7 * apart[0] else 0.0


def alone_filmed(restored, before, mask, side):
    """Return what `as_filmed` does for one face without motion, one number after another."""

    def fine(image):
        small = F.interpolate(image[None], size=side, mode="bilinear")
        return small - F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, 1)

    inside = F.interpolate(mask[None, None], size=side, mode="bilinear", antialias=True)[0, 0] > 0.5
    lost = fine(before)
    spread, left = (
        1.4826 * float(one[0][:, inside].abs().median()) for one in (lost, fine(restored))
    )
    if not 0.4 / 255 <= spread <= 6 / 255 or left >= spread:
        return restored
    cored = (
        lost * torch.exp(-((lost / (3 * spread)) ** 2)) * float(np.sqrt(1 - (left / spread) ** 2))
    )
    size = restored.shape[-1]
    return (restored + F.interpolate(cored, size=size, mode="bicubic")[0]).clamp(0, 1)


@pytest.mark.parametrize("together", [False, True])
def test_faces_come_out_as_each_by_itself(face, together, monkeypatch) -> None:
    """As on a GPU, all together with native sides of their own, and as on a CPU."""
    if together:
        monkeypatch.setattr(camera, "parts", lambda count, device: [slice(0, count)])
    smooth = F.avg_pool2d(face[None], 15, 1, 7)[0]
    restored = torch.stack([smooth, native(face, 1 / 255), face, native(face)])
    motion = np.array([[30, 10], [40, -20], [1, 1], [0, 36]], np.float32)
    blurred = smeared(restored, torch.from_numpy(motion) * 0.8, 40)
    noise = torch.randn((4, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(5))
    levels = torch.tensor([3.0, 2.0, 40.0, 0.0])[:, None, None, None] / 255
    before = blurred + F.interpolate(noise * levels, size=512, mode="bicubic")
    masks = MASK[None].repeat(4, 1, 1)
    sides, boxes = np.array([128, 100, 90, 140]), np.tile(BOX, (4, 1))
    found = shutters_of(restored, before, masks, motion, sides=sides, boxes=boxes)
    wanted = [
        alone_shutter(*one, vector, side)
        for *one, vector, side in zip(restored, before, masks, motion, sides, strict=True)
    ]
    assert np.isnan(float(found[2]))
    assert [float(found[row]) for row in (0, 1, 3)] == [wanted[row] for row in (0, 1, 3)]
    assert max(wanted) > 0
    shutters = torch.zeros(4)
    made = as_filmed(restored, before, masks, motion, shutters, sides=sides, boxes=boxes)
    for row, one in enumerate(made):
        alone = alone_filmed(restored[row], before[row], masks[row], int(sides[row]))
        torch.testing.assert_close(one * MASK, alone * MASK, atol=1e-4, rtol=0)
    assert float((made[0] - restored[0]).abs().max()) > 1 / 255
    shutters[0] = 0.5
    moved = as_filmed(restored, before, masks, motion, shutters, sides=sides, boxes=boxes)
    line = torch.from_numpy(motion[:1]) * 0.5
    smooth = smeared(restored[:1], line, 20)[0]
    alone = alone_filmed(smooth, before[0], masks[0], 128)
    torch.testing.assert_close(moved[0] * MASK, alone * MASK, atol=2e-3, rtol=0)
    assert torch.equal(moved[:, :, :100], restored[:, :, :100])  # nothing shows there
