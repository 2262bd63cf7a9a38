"""What the camera did to the frame, done to the restored face too: motion blur and grain.

A crisp face in a smeared frame and a clean one in a grainy frame both look pasted. Both are
measured in the face's own input, at the picture's own resolution, and only what is there is given.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from refrestore.types import DoubleArray, FloatArray, IntArray

SHUTTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Parts of the time between two frames that a shutter may have been open."""

FAST = 1.5
"""Motion in picture pixels a frame below which no blur can be seen."""

PLAINLY = 0.7
"""A blur is given if it explains the input at least this well: remaining difference of the
directions' sharpness over the difference without it."""

CORE = 3.0
"""Standard deviations beyond which fine detail is a feature and no grain."""

MOST_GRAIN = 6 / 255
"""Standard deviation (0..1) above which it is damage and is not given back."""

LEAST_GRAIN = 0.4 / 255

MOST_TAPS = 17
"""Samples along a blur: the longest ones are taken in steps of a few crop pixels."""

_NATIVE_LEAST, _NATIVE_MOST = 24, 512
_MAD_TO_SIGMA = 1.4826
_TINY = 1e-6


def native_side(to_crop: DoubleArray, side: int) -> int:
    """Return the pixels a side of a crop of `side` pixels at the picture's own resolution."""
    pitch = float(np.sqrt(abs(np.linalg.det(to_crop[:, :2]))))
    return int(np.clip(round(side / max(pitch, _TINY)), _NATIVE_LEAST, min(side, _NATIVE_MOST)))


def velocities(to_crop: DoubleArray, frames: IntArray, middle: FloatArray) -> FloatArray:
    """Return how a track's face moves over the picture, (T, 2) crop pixels a frame.

    Parameters
    ----------
    to_crop : (T, 2, 3)
        Picture to crop of each of its frames.
    frames : (T,)
        Frame indices, ascending.
    middle : (2,)
        A place on the face, crop pixels.
    """
    if len(frames) < 2:
        return np.zeros((len(frames), 2), np.float32)
    linear = to_crop[:, :, :2]
    there = np.linalg.solve(linear, (middle - to_crop[:, :, 2])[..., None])[..., 0]
    motion = np.gradient(there, np.asarray(frames, np.float64), axis=0)
    result: FloatArray = np.einsum("tij,tj->ti", linear, motion).astype(np.float32)
    return result


