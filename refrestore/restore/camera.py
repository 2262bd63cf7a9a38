"""What the camera did to the frame, done to the restored face too: motion blur and grain.

A crisp face in a smeared frame and a clean one in a grainy frame both look pasted. Both are
measured in the face's own input, at the picture's own resolution, and only what is there is given.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from refrestore.media.tensors import parts
from refrestore.restore.resize import (
    Window,
    nobody,
    resized,
    resized_window,
    window_of,
)
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

LEAST_PIXELS = 24
"""Of the face at the picture's own resolution, from which its grain can be told."""

_NATIVE_LEAST, _NATIVE_MOST = 24, 512
_SUPPORT = 4
"""Pixels around a window that a bicubic resampling of it looks at, and one more."""

_MAD_TO_SIGMA = 1.4826
_TINY = 1e-6


def native_sides(to_crop: DoubleArray, side: int) -> IntArray:
    """Return the pixels a side of crops of `side` pixels at the picture's own resolution, (N,)."""
    pitch = np.sqrt(np.abs(np.linalg.det(to_crop[:, :, :2])))
    most = min(side, _NATIVE_MOST)
    sides: IntArray = (
        np.rint(side / np.maximum(pitch, _TINY)).clip(_NATIVE_LEAST, most).astype("i8")
    )
    return sides


def velocities(to_crop: DoubleArray, frames: IntArray, middle: FloatArray) -> FloatArray:
    """Return how a track's face moves over the picture, (T, 2) crop pixels a frame.

    Parameters
    ----------
    to_crop : (T, 2, 3)
        Picture to crop of each of its frames.
    frames : (T,)
        Frame indices, ascending.
    middle : (T, 2) or (2,)
        A place on the face, crop pixels.
    """
    if len(frames) < 2:
        return np.zeros((len(frames), 2), np.float32)
    linear = to_crop[:, :, :2]
    there = np.linalg.solve(linear, (middle - to_crop[:, :, 2])[..., None])[..., 0]
    motion = np.gradient(there, np.asarray(frames, np.float64), axis=0)
    result: FloatArray = np.einsum("tij,tj->ti", linear, motion).astype(np.float32)
    return result


def smeared(images: Tensor, motion: Tensor, longest: float) -> Tensor:
    """Average pictures along straight lines.

    On a CPU by OpenCV, which is five to ten times as fast as to sample the pictures.

    Parameters
    ----------
    images : (N, C, H, W)
        Beyond their borders the borders are repeated.
    motion : (N, 2)
        The lines, pixels.
    longest
        None of the lines is longer; on the host, so that shapes are known.
    """
    average = _filtered if images.device.type == "cpu" else _sampled
    return average(images, *_taps(motion, min(MOST_TAPS, max(2, int(np.ceil(longest)) + 1))))


def _taps(motion: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return where lines (N, 2) are sampled, (T, N, 2), and the samples' weights, (T, N)."""
    length = torch.linalg.vector_norm(motion, dim=1)
    taps = (length.ceil() + 1).clamp(2, MOST_TAPS)
    step = torch.arange(steps, device=motion.device)[:, None]
    return (step / (taps - 1) - 0.5)[..., None] * motion, (step < taps) / taps


def _sampled(images: Tensor, shifts: Tensor, weights: Tensor) -> Tensor:
    """Average pictures (N, C, H, W), bilinear, at places (T, N, 2) around each pixel."""
    height, width = images.shape[-2:]
    size = torch.tensor([2 / width, 2 / height], device=images.device)
    x = (torch.arange(width, device=images.device) + 0.5) * (2 / width) - 1
    y = (torch.arange(height, device=images.device) + 0.5) * (2 / height) - 1
    grid = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], -1)
    total = torch.zeros_like(images)
    for shift, weight in zip(shifts, weights, strict=True):
        here = grid + (shift * size)[:, None, None]
        moved = F.grid_sample(images, here, padding_mode="border", align_corners=False)
        total += moved * weight[:, None, None, None]
    return total


def _filtered(images: Tensor, shifts: Tensor, weights: Tensor) -> Tensor:
    """Do the same as `_sampled`."""
    result = torch.empty_like(images)
    for face, (shift, weight) in enumerate(zip(shifts.unbind(1), weights.unbind(1), strict=True)):
        kernel = _kernel(shift[weight > 0].double().numpy(), weight[weight > 0].numpy())
        for plane, target in zip(images[face], result[face], strict=True):
            cv2.filter2D(
                plane.numpy(), -1, kernel, dst=target.numpy(), borderType=cv2.BORDER_REPLICATE
            )
    return result


