"""Motion blur and grain are found where they are and given in the same measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

from refrestore.restore.camera import (
    as_filmed,
    grain,
    native_side,
    shutter_of,
    smeared,
    velocities,
)

SIDE = 128
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


@pytest.mark.parametrize("angle", [0.0, 0.7, 1.6, 2.5])
def test_a_blur_is_found_and_none_is_made_up(face, angle) -> None:
    motion = (np.array([np.cos(angle), np.sin(angle)]) * 32).astype(np.float32)
    blurred = native(smeared(face[None], torch.from_numpy(motion))[0])
    found = shutter_of(native(face), blurred, MASK, motion, SIDE)
    assert found is not None
    assert found >= 0.5
    assert shutter_of(native(face), native(face), MASK, motion, SIDE) == 0


def test_what_hardly_moves_tells_nothing(face) -> None:
    slow = np.array([2.0, 0.0], np.float32)
    assert shutter_of(face, face, MASK, slow, SIDE) is None


def test_a_smear_keeps_brightness_and_works_along_its_line() -> None:
    dot = torch.zeros((1, 1, 65, 65))
    dot[0, 0, 32, 32] = 1
    line = smeared(dot, torch.tensor([8.0, 0.0]))[0, 0]
    assert float(line.sum()) == pytest.approx(1, abs=0.02)
    assert float(line[32].sum()) == pytest.approx(1, abs=0.02)
    assert float(line[32, 28]) > 0.05


def test_grain_that_was_lost_is_given_back(face) -> None:
    smooth = torch.nn.functional.avg_pool2d(face[None], 63, 1, 31)[0]
    noisy = native(smooth, 3 / 255)
    lost = grain(smooth, noisy, MASK, SIDE)
    assert lost is not None
    given = lost[:, 200:300, 200:300].std()
    had = (noisy - smooth)[:, 200:300, 200:300].std()
    assert 0.4 * had < given < 1.1 * had
    assert grain(noisy, noisy, MASK, SIDE) is None
    assert grain(smooth, smooth, MASK, SIDE) is None
    damaged = native(smooth, 0.15)
    assert grain(smooth, damaged, MASK, SIDE) is None


def test_nothing_to_match_changes_nothing(face) -> None:
    same = as_filmed(face, face, MASK, np.zeros(2, np.float32), 512)
    assert same is face


def test_velocity_is_the_faces_over_the_picture() -> None:
    frames = np.arange(5)
    to_crop = np.zeros((5, 2, 3))
    to_crop[:, 0, 0] = to_crop[:, 1, 1] = 4.0  # a crop pixel is a quarter of a picture pixel
    to_crop[:, 0, 2] = -4.0 * 10 * frames  # the face goes right by 10 picture pixels a frame
    moved = velocities(to_crop, frames, np.array([256.0, 256.0]))
    np.testing.assert_allclose(moved, np.tile([40.0, 0.0], (5, 1)), atol=1e-3)
    assert native_side(to_crop[0], 512) == 128
