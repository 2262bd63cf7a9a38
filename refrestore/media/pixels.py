"""Pictures as RGB arrays."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from refrestore.media.coding import read_region
from refrestore.media.colour import FULL, is_full_range, swscale_arguments
from refrestore.media.planes import AREA, BICUBIC, BILINEAR, EXACT, LANCZOS, convert
from refrestore.media.probe import bit_depth
from refrestore.types import Frame, ImageArray


def rgb(frame: Frame) -> ImageArray:
    """Return the picture as (H, W, 3) uint8 RGB on the storage grid.

    Read with the matrix and range the picture is tagged with (untagged: `colour.matrix_of`).
    """
    return _array(frame, "rgb24", {"interpolation": BILINEAR | EXACT})


def plain_rgb(frame: Frame) -> ImageArray:
    """Return what `rgb` does, a level or two off and many times as fast: for looking only."""
    return _array(frame, "rgb24", {"interpolation": BILINEAR})


def display_rgb(frame: Frame, *, height: int | None = None) -> ImageArray:
    """Return the picture as a viewer sees it: square pixels, upright, uint8 RGB.

    Parameters
    ----------
    frame
        The frame.
    height
        Height of the result in pixels, the width in proportion; default the display height.
    """
    width, full_height = frame.geometry.display_size
    if height is not None:
        if height < 1:
            raise ValueError(f"height must be 1 or more, got {height}")
        width, full_height = max(1, round(width * height / full_height)), height
    return _upright(frame, (width, full_height), BICUBIC)


def fitted_rgb(frame: Frame, size: tuple[int, int]) -> ImageArray:
    """Return the picture as a viewer sees it, upright, at a width and height (Lanczos)."""
    return _upright(frame, size, LANCZOS)


def shrunk_rgb(frame: Frame, size: tuple[int, int]) -> ImageArray:
    """Return the picture as a viewer sees it, upright, shrunk to a width and height (area mean)."""
    return _upright(frame, size, AREA)


def _upright(frame: Frame, size: tuple[int, int], interpolation: int) -> ImageArray:
    geometry = frame.geometry
    width, height = size if geometry.rotation in (0, 180) else size[::-1]
    if (width, height) == (geometry.width, geometry.height):
        upright = rgb(frame)
    else:
        wanted = {"width": width, "height": height, "interpolation": interpolation | EXACT}
        upright = _array(frame, "rgb24", wanted)
    if geometry.rotation:
        upright = np.ascontiguousarray(np.rot90(upright, -geometry.rotation // 90))
    return upright


def _array(frame: Frame, name: str, arguments: dict[str, int]) -> NDArray[Any]:
    picture = frame.picture
    if len(picture.format.components) == 1 and not is_full_range(picture):
        picture = _full_range_gray(picture)
    colour = swscale_arguments(picture)
    result: NDArray[Any] = convert(
        picture,
        format=name,
        dst_colorspace=colour["src_colorspace"],
        dst_color_range=FULL,
        **arguments,
        **colour,
    ).to_ndarray()
    return result


def _full_range_gray(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a gray picture whose black is 0: swscale takes every gray for that."""
    luma = read_region(picture, 0, 0, picture.width, picture.height)[..., 0]
    if bit_depth(picture.format) <= 8:
        result = av.VideoFrame.from_ndarray(np.rint(luma * 255).astype(np.uint8), "gray")
    else:
        result = av.VideoFrame.from_ndarray(np.rint(luma * 65535).astype(np.uint16), "gray16le")
    result.color_range = FULL
    return result