def _kernel(places: DoubleArray, weights: FloatArray) -> FloatArray:
    """Return the filter that is a sum of bilinear samples at places (T, 2)."""
    reach = int(np.ceil(np.abs(places).max()))
    kernel = np.zeros((2 * reach + 3, 2 * reach + 3), np.float32)
    corner = np.floor(places).astype(int)
    right, down = (places - corner).T
    for x, y, share in (
        (0, 0, (1 - right) * (1 - down)),
        (1, 0, right * (1 - down)),
        (0, 1, (1 - right) * down),
        (1, 1, right * down),
    ):
        columns, rows = (corner + reach + 1 + (x, y)).T
        np.add.at(kernel, (rows, columns), share * weights)
    return kernel


def shutters_of(
    restored: Tensor,
    before: Tensor,
    masks: Tensor,
    motion: FloatArray,
    *,
    sides: IntArray,
    boxes: IntArray,
) -> Tensor:
    """Return the parts of their motion by which faces' inputs are blurred more than restored, (B,).

    Not a number where a face moves too little to tell.

    Along the motion a blurred picture has less detail than across it. The least blur is chosen
    that brings the restored face to the input's ratio of the two.

    Parameters
    ----------
    restored, before : (B, 3, S, S)
        RGB 0..1.
    masks : (B, S, S)
        Where to look.
    motion : (B, 2)
        Crop pixels a frame.
    sides : (B,)
        `native_sides` of the crops.
    boxes : (B, 4)
        Left, top, right, bottom: outside of them the masks are 0.
    """
    side = restored.shape[-1]
    native = np.asarray(motion) * (sides / side)[:, None]
    speeds = np.linalg.norm(native, axis=1)
    found = restored.new_full((len(restored),), torch.nan)
    fast = np.flatnonzero(speeds >= FAST)
    for part in parts(len(fast), restored.device):
        faces = fast[part]
        rows = torch.from_numpy(faces).to(restored.device)
        planes = [restored[rows].mean(1), before[rows].mean(1), masks[rows]]
        whole = np.full(len(faces), side)
        small = resized(torch.stack(planes, 1), whole, sides[faces], antialias=True)
        line = torch.tensor(native[faces], dtype=torch.float32, device=restored.device)
        seen = window_of(boxes[faces], sides[faces] / side, 2, small.shape[-1])
        found[rows] = _shutters(small, line, float(speeds[faces].max()), seen)
    return found


def _shutters(small: Tensor, line: Tensor, longest: float, seen: Window) -> Tensor:
    """Return the shutters (b,) of pictures (b, 3, n, n): restored, before, where to look."""
    after, (before, where) = small[:, :1], (small[(slice(None), one, *seen)] for one in (1, 2))
    along = (line / torch.linalg.vector_norm(line, dim=1, keepdim=True))[..., None, None]
    wanted = _directions(before, where, along)
    apart = [(_directions(after[(slice(None), 0, *seen)], where, along) - wanted).abs()]
    for shutter in SHUTTERS[1:]:
        tried = smeared(after, line * shutter, longest * shutter)[(slice(None), 0, *seen)]
        apart.append((_directions(tried, where, along) - wanted).abs())
    least, best = torch.stack(apart).min(0)
    shutters = torch.tensor(SHUTTERS, device=line.device)[best]
    return torch.where(least <= PLAINLY * apart[0], shutters, 0.0)


def _directions(images: Tensor, where: Tensor, along: Tensor) -> Tensor:
    """Return the logarithm of the detail of (N, h, w) across directions over that along, (N,)."""
    dx = (images[:, 1:-1, 2:] - images[:, 1:-1, :-2]) / 2
    dy = (images[:, 2:, 1:-1] - images[:, :-2, 1:-1]) / 2
    weight = where[:, 1:-1, 1:-1]
    with_it = ((dx * along[:, 0] + dy * along[:, 1]).square() * weight).sum((1, 2))
    across = ((dy * along[:, 0] - dx * along[:, 1]).square() * weight).sum((1, 2))
    return torch.log((across + _TINY) / (with_it + _TINY))


