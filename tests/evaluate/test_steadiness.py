"""Motion metrics on motion that is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from refrestore.evaluate.steadiness import (
    LOWER_LIP,
    Steadiness,
    dense_flow,
    landmark_motion_error,
    lids_right,
    ring_mask,
    speech_likeness,
)
from refrestore.faces.hull import hull_polygon
from refrestore.restore.hull_mask import grown

SIDE = 256
PICTURE = np.ascontiguousarray(astronaut()[:300, 100:400])


def oval(points: int = 468) -> np.ndarray:
    """A mesh whose hull is an oval in the middle of the crop."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([128 + 60 * np.cos(angle), 128 + 80 * np.sin(angle)], axis=1).astype(np.float32)


def window(x: int, y: int) -> np.ndarray:
    return np.ascontiguousarray(PICTURE[y : y + SIDE, x : x + SIDE])


def test_motion_error_sees_jitter_and_not_place() -> None:
    random = np.random.default_rng(0)
    truth = np.cumsum(random.normal(size=(20, 5, 2)), axis=0)
    assert landmark_motion_error(truth + np.array([7, -3]), truth, 50) == pytest.approx(0)
    up = truth.copy()
    up[::2, :, 1] += 5  # every other frame 5 px lower: each step is wrong by 5
    assert landmark_motion_error(up, truth, 50) == pytest.approx(0.1)


def test_a_mouth_that_speaks_otherwise_is_seen() -> None:
    truth = np.zeros((30, 468, 2))
    truth[:, 263, 0] = 60
    truth[:, LOWER_LIP, 1] = 5 + 4 * np.sin(np.arange(30))
    assert speech_likeness(truth, truth) == pytest.approx(1)
    assert speech_likeness(truth * 2, truth) == pytest.approx(1)  # of a larger crop
    late = truth.copy()
    late[:, LOWER_LIP, 1] = np.roll(truth[:, LOWER_LIP, 1], 3)
    assert speech_likeness(late, truth) < 0
    still = np.repeat(truth[:1], 30, axis=0)
    assert np.isnan(speech_likeness(truth, still))
    assert speech_likeness(still, truth) == 0


def test_lids_are_right_or_wrong() -> None:
    assert lids_right([0, 0.2, 0.9, 1], [0, 0, 1, 1]) == 1
    assert lids_right([0, 0.2, 0.1, 1], [0, 0, 1, 1]) == 0.75


def test_flow_follows_a_shift() -> None:
    flow = dense_flow(window(10, 10), window(14, 13))  # content moves left by 4 and up by 3
    own = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1)
    moved = (flow.grid - own)[64:192, 64:192]
    assert np.median(moved[..., 0]) == pytest.approx(-4, abs=0.2)
    assert np.median(moved[..., 1]) == pytest.approx(-3, abs=0.2)
    assert not flow.known[:2].any()  # what left the picture is not known
    assert flow.known[64:192, 64:192].mean() > 0.95


def test_a_picture_that_only_moves_is_steady() -> None:
    steady, wrong = Steadiness(), Steadiness()
    flow = dense_flow(window(10, 10), window(14, 13))
    steady.add(window(10, 10), window(14, 13), flow, oval())
    wrong.add(window(10, 10), window(10, 10), flow, oval())  # stands still where it should move
    assert steady.warping_error < 3
    assert wrong.warping_error > 4 * steady.warping_error


def test_ring_deviation_is_the_noise_there() -> None:
    random = np.random.default_rng(1)
    base = np.full((SIDE, SIDE, 3), 120, np.uint8)
    ring = ring_mask(oval(), SIDE)
    flow = dense_flow(window(10, 10), window(10, 10))
    noisy, inside = Steadiness(), Steadiness()
    for _ in range(8):
        frames = []
        for where in (ring, hull_polygon(oval()[None] * 0.6 + 51, SIDE)[0] > 0):
            for _ in range(2):
                frame = base.astype(np.float64)
                frame[where] += random.normal(0, 6, (int(where.sum()), 3))
                frames.append(np.clip(np.rint(frame), 0, 255).astype(np.uint8))
        noisy.add(frames[0], frames[1], flow, oval())
        inside.add(frames[2], frames[3], flow, oval())
    assert noisy.ring_deviation == pytest.approx(6, rel=0.1)
    assert inside.ring_deviation < 0.2
    assert inside.warping_error > 3


def test_the_ring_follows_the_edge_of_what_is_pasted() -> None:
    ring = ring_mask(oval(), SIDE)
    edge = hull_polygon(grown(torch.from_numpy(oval()[None])).numpy(), SIDE)[0]
    contour = cv2.morphologyEx(edge, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    assert ring[contour].all()
    assert not ring[128, 128]
    assert not ring[2, 2]


def test_without_frames_there_is_no_figure() -> None:
    assert np.isnan(Steadiness().warping_error)
