"""Batches whose pictures have sides of their own: resized together, one at a time on a CPU."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from refrestore.types import DoubleArray, IntArray

Window: TypeAlias = "tuple[slice, slice]"
"""Rows and columns of a picture, on the host, so that shapes are known."""

_CUBIC = -0.75
"""Keys' parameter, as torch's own bicubic has it."""


def nobody(flags: Tensor) -> bool:
    """Say that no flag is set, where to ask costs nothing: a GPU would have to be waited for."""
    return flags.device.type == "cpu" and not bool(flags.any())


def window_of(boxes: IntArray, factors: DoubleArray | float, margin: int, most: int) -> Window:
    """Return the window of all boxes (N, 4) times `factors` (N,), `margin` pixels larger.

    Empty boxes do not count; of empty ones alone it is empty. No side goes beyond 0 and `most`.
    """
    full = (boxes[:, 2:] > boxes[:, :2]).all(1)
    if not full.any():
        return slice(0, 0), slice(0, 0)
    scaled = (boxes * np.broadcast_to(factors, len(boxes))[:, None])[full]
    low = np.clip(np.floor(scaled[:, :2].min(0)) - margin, 0, most).astype(int).tolist()
    high = np.clip(np.ceil(scaled[:, 2:].max(0)) + margin, 0, most).astype(int).tolist()
    return slice(low[1], high[1]), slice(low[0], high[0])


def cells_around(boxes: IntArray, side: int, cell: int) -> Window:
    """Return the window of whole cells around all boxes (N, 4) and `cell` pixels more."""
    rows, columns = window_of(boxes, 1, cell, side)
    down, across = (
        slice(one.start // cell * cell, -(-one.stop // cell) * cell) for one in (rows, columns)
    )
    return down, across


def resized(images: Tensor, own: IntArray, wanted: IntArray, *, antialias: bool = False) -> Tensor:
    """Resize each picture of a batch from a side of its own to another, bilinear.

    Parameters
    ----------
    images : (N, C, S, S)
        Each fills the `own` first rows and columns.
    own, wanted : (N,)
        Sides in pixels; on the host, so that shapes are known.
    antialias
        As in `torch.nn.functional.interpolate`.

    Returns
    -------
    (N, C, n, n)
        With n the largest of `wanted`. A smaller picture is in the top left corner, its last row
        and column repeated.
    """
    source, side = int(own.max()), int(wanted.max())
    if own.min() == source and wanted.min() == side:
        images = images[..., :source, :source]
        if source == side:
            return images
        return F.interpolate(images, size=(side, side), mode="bilinear", antialias=antialias)
    lines = slice(0, side), slice(0, images.shape[-1])
    matrices = _matrices(own, wanted, *lines, device=images.device, antialias=antialias)
    return matrices @ images @ matrices.mT


def resized_window(
    images: Tensor, seen: Window, own: IntArray, wanted: IntArray, window: Window
) -> Tensor:
    """Return a window of each picture, resized bicubic: two products, for what is outside is left.

    Parameters
    ----------
    images : (N, C, h, w)
        The pictures' rows and columns `seen`; others are not looked at.
    own, wanted : (N,)
        Sides of the whole pictures.
    window
        Rows and columns of the resized pictures.

    Returns
    -------
    (N, C, rows, columns)
    """
    down, across = (
        _matrices(own, wanted, after, before, device=images.device, cubic=True)
        for after, before in zip(window, seen, strict=True)
    )
    return down @ images @ across.mT


def _matrices(
    own: IntArray,
    wanted: IntArray,
    after: slice,
    before: slice,
    *,
    device: torch.device,
    cubic: bool = False,
    antialias: bool = False,
) -> Tensor:
    """Return what resizes lines, (N, 1, places after, places before)."""
    sides = torch.tensor(np.stack([own, wanted]), dtype=torch.float32, device=device)
    sides, last = sides[:, :, None, None], sides[1, :, None, None] - 1
    rows = torch.arange(after.start, after.stop, device=device)[None, :, None]
    columns = torch.arange(before.start, before.stop, device=device)[None, None]
    factor = sides[0] / sides[1]
    away = (columns - ((torch.minimum(rows, last) + 0.5) * factor - 0.5)).abs()
    if antialias:
        away = away / factor.clamp(min=1)
    weights = (1 - away).clamp(min=0)
    if cubic:
        near = ((_CUBIC + 2) * away - (_CUBIC + 3)) * away * away + 1
        far = (((away - 5) * away + 8) * away - 4) * _CUBIC
        weights = torch.where(away <= 1, near, torch.where(away < 2, far, 0.0))
    weights = torch.where(columns < sides[0], weights, 0.0)
    return (weights / weights.sum(2, keepdim=True))[:, None]
