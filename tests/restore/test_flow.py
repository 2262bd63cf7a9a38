"""Both ways of finding flow find motions that are known."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from refrestore.restore.flow import flow, lucas_kanade
from refrestore.restore.warp import warp

SIDES = (256, 128)
INNER = (slice(None), slice(None), slice(24, -24), slice(24, -24))


def scene(side: int) -> np.ndarray:
    face = cv2.cvtColor(data.astronaut()[:256, 100:356], cv2.COLOR_RGB2GRAY)
    return cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)


def moved(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the picture in which pixel p of the first one is at `matrix` p."""
    side = picture.shape[0]
    return cv2.warpAffine(picture, matrix, (side, side), borderMode=cv2.BORDER_REFLECT)


MOTIONS = {
    "shift": np.array([[1, 0, 3.4], [0, 1, -2.3]]),
    "far": np.array([[1, 0, -9.0], [0, 1, 6.0]]),
    "turn": np.array([[0.997, -0.06, 8.0], [0.06, 0.997, -7.0]]),
    "nearer": np.array([[1.05, 0, -6.0], [0, 1.05, -6.5]]),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", MOTIONS)
@pytest.mark.parametrize("find", [flow, lucas_kanade])
def test_known_motions_are_found(find: Callable, name: str, side: int) -> None:
    matrix = MOTIONS[name] * [[1, 1, side / 256], [1, 1, side / 256]]
    this = scene(side)
    pair = torch.from_numpy(np.stack([this, moved(this, matrix)]))[:, None]
    found = find(pair[0], pair[1])
    y, x = np.mgrid[:side, :side]
    points = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    wanted = torch.from_numpy((matrix @ points).reshape(2, side, side) - np.stack([x, y])).float()
    apart = (found[0] - wanted).norm(dim=0)[24:-24, 24:-24]
    assert float(apart.median()) < (0.4 if find is flow else 0.15)
    assert float((apart < 1).float().mean()) > 0.9


@pytest.mark.parametrize("find", [flow, lucas_kanade])
def test_pairs_are_laid_over_each_other(find: Callable) -> None:
    this = scene(128)
    other = moved(this, np.array([[1.02, 0.02, 2.0], [-0.02, 1.02, -3.0]]))
    pictures = torch.from_numpy(np.stack([this, other]))[:, None]
    found = find(pictures[:, 0], pictures.flip(0)[:, 0])
    assert found.shape == (2, 2, 128, 128)
    placed = warp(pictures.flip(0).float(), found, stride=1)
    before = (pictures.flip(0).float() - pictures.float())[INNER].abs().mean((1, 2, 3))
    after = (placed - pictures.float())[INNER].abs().mean((1, 2, 3))
    assert (after < 0.25 * before).all()


def test_where_nothing_is_seen_nothing_moves() -> None:
    flat = torch.full((1, 60, 71), 128, dtype=torch.uint8)
    assert float(lucas_kanade(flat, flat + 1).abs().max()) < 1e-3
