"""Optical flow between pictures of one face: where each of its pixels is at another time."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from refrestore.restore.warp import warp
from refrestore.types import FloatArray, ImageArray

LEVELS = 5
"""Octaves: at the coarsest a face of 256 px has 16, and moves by a few at most."""

COARSEST = 8
"""Pixels that a level must have at least, in its shorter direction."""

ROUNDS = 3
"""Steps of Gauss and Newton a level."""

WINDOW, EVEN = 9, 5
"""Pixels a side in which motion is one, and over which it is evened out after each step; twice over
each (a pyramid as weights). docs/decisions/022 has what else was tried."""

FLAT = 1e-5
"""Added to the squared gradients (grey 0..1): where there is nothing to see the coarser level's
motion stays."""


def flow(this: Tensor, other: Tensor) -> Tensor:
    """Return where each pixel of a picture is in another, (N, 2, h, w): x and y offsets in pixels.

    On a CPU OpenCV's DIS (Kroeger et al., ECCV 2016), one pair at a time; elsewhere
    `lucas_kanade`, all pairs together, without waiting for the device.

    Parameters
    ----------
    this, other : (N, h, w) uint8
        Grey.
    """
    if this.device.type != "cpu":
        return lucas_kanade(this, other)
    found = [_dis(*pair) for pair in zip(this.numpy(), other.numpy(), strict=True)]
    return torch.from_numpy(np.stack(found).transpose(0, 3, 1, 2))


def _dis(this: ImageArray, other: ImageArray) -> FloatArray:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    this, other = np.ascontiguousarray(this), np.ascontiguousarray(other)
    return np.asarray(search.calc(this, other, np.zeros((*this.shape, 2), np.float32)), np.float32)


def lucas_kanade(this: Tensor, other: Tensor) -> Tensor:
    """Return the flow between pictures (N, h, w) uint8 as `flow` does.

    Lucas and Kanade (IJCAI 1981), dense and pyramidal (Bouguet, 2000).
    """
    pictures = [torch.stack([this, other], 1).float() / 255]
    while len(pictures) < LEVELS and min(pictures[-1].shape[-2:]) >= 2 * COARSEST:
        height, width = pictures[-1].shape[-2:]
        half = ((height + 1) // 2, (width + 1) // 2)
        pictures.append(F.interpolate(pictures[-1], size=half, mode="area"))
    motion = pictures[-1].new_zeros((len(this), 2, *pictures[-1].shape[-2:]))
    for level in reversed(pictures):
        motion = _refined(_enlarged(motion, level), level)
    return motion


def _enlarged(motion: Tensor, level: Tensor) -> Tensor:
    """Return a coarser level's motion on the pixels of a finer one."""
    (height, width), (rows, columns) = motion.shape[-2:], level.shape[-2:]
    if (height, width) == (rows, columns):
        return motion
    larger = F.interpolate(motion, size=(rows, columns), mode="bilinear")
    return torch.stack([larger[:, 0] * (columns / width), larger[:, 1] * (rows / height)], 1)


def _refined(motion: Tensor, level: Tensor) -> Tensor:
    """Improve the motion between the two pictures of a level (N, 2, h, w)."""
    this, other = level[:, :1], level[:, 1:]
    around = F.pad(this, (1, 1, 1, 1), mode="replicate")
    dx = (around[..., 1:-1, 2:] - around[..., 1:-1, :-2]) / 2
    dy = (around[..., 2:, 1:-1] - around[..., :-2, 1:-1]) / 2
    xx, xy, yy = _blurred(torch.cat([dx * dx, dx * dy, dy * dy], 1)).chunk(3, 1)
    xx, yy = xx + FLAT, yy + FLAT
    scale = 1 / (xx * yy - xy * xy)
    for _ in range(ROUNDS):
        apart = this - warp(other, motion, stride=1)
        x, y = _blurred(torch.cat([dx * apart, dy * apart], 1)).chunk(2, 1)
        step = torch.cat([yy * x - xy * y, xx * y - xy * x], 1) * scale
        motion = _blurred(motion + step.clamp(-1, 1), EVEN)
    return motion


def _blurred(planes: Tensor, window: int = WINDOW) -> Tensor:
    for _ in range(2):
        planes = F.avg_pool2d(planes, window, 1, window // 2, count_include_pad=False)
    return planes
