"""Metrics of pictures against slow versions written from their definitions."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from refrestore.evaluate.degrade import Degradation, degrade
from refrestore.evaluate.judge import face_region, head_region
from refrestore.evaluate.metrics import (
    blotches,
    detail,
    identity_deviation,
    landmark_error,
    luma,
    psnr,
    ssim,
)
from refrestore.restore.composite import HEAD_GROWTH


def test_ssim_is_its_definition() -> None:
    truth = np.ascontiguousarray(astronaut()[100:164, 180:240])
    image = degrade(truth, Degradation(blur=1.5, noise=8), np.random.default_rng(0))
    one, two = luma(image), luma(truth)
    reach, sigma = 5, 1.5  # 11 x 11, as published
    steps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    window = np.outer(steps, steps)
    window /= window.sum()
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for row in range(reach, 64 - reach):
        for column in range(reach, 60 - reach):
            part = (slice(row - reach, row + reach + 1), slice(column - reach, column + reach + 1))
            a, b = one[part], two[part]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * a**2).sum() - ma**2, (window * b**2).sum() - mb**2
            both = (window * a * b).sum() - ma * mb
            values.append(
                (2 * ma * mb + first)
                * (2 * both + second)
                / ((ma**2 + mb**2 + first) * (va + vb + second))
            )
    mask = np.zeros((64, 60))
    mask[reach:-reach, reach:-reach] = 1
    assert ssim(image, truth, mask) == pytest.approx(np.mean(values), abs=1e-6)
    assert ssim(truth, truth) == pytest.approx(1)


def test_only_the_mask_counts() -> None:
    truth = np.ascontiguousarray(astronaut()[:128, :128])
    image = truth.copy()
    image[:, :40] = 0
    mask = np.zeros((128, 128))
    mask[:, 60:] = 1
    assert psnr(image, truth, mask) == float("inf")
    assert psnr(image, truth) < 20
    assert ssim(image, truth, mask) == pytest.approx(1)


def test_landmark_error_is_in_eye_distances() -> None:
    truth = np.array([[0.0, 0.0], [50.0, 0.0], [25.0, 30.0]])
    assert landmark_error(truth + np.array([3, 4]), truth, 50.0) == pytest.approx(0.1)
    assert landmark_error(truth, truth, 50.0) == 0


def test_identity_deviation() -> None:
    assert identity_deviation(np.array([0.5, 0.5, 0.5])) == 0
    assert identity_deviation(np.array([0.4, 0.6])) == pytest.approx(0.1)


def test_luma_of_white_is_white() -> None:
    white = np.full((2, 2, 3), 255, np.uint8)
    assert luma(white) == pytest.approx(255)
    gray = cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)
    assert np.abs(luma(astronaut()) - gray).max() <= 0.51


def test_detail_is_how_strong_fine_octaves_are() -> None:
    truth = np.ascontiguousarray(astronaut()[40:168, 160:288])
    mask = np.zeros((128, 128))
    mask[16:112, 24:104] = 1
    assert detail(truth, truth, mask) == pytest.approx(1)
    half = np.rint(truth * 0.5).astype(np.uint8)
    assert detail(half, truth, mask) == pytest.approx(0.5, abs=0.01)
    soft = degrade(truth, Degradation(blur=4), np.random.default_rng(0))
    noisy = degrade(truth, Degradation(noise=20), np.random.default_rng(0))
    assert detail(soft, truth, mask) < 0.6
    assert detail(noisy, truth, mask) > 1.1
    painted = truth.copy()
    painted[:8] = np.arange(128)[:, None] % 2 * 255  # outside the mask
    assert detail(painted, truth, mask) == pytest.approx(1, abs=0.01)


def test_blotches_are_coarse_colours_in_the_wrong_place() -> None:
    side = 96
    generator = np.random.default_rng(4)
    truth = generator.integers(60, 180, (side, side, 3)).astype(np.uint8)
    mask = np.zeros((side, side))
    mask[12:-12, 12:-12] = 1
    assert blotches(truth, truth, mask) == 0
    tinted, brighter, stained, outside = (truth.astype(int) for _ in range(4))
    tinted[..., 0] += 10
    brighter[:48] += 20
    stained[:48, :, 0] += 10
    outside[:6, :, 0] += 60
    for changed in (tinted, brighter, outside):
        assert blotches(changed.astype(np.uint8), truth, mask) < 0.4
    found = blotches(stained.astype(np.uint8), truth, mask)
    assert 1 < found < 3  # 10 levels of red in one half: its colour, about its mean
    fine = truth.astype(int) + generator.integers(-20, 21, truth.shape)
    assert blotches(fine.astype(np.uint8), truth, mask) < 1.5


def test_a_head_is_around_its_face() -> None:
    turn = np.linspace(0, 2 * np.pi, 468, endpoint=False)
    mesh = (256 + 100 * np.stack([np.cos(turn), np.sin(turn)], 1)).astype(np.float32)
    face, head = face_region(mesh, 128), head_region(mesh, 128)
    assert (head >= face).all()
    assert 0.75 < np.sqrt(head.sum() / face.sum()) / HEAD_GROWTH < 1.25
