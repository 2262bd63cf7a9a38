"""Differences added to decoded pictures, at the source's own format and depth.

Adding `alpha x residual` in code values is blending, without ever converting the source: nothing
is rounded twice, 10 bits stay 10, and a sample to which zero is added is bit for bit the decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import av
import numpy as np

from refrestore.media.coding import Coding, fields
from refrestore.media.compose import ChromaRegion, enlarge
from refrestore.media.planes import Plane, clone, planar
from refrestore.types import FloatArray, Frame


class Addition(Protocol):
    """A rectangle of the output's storage grid and what to add to it."""

    @property
    def left(self) -> int:
        """Its first column; the rectangle lies inside the picture."""

    @property
    def top(self) -> int:
        """Its first row."""

    @property
    def delta(self) -> FloatArray:
        """RGB difference, (h, w, 3) float32, 1.0 from black to white."""


def add(frame: Frame, additions: Sequence[Addition], *, scale: int = 1) -> av.VideoFrame:
    """Return the frame's picture, enlarged and with differences added.

    Interlaced pictures are treated field by field, chroma by its siting.

    Parameters
    ----------
    frame
        The decoded frame; it is not written to.
    additions
        Where they overlap, their sum is added.
    scale
        Whole factor by which the picture is enlarged first (Lanczos).

    Returns
    -------
    av.VideoFrame
        With the time, tags and side data of the source. Without additions and at scale 1 it *is*
        the decoded picture.

    Raises
    ------
    ValueError
        If a rectangle reaches beyond the picture.
    """
    picture = frame.picture if scale == 1 else enlarge(frame.picture, scale)
    if not additions:
        return picture
    result = clone(planar(picture))
    coding = Coding.of(result)
    for addition in additions:
        left, top, delta = addition.left, addition.top, addition.delta
        bottom, right = top + delta.shape[0], left + delta.shape[1]
        if not (left >= 0 and right <= picture.width and top >= 0 and bottom <= picture.height):
            raise ValueError(f"{addition!r} is not inside {picture.width}x{picture.height}")
        for planes, parity, step in fields(result):
            first = (parity - top) % step
            lines = delta[first::step]
            if lines.any():
                _add(planes, coding, lines, left, (top + first) // step)
    return result


def _add(planes: list[Plane], coding: Coding, delta: FloatArray, left: int, top: int) -> None:
    codes = coding.encode_difference(delta)
    height, width = delta.shape[:2]
    window = slice(top, top + height), slice(left, left + width)
    for plane, code in zip(planes, codes if coding.rgb else codes[:1], strict=False):
        _round_in(plane[window], code, coding.top)
    if coding.rgb or coding.planes == 1:
        return
    region = ChromaRegion.of(left, top, (height, width), coding, planes[0].shape)
    for plane, code in zip(planes[1:3], codes[1:], strict=True):
        _round_in(plane[region.target], region.filtered(code), coding.top)


def _round_in(target: Plane, code: FloatArray, top: int) -> None:
    """Add to integer samples in place; adding zero changes nothing."""
    total = np.floor(target + code + np.float32(0.5))
    target[:] = np.clip(total, 0, top).astype(target.dtype)