def middle_shutters(known: Tensor) -> Tensor:
    """Return the median shutter of each face and its neighbours, (B,); 0 where none tells.

    Parameters
    ----------
    known : (B, K)
        Not a number where a frame tells nothing.
    """
    ordered = known.sort(1).values  # what is not a number comes last
    count = (~known.isnan()).sum(1, keepdim=True)
    low, high = ((count - 1) // 2).clamp(min=0), (count // 2).clamp(max=known.shape[1] - 1)
    middle = (ordered.gather(1, low) + ordered.gather(1, high)) / 2
    return torch.where(count > 0, middle, 0.0)[:, 0]


def as_filmed(
    restored: Tensor,
    before: Tensor,
    masks: Tensor,
    motion: FloatArray,
    shutters: Tensor,
    *,
    sides: IntArray,
    boxes: IntArray,
) -> Tensor:
    """Return restored faces (B, 3, S, S) with the motion blur and the grain of their frames.

    Parameters
    ----------
    restored, before : (B, 3, S, S)
        RGB 0..1.
    masks : (B, S, S)
        Where they will show.
    motion : (B, 2)
        Crop pixels a frame.
    shutters : (B,)
        Part of it while the shutter was open.
    sides : (B,)
        `native_sides` of the crops.
    boxes : (B, 4)
        Left, top, right, bottom: outside of them nothing shows, and nothing is changed.
    """
    result, side = restored.clone(), restored.shape[-1]
    speeds = np.linalg.norm(motion, axis=1)
    for part in parts(len(restored), restored.device):
        longest = float(speeds[part].max())
        window, around = (
            window_of(boxes[part], 1, margin, side) for margin in (0, int(longest / 2) + 2)
        )
        images = result[part]
        if longest and not nobody(shutters[part] > 0):
            line = torch.from_numpy(motion[part]).to(images) * shutters[part, None]
            blurred = smeared(images[(..., *around)], line, longest)
            images[(..., *window)] = blurred[(..., *_within(window, around))]
        lost = grain(images, before[part], masks[part], sides=sides[part], boxes=boxes[part])
        if lost is not None:
            images[(..., *window)] = (images[(..., *window)] + lost).clamp_(0, 1)
    return result


def _within(window: Window, around: Window) -> Window:
    """Return a window in the pixels of a larger one."""
    rows, columns = (
        slice(one.start - other.start, one.stop - other.start)
        for one, other in zip(window, around, strict=True)
    )
    return rows, columns


def grain(
    restored: Tensor, before: Tensor, masks: Tensor, *, sides: IntArray, boxes: IntArray
) -> Tensor | None:
    """Return the inputs' grain that their restorations have lost, in the window of all boxes.

    (b, 3, h, w); 0 for a face that has lost none, None where that is known of all of them.

    Parameters
    ----------
    restored, before : (b, 3, S, S)
        RGB 0..1.
    masks : (b, S, S)
        Where to look.
    sides, boxes : (b,), (b, 4)
        As in `as_filmed`.
    """
    side = restored.shape[-1]
    whole = np.full(len(sides), side)
    seen = window_of(boxes, sides / side, _SUPPORT, int(sides.max()))
    inside = resized(masks[:, None], whole, sides, antialias=True)[(..., *seen)] > 0.5
    fine = _fine(resized(before, whole, sides), seen)
    spread = _sigma(fine, inside)
    possible = (spread >= LEAST_GRAIN) & (spread <= MOST_GRAIN)
    possible &= inside.sum((1, 2, 3)) >= LEAST_PIXELS
    if nobody(possible):
        return None
    left = _sigma(_fine(resized(restored, whole, sides), seen), inside)
    possible &= left < spread
    if nobody(possible):
        return None
    share = torch.where(possible, (1 - (left / spread).square()).clamp(min=0).sqrt(), 0.0)
    spread = torch.where(possible, spread, 1.0)[:, None, None, None]
    cored = fine * torch.exp(-((fine / (CORE * spread)) ** 2)) * share[:, None, None, None]
    return resized_window(cored, seen, sides, whole, window_of(boxes, 1, 0, side))


def _fine(images: Tensor, seen: Window) -> Tensor:
    """Return a window of the finest octave of pictures (b, 3, n, n)."""
    around = F.pad(images, (1, 1, 1, 1), mode="replicate")
    rows, columns = (slice(one.start, one.stop + 2) for one in seen)
    lines = around[..., rows, columns]
    lines = lines[..., :-2, :] + lines[..., 1:-1, :] + lines[..., 2:, :]
    return images[(..., *seen)] - (lines[..., :-2] + lines[..., 1:-1] + lines[..., 2:]) / 9


def _sigma(values: Tensor, inside: Tensor) -> Tensor:
    """Return the standard deviation of noise (b, 3, h, w) inside (b, 1, h, w), (b,)."""
    seen = torch.where(inside, values.abs(), torch.nan)
    return _MAD_TO_SIGMA * seen.flatten(1).nanmedian(1).values
