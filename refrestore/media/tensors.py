"""Decoded pictures as tensors of code values, and crops cut out of them.

A crop is sampled from each plane on the plane's own grid and becomes RGB at its own size: a small
face costs what a small face costs, however large the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import av
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it
from torch import Tensor

from refrestore.media.coding import UNIT_RGB, Coding
from refrestore.media.planes import planar, plane_views
from refrestore.sampling import Cut, cut, invert
from refrestore.types import DoubleArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class FrameTensor:
    """A picture's code values, as they were decoded.

    Parameters
    ----------
    planes
        (C, h, w) uint8, uint16 or float32 each, in the order Y, Cb, Cr or R, G, B, or grey alone;
        neighbours of one grid may share a tensor. On the CPU they are views of the picture.
    coding
        What the values mean, and where chroma lies.
    interlaced
        Whether even and odd rows are two pictures.
    """

    planes: tuple[Tensor, ...]
    coding: Coding
    interlaced: bool = False

    @classmethod
    def of(cls, picture: av.VideoFrame) -> FrameTensor:
        """View a decoded picture; interleaved formats are split into planes first."""
        source = planar(picture)
        coding = Coding.of(source)
        planes = [torch.from_numpy(plane)[None] for plane in plane_views(source)[: coding.planes]]
        return cls(tuple(planes), coding, picture.interlaced_frame)

    @classmethod
    def of_rgb(cls, image: Tensor) -> FrameTensor:
        """View an RGB picture, (3, H, W) float32 0..1 on any device."""
        return cls((image,), UNIT_RGB)

    @property
    def device(self) -> torch.device:
        """Where the planes are."""
        return self.planes[0].device

    def to(self, device: torch.device) -> FrameTensor:
        """Return the planes on a device, perhaps still on the way there where it is a GPU."""
        if device == self.device:
            return self
        return replace(self, planes=tuple(sent(plane, device) for plane in self.planes))


def crops(frames: Sequence[FrameTensor], matrices: DoubleArray, side: int) -> Tensor:
    """Cut aligned squares out of pictures.

    Bilinear on each plane's own grid; shrinking by more than two goes through an area average
    first, so that nothing aliases. Beyond the picture's edge it is mirrored about the outermost
    samples, as FFHQ's own alignment does.

    Parameters
    ----------
    frames
        One a crop, all on one device; the same one again for several faces of a picture.
    matrices : (N, 2, 3)
        Picture (luma samples) to crop, pixel centres at integers.
    side
        Of a crop in pixels.

    Returns
    -------
    (N, 3, side, side) float32
        RGB 0..1 on the frames' device.
    """
    device = frames[0].device if len(frames) else torch.device("cpu")
    result = torch.empty(len(frames), 3, side, side, device=device)
    if not len(frames):
        return result
    to_luma = invert(matrices)
    faces = [
        [(grid, cut(grid.size, grid.of_luma(matrix), side)) for grid in _grids(frame)]
        for frame, matrix in zip(frames, to_luma, strict=True)
    ]
    for alike in _alike(frames):
        coding = frames[alike[0]].coding
        for part in parts(len(alike), device):
            rows = alike[part]
            values = []
            for place, (grid, _) in enumerate(faces[rows[0]]):
                codes = _sampled([faces[row][place] for row in rows], side, device)
                values.append(codes.mul_(1 / grid.scale).sub_(grid.offset / grid.scale))
            if len(rows) == 1:
                _decode(values, coding, result[rows[0] : rows[0] + 1])
            elif len(rows) == len(result):
                _decode(values, coding, result)
            else:
                result[rows] = _decode(
                    values, coding, result.new_empty(len(rows), *result.shape[1:])
                )
    return result


def _alike(frames: Sequence[FrameTensor]) -> list[list[int]]:
    """Return the places of frames of one coding, which are decoded together."""
    groups: dict[Coding, list[int]] = {}
    for place, frame in enumerate(frames):
        groups.setdefault(frame.coding, []).append(place)
    return list(groups.values())


class _Grid(NamedTuple):
    """Planes whose samples lie in the same places, and how to read them.

    Parameters
    ----------
    planes
        (C, h, w) each.
    size
        Rows and columns that can be read.
    from_luma
        Affine (2, 3) from luma samples to these.
    scale, offset
        The value of code c is (c - offset) / scale.
    field_step
        Luma rows per row of a field, where rows are given at luma's height, each from its own
        field; 0 where they are read as they are.
    """

    planes: Sequence[Tensor]
    size: tuple[int, int]
    from_luma: DoubleArray
    scale: float
    offset: float
    field_step: int = 0

    def of_luma(self, matrix: DoubleArray) -> DoubleArray:
        """Return the matrix to this grid of one to luma samples."""
        linear = self.from_luma[:, :2]
        moved: DoubleArray = linear @ matrix
        moved[:, 2] += self.from_luma[:, 2]
        return moved


_IDENTITY = np.eye(2, 3)


def _grids(frame: FrameTensor) -> list[_Grid]:
    coding, planes = frame.coding, frame.planes
    height, width = planes[0].shape[1:]
    if coding.rgb or coding.planes == 1:
        return [_Grid(planes, (height, width), _IDENTITY, *coding.luma)]
    luma = _Grid(planes[:1], (height, width), _IDENTITY, *coding.luma)
    rows, columns = planes[1].shape[1:]
    place = coding.chroma_grid
    if not frame.interlaced or coding.step_y == 1:
        return [luma, _Grid(planes[1:], (rows, columns), place, *coding.chroma)]
    place[1] = _IDENTITY[1]
    return [luma, _Grid(planes[1:], (height, columns), place, *coding.chroma, coding.step_y)]


def _sampled(faces: Sequence[tuple[_Grid, Cut]], side: int, device: torch.device) -> Tensor:
    """Return the codes of one grid of each face, (N, C, S, S)."""
    places = _places([one for _, one in faces], side, device)
    codes = [
        F.grid_sample(
            _window(grid, one)[None],
            place[None],
            padding_mode="reflection" if one.mirrored else "border",
            align_corners=True,
        )
        for (grid, one), place in zip(faces, places.unbind(), strict=True)
    ]
    return codes[0] if len(codes) == 1 else torch.cat(codes)


def _places(cuts: Sequence[Cut], side: int, device: torch.device) -> Tensor:
    """Return where each cut's pixels lie in its window, (N, S, S, 2), which reaches from -1 to 1.

    As complex numbers x + iy they are a column's plus a row's: a tenth of the time that pairs take.
    """
    numbers: FloatArray = np.empty((len(cuts), 3, 2), np.float32)
    for one, number in zip(cuts, numbers, strict=True):
        scale = [2 / max(blocks - 1, 1) for blocks in reversed(one.size)]
        number[:] = np.array([one.across, one.down, one.start]) * scale - [[0], [0], [1]]
    across, down, start = torch.view_as_complex(sent(torch.from_numpy(numbers), device)).unbind(1)
    pixels = torch.arange(side, device=device, dtype=torch.float32)
    columns = across[:, None] * pixels + start[:, None]
    return torch.view_as_real(columns[:, None] + (down[:, None] * pixels)[:, :, None])


def _window(grid: _Grid, one: Cut) -> Tensor:
    """Return the codes that a cut needs of a grid, (C, h, w) float32."""
    if grid.field_step:
        taken = [_field_rows(plane[:, :, one.columns], one.rows, grid) for plane in grid.planes]
    else:
        taken = [plane[:, one.rows, one.columns] for plane in grid.planes]
    return _averaged((taken[0] if len(taken) == 1 else torch.cat(taken)).float(), one.block)


def _averaged(values: Tensor, block: int) -> Tensor:
    """Average blocks of (C, h, w); strided sums take a third of what pooling takes on a CPU."""
    if block == 1:
        return values
    count, height, width = values.shape
    rows = values.view(count, height // block, block, width).sum(2)
    total = rows[..., ::block].clone()
    for column in range(1, block):
        total += rows[..., column::block]
    return total.mul_(1 / block**2)


def _field_rows(plane: Tensor, rows: slice, grid: _Grid) -> Tensor:
    """Return rows of chroma, (C, h, w), at luma's height, each from its own field's rows."""
    luma = np.arange(rows.start, rows.stop)
    parity = luma % 2
    last = np.maximum((plane.shape[1] - parity - 1) // 2, 0)
    place = np.clip((luma // 2 + 0.5) / grid.field_step - 0.5, 0, last)
    low = np.floor(place).astype(np.int64)
    places = np.stack([2 * row + parity for row in (low, np.minimum(low + 1, last))])
    above, below = sent(torch.from_numpy(places), plane.device)
    weight = sent(torch.from_numpy((place - low).astype(np.float32)), plane.device)
    return torch.lerp(
        plane.index_select(1, above).float(),
        plane.index_select(1, below).float(),
        weight[:, None],
    )


def _decode(values: Sequence[Tensor], coding: Coding, out: Tensor) -> Tensor:
    """Write the values of crops, (N, C, S, S) a grid, as RGB 0..1, and return that."""
    if coding.rgb or coding.planes == 1:
        return torch.clamp(values[0].expand_as(out), 0, 1, out=out)
    luma, (blue, red) = values[0][:, 0], values[1].unbind(1)
    red_of_red, green_of_red, green_of_blue, blue_of_blue = coding.chroma_weights
    torch.add(luma, red, alpha=red_of_red, out=out[:, 0])
    torch.add(luma, red, alpha=green_of_red, out=out[:, 1]).add_(blue, alpha=green_of_blue)
    torch.add(luma, blue, alpha=blue_of_blue, out=out[:, 2])
    return out.clamp_(0, 1)


def parts(count: int, device: torch.device) -> Iterator[slice]:
    """Yield the faces to work on together: all of them, or each by itself on a CPU (its cache)."""
    size = 1 if device.type == "cpu" else max(1, count)
    for start in range(0, count, size):
        yield slice(start, min(count, start + size))


def at(rows: IntArray, device: torch.device) -> slice | Tensor:
    """Return an index of rows of a tensor on a device: of one alone a slice, which copies nothing.

    Parameters
    ----------
    rows : (N,)
        Ascending or not; on the host.
    """
    if len(rows) == 1:
        return slice(int(rows[0]), int(rows[0]) + 1)
    return sent(torch.from_numpy(rows), device)


def stacked(planes: Sequence[Tensor]) -> Tensor:
    """Stack tensors to be read: one alone is only looked at, not copied."""
    return planes[0][None] if len(planes) == 1 else torch.stack(list(planes))


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU's memory on a device, perhaps still on its way to a GPU."""
    if device.type != "cuda":
        return tensor.to(device)
    # A copy from memory that may be paged out would be waited for.
    staged = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return staged.copy_(tensor).to(device, non_blocking=True)
