"""Differences into decoded pictures, at the source's own format and depth.

Adding a difference in code values is blending without ever converting the source: nothing is
rounded twice, 10 bits stay 10, and a sample to which nothing is added is bit for bit what was
decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from refrestore.media.coding import Coding, fields, subsampling
from refrestore.media.colour import matrix_of, swscale_arguments
from refrestore.media.patch import Patch
from refrestore.media.planes import EXACT, LANCZOS, Plane, clone, convert, planar, plane_views
from refrestore.types import FloatArray, Frame


@dataclass(frozen=True, eq=False)
class _Part:
    """The part of a patch that lies in the picture: its corner and what is added, (h, w, 3)."""

    left: int
    top: int
    delta: FloatArray


def compose(
    frame: Frame,
    patches: Sequence[Patch],
    *,
    scale: int = 1,
    enlarged: av.VideoFrame | None = None,
) -> av.VideoFrame:
    """Return the frame's picture, enlarged and with patches added.

    Interlaced pictures are treated field by field, chroma by its siting. A chroma sample changes
    only if a luma sample it is shared by does.

    Parameters
    ----------
    frame
        The decoded frame; it is not written to.
    patches
        Where they overlap, their sum is added.
    scale
        Whole factor by which the picture is enlarged first (Lanczos).
    enlarged
        What `enlarge` gave for it, if it was called already; not written to.

    Returns
    -------
    av.VideoFrame
        With the time, tags and side data of the source. Without patches and at scale 1 it *is*
        the decoded picture.
    """
    picture = enlarged or (frame.picture if scale == 1 else enlarge(frame.picture, scale))
    size = picture.width, picture.height
    visible = [clipped for patch in patches if (clipped := _clip(patch, *size)) is not None]
    if not visible:
        return picture
    result = clone(planar(picture))
    coding = Coding.of(result)
    for planes, parity, step in fields(result):
        for patch in visible:
            first = (parity - patch.top) % step
            lines = patch.delta[first::step]
            if lines.any():
                _add(planes, coding, _Part(patch.left, (patch.top + first) // step, lines))
    return result


def enlarge(picture: av.VideoFrame, scale: int) -> av.VideoFrame:
    """Return the picture enlarged by a whole factor (Lanczos, format and tags kept)."""
    splits = picture.height % (2 * subsampling(picture.format)[1]) == 0
    if not (picture.interlaced_frame and splits):
        return _lanczos(picture, picture.width * scale, picture.height * scale)
    source = planar(picture)
    result = _lanczos(source, source.width * scale, source.height * scale)
    result.make_writable()
    for parity in (0, 1):
        field = av.VideoFrame(source.width, source.height // 2, source.format.name)
        field.colorspace, field.color_range = source.colorspace, source.color_range
        for target, plane in zip(plane_views(field), plane_views(source), strict=True):
            target[:] = plane[parity::2]
        enlarged = _lanczos(field, result.width, result.height // 2)
        for target, plane in zip(plane_views(result), plane_views(enlarged), strict=True):
            target[parity::2] = plane
    return result


def _lanczos(picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    colour = swscale_arguments(picture)
    result = convert(
        picture,
        width=width,
        height=height,
        format=picture.format.name,
        interpolation=LANCZOS | EXACT,
        dst_colorspace=colour["src_colorspace"],
        dst_color_range=colour["src_color_range"],
        **colour,
    )
    # The matrix is said from here on: guessed from the new height it might be another one.
    if not picture.format.is_rgb:
        result.colorspace = matrix_of(picture)
    result.color_range = picture.color_range
    return result


def _clip(patch: Patch, width: int, height: int) -> _Part | None:
    """Return the part of a patch that lies in the picture and changes it, or None."""
    left, top = max(0, -patch.left), max(0, -patch.top)
    right, bottom = width - patch.left, height - patch.top
    if right <= left or bottom <= top:
        return None
    delta = patch.delta.cpu().numpy()[top:bottom, left:right]
    changed = (delta != 0).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if not len(rows):
        return None
    return _Part(
        left=patch.left + left + int(columns[0]),
        top=patch.top + top + int(rows[0]),
        delta=delta[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32),
    )


def _add(planes: list[Plane], coding: Coding, patch: _Part) -> None:
    codes = coding.encode_difference(patch.delta)
    height, width = patch.delta.shape[:2]
    window = slice(patch.top, patch.top + height), slice(patch.left, patch.left + width)
    for plane, code in zip(planes, codes if coding.rgb else codes[:1], strict=False):
        _round_in(plane[window], code, coding.top)
    if coding.rgb or coding.planes == 1:
        return
    region = _ChromaRegion.of(patch, coding, planes[0].shape)
    touched = region.covered((patch.delta != 0).any(axis=2))
    for plane, code in zip(planes[1:3], codes[1:], strict=True):
        _round_in(plane[region.target], region.filtered(code) * touched, coding.top)


def _round_in(target: Plane, code: FloatArray, top: int) -> None:
    """Add to integer samples in place; adding zero changes nothing."""
    total = np.floor(target + code + np.float32(0.5))
    target[:] = np.clip(total, 0, top).astype(target.dtype)


@dataclass(frozen=True, slots=True)
class _ChromaRegion:
    """The chroma samples that share a luma sample with a patch, and how to reach them.

    Chroma is sited as MPEG-2, H.264 and HEVC have it unless told otherwise: level with the left
    luma column, midway between the rows. So it is a triangle filter across and a mean down.
    """

    target: tuple[slice, slice]
    padding: tuple[tuple[int, int], tuple[int, int]]
    replicate: tuple[tuple[bool, bool], tuple[bool, bool]]
    step_x: int
    step_y: int

    @classmethod
    def of(cls, patch: _Part, coding: Coding, size: tuple[int, ...]) -> _ChromaRegion:
        left, top = patch.left, patch.top
        bottom, right = top + patch.delta.shape[0], left + patch.delta.shape[1]
        step_x, step_y = coding.step_x, coding.step_y
        x0, x1 = left // step_x, -(-right // step_x)
        y0, y1 = top // step_y, -(-bottom // step_y)
        return cls(
            target=(slice(y0, y1), slice(x0, x1)),
            padding=(
                (top - y0 * step_y, y1 * step_y - bottom),
                (left - x0 * step_x + step_x - 1, x1 * step_x - right),
            ),
            replicate=((top == 0, bottom == size[0]), (left == 0, right == size[1])),
            step_x=step_x,
            step_y=step_y,
        )

    def filtered(self, values: FloatArray) -> FloatArray:
        """Return luma-resolution values at the chroma samples."""
        padded = self._padded(values)
        step = self.step_x
        count = self.target[1].stop - self.target[1].start
        across: Any = np.float32(0)
        for offset in range(1 - step, step):
            weight = np.float32((step - abs(offset)) / step**2)
            across = across + weight * padded[:, offset + step - 1 :: step][:, :count]
        rows: FloatArray = across.reshape(-1, self.step_y, count).mean(1, dtype=np.float32)
        return rows

    def covered(self, touched: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the chroma samples that belong to a touched luma sample."""
        blocks = self._padded(touched)[:, self.step_x - 1 :]
        count = self.target[1].stop - self.target[1].start
        shaped = blocks.reshape(-1, self.step_y, count, self.step_x)
        return np.asarray(shaped.any((1, 3)), np.bool_)

    def _padded(self, values: NDArray[Any]) -> NDArray[Any]:
        for axis in (0, 1):
            for side in (0, 1):
                width = [(0, 0), (0, 0)]
                amount = self.padding[axis][side]
                width[axis] = (amount, 0) if side == 0 else (0, amount)
                # Beyond the picture's border the border goes on; beyond the patch's, nothing.
                mode: Any = "edge" if self.replicate[axis][side] else "constant"
                values = np.pad(values, width, mode=mode)
        return values