def smeared(image: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    """Average pictures (N, C, H, W) along straight lines `motion` (2,) pixels long."""
    length = float(motion.norm())
    taps = min(MOST_TAPS, max(2, int(np.ceil(length)) + 1))
    height, width = image.shape[-2:]
    x = torch.arange(width, device=image.device) + 0.5
    y = torch.arange(height, device=image.device) + 0.5
    total = torch.zeros_like(image)
    for step in np.linspace(-0.5, 0.5, taps).tolist():
        columns = ((x + step * motion[0]) * (2 / width) - 1).expand(height, -1)
        rows = ((y + step * motion[1]) * (2 / height) - 1)[:, None].expand(-1, width)
        grid = torch.stack([columns, rows], -1)[None].expand(len(image), -1, -1, -1)
        total += F.grid_sample(image, grid, padding_mode="border", align_corners=False)
    return total / taps


def shutter_of(
    restored: torch.Tensor, before: torch.Tensor, mask: torch.Tensor, motion: FloatArray, side: int
) -> float | None:
    """Return the part of its motion by which a face's input is blurred more than its restoration.

    None where it moves too little to tell.

    Along the motion a blurred picture has less detail than across it. The least blur is chosen
    that brings the restored face to the input's ratio of the two.

    Parameters
    ----------
    restored, before : (3, S, S)
        RGB 0..1.
    mask : (S, S)
        Where to look.
    motion : (2,)
        Crop pixels a frame.
    side
        `native_side` of the crop.
    """
    native = np.asarray(motion) * side / restored.shape[-1]
    speed = float(np.linalg.norm(native))
    if speed < FAST:
        return None
    small, own = (_grey(image, side) for image in (restored, before))
    where = _shrunk(mask[None, None], side)[0, 0]
    along = torch.from_numpy((native / speed).astype(np.float32)).to(restored.device)
    wanted = _directions(own, where, along)
    line = torch.from_numpy(native.astype(np.float32)).to(restored.device)
    apart = [
        abs(
            _directions(smeared(small, line * shutter) if shutter else small, where, along) - wanted
        )
        for shutter in SHUTTERS
    ]
    best = int(np.argmin(apart))
    return SHUTTERS[best] if apart[best] <= PLAINLY * apart[0] else 0.0


def _directions(image: torch.Tensor, where: torch.Tensor, along: torch.Tensor) -> float:
    """Return the logarithm of detail across a direction over detail along it."""
    dx = (image[0, 0, 1:-1, 2:] - image[0, 0, 1:-1, :-2]) / 2
    dy = (image[0, 0, 2:, 1:-1] - image[0, 0, :-2, 1:-1]) / 2
    weight = where[1:-1, 1:-1]
    with_it = ((dx * along[0] + dy * along[1]).square() * weight).sum()
    across = ((dy * along[0] - dx * along[1]).square() * weight).sum()
    return float(torch.log((across + _TINY) / (with_it + _TINY)))


def as_filmed(
    restored: torch.Tensor,
    before: torch.Tensor,
    mask: torch.Tensor,
    blur: FloatArray,
    side: int,
) -> torch.Tensor:
    """Return a restored face (3, S, S) with the motion blur and the grain of its frame.

    Parameters
    ----------
    restored, before : (3, S, S)
        RGB 0..1.
    mask : (S, S)
        Where it will show.
    blur : (2,)
        Motion while the shutter was open, crop pixels; zero for none.
    side
        `native_side` of the crop.
    """
    if np.any(blur):
        restored = smeared(restored[None], torch.from_numpy(blur).to(restored.device))[0]
    lost = grain(restored, before, mask, side)
    return restored if lost is None else (restored + lost).clamp_(0, 1)


def grain(
    restored: torch.Tensor, before: torch.Tensor, mask: torch.Tensor, side: int
) -> torch.Tensor | None:
    """Return the input's grain that its restoration has lost, (3, S, S), or None.

    Parameters
    ----------
    restored, before : (3, S, S)
        RGB 0..1.
    mask : (S, S)
        Where to look.
    side
        `native_side` of the crop.
    """
    fine = _fine(before, side)
    inside = _shrunk(mask[None, None], side)[0, 0] > 0.5
    if int(inside.sum()) < _NATIVE_LEAST:
        return None
    spread = _sigma(fine[0][:, inside])
    left = _sigma(_fine(restored, side)[0][:, inside])
    if not LEAST_GRAIN <= spread <= MOST_GRAIN or left >= spread:
        return None
    cored = fine * torch.exp(-((fine / (CORE * spread)) ** 2))
    share = float(np.sqrt(1 - (left / spread) ** 2))
    return F.interpolate(cored * share, size=restored.shape[-1], mode="bicubic")[0]


def _fine(image: torch.Tensor, side: int) -> torch.Tensor:
    """Return the finest octave of a crop at the picture's resolution, (1, 3, side, side)."""
    # The crop was enlarged from the picture: its pixels are sampled back, for means have no grain.
    small = F.interpolate(image[None], size=side, mode="bilinear")
    around = F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return small - around


def _sigma(values: torch.Tensor) -> float:
    return _MAD_TO_SIGMA * float(values.abs().median())


def _grey(image: torch.Tensor, side: int) -> torch.Tensor:
    return _shrunk(image.mean(0)[None, None], side)


def _shrunk(images: torch.Tensor, side: int) -> torch.Tensor:
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
