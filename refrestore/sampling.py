"""Where a crop's pixels lie on a grid of samples, and crops of pictures that are arrays.

`media.tensors` cuts crops out of tensors by the same rule.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np

from refrestore.types import DoubleArray, FloatArray, ImageArray

_ANTIALIAS_FROM = 2.0
"""A bilinear kernel spans two samples, so it begins to skip some when shrinking by more."""

_ROUNDING = 1e-3
"""Keeps a whole factor whole."""

Image = TypeVar("Image", ImageArray, FloatArray)


class Cut(NamedTuple):
    """What of a grid of samples a crop needs, and where the crop's pixels lie there.

    Parameters
    ----------
    rows, columns
        The window that is read: whole blocks.
    block
        Side of the blocks of samples that are averaged first; 1 where nothing would alias.
    mirrored
        Whether the crop reaches beyond the grid, and the window is to be mirrored at its border.
    across, down, start
        Steps from a pixel of the crop to the next one on its right and below it, and the first
        one's place: (x, y) in blocks of the window, centres at integers.
    """

    rows: slice
    columns: slice
    block: int
    mirrored: bool
    across: tuple[float, float]
    down: tuple[float, float]
    start: tuple[float, float]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        height, width = (one.stop - one.start for one in (self.rows, self.columns))
        return height // self.block, width // self.block


def cut(size: tuple[int, int], to_grid: DoubleArray, side: int) -> Cut:
    """Find what a crop needs of a grid.

    Parameters
    ----------
    size
        Rows and columns of the grid.
    to_grid : (2, 3)
        From the crop's pixels to the grid's samples.
    side
        Of the crop in pixels.
    """
    (across_x, down_x, x), (across_y, down_y, y) = to_grid.tolist()
    shrinking = math.sqrt(abs(across_x * down_y - down_x * across_y))
    block = math.floor(shrinking + _ROUNDING) if shrinking > _ANTIALIAS_FROM else 1
    block = max(1, min(block, *size))
    rows, above = _reached(y, across_y * side, down_y * side, size[0], block)
    columns, beside = _reached(x, across_x * side, down_x * side, size[1], block)
    middle = (block - 1) / 2
    return Cut(
        rows,
        columns,
        block,
        above or beside,
        (across_x / block, across_y / block),
        (down_x / block, down_y / block),
        ((x - columns.start - middle) / block, (y - rows.start - middle) / block),
    )


def _reached(start: float, across: float, down: float, size: int, block: int) -> tuple[slice, bool]:
    """Return the samples of one axis that a crop needs, and whether it reaches beyond them.

    The crop begins at `start`, and its edges lead `across` and `down` from there.
    """
    margin = 2 * block
    low = start + min(across, 0) + min(down, 0) - margin
    high = start + max(across, 0) + max(down, 0) + margin
    beyond = low < 0 or high > size - 1
    # What lies beyond the border is seen as far inside it.
    low, high = min(low, 2 * (size - 1) - high), max(high, -low)
    first = int(min(max(math.floor(low), 0), size - block))
    stop = int(min(max(math.ceil(high) + 1, first + block), size))
    return slice(first, first + (stop - first) // block * block), beyond


def invert(matrices: DoubleArray) -> DoubleArray:
    """Return the inverse of affine matrices (..., 2, 3)."""
    linear = np.linalg.inv(matrices[..., :2])
    return np.concatenate([linear, -linear @ matrices[..., 2:]], -1)


def crops(image: Image, matrices: DoubleArray, side: int) -> Image:
    """Cut aligned squares out of a picture.

    Bilinear; shrinking by more than two goes through an area average first, so that nothing
    aliases. Beyond the picture's edge it is mirrored, as FFHQ's own alignment does.

    Parameters
    ----------
    image : (H, W, 3) or (H, W), uint8 or float32
        Picture in the coordinates the matrices take.
    matrices : (N, 2, 3)
        Image → crop.
    side
        Of a crop in pixels.

    Returns
    -------
    (N, side, side, 3) or (N, side, side)
        Crops of the picture's own type.
    """
    height, width = image.shape[:2]
    result = np.empty((len(matrices), side, side, *image.shape[2:]), image.dtype)
    for crop, to_grid in zip(result, invert(matrices), strict=True):
        one = cut((height, width), to_grid, side)
        window: Any = image[one.rows, one.columns]
        if one.block > 1:
            window = cv2.resize(window, one.size[::-1], interpolation=cv2.INTER_AREA)
        cv2.warpAffine(
            window,
            np.array([one.across, one.down, one.start]).T,
            (side, side),
            dst=crop,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    return result
