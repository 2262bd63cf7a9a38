"""Differences into the planes of a picture, where they lie: in tensors, on any device.

On a GPU only the rectangles that are touched travel there and back, and what comes back is waited
for once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import av
import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it
from torch import Tensor

from refrestore.media.coding import Coding, fields
from refrestore.media.patch import Patch
from refrestore.media.tensors import sent


class _Box(NamedTuple):
    """A rectangle of samples; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int

    def meets(self, other: _Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def with_(self, other: _Box) -> _Box:
        return _Box(*map(min, self[:2], other[:2]), *map(max, self[2:], other[2:]))

    def on(self, step_x: int, step_y: int) -> _Box:
        """Return the rectangle of chroma samples that share a luma sample with this one."""
        left, top, right, bottom = self
        return _Box(left // step_x, top // step_y, -(-right // step_x), -(-bottom // step_y))

    def inside(self, other: _Box) -> tuple[slice, slice]:
        """Return where this is in an array that begins at another's corner."""
        return (
            slice(self.top - other.top, self.bottom - other.top),
            slice(self.left - other.left, self.right - other.left),
        )


@dataclass(frozen=True, eq=False)
class _Part:
    """What is added to one field, or to a whole picture: (h, w, 3) RGB, and where."""

    box: _Box
    delta: Tensor


Touched = list[tuple[Tensor, Tensor]]
"""Samples of pictures, and what they are to become, which may be on another device."""


def paste(picture: av.VideoFrame, patches: Sequence[Patch]) -> Touched:
    """Add patches to a planar picture that may be written to.

    Interlaced pictures are treated field by field, chroma by its siting. A chroma sample changes
    only if a luma sample it is shared by does. What was computed elsewhere is there when it was
    given to `bring_back`.
    """
    coding = Coding.of(picture)
    parts = _parts(patches, picture.width, picture.height)
    touched: Touched = []
    for planes, parity, step in fields(picture):
        views = [torch.from_numpy(plane) for plane in planes[: coding.planes]]
        lines = [_lines(part, parity, step) for part in parts]
        size = views[0].shape[0], views[0].shape[1]
        for box, group in _groups([one for one in lines if one is not None], coding):
            chroma = box.on(coding.step_x, coding.step_y)
            corners = [box, *([box] * 2 if coding.rgb else [chroma] * 2)][: len(views)]
            here = [view[_window(one)] for view, one in zip(views, corners, strict=True)]
            there = [sent(plane, group[0].delta.device) for plane in here]
            for part in group:
                _add(part, there, box, coding, size)
            touched += [pair for pair in zip(here, there, strict=True) if pair[0] is not pair[1]]
    return touched


def _window(box: _Box) -> tuple[slice, slice]:
    return slice(box.top, box.bottom), slice(box.left, box.right)


def _parts(patches: Sequence[Patch], width: int, height: int) -> list[_Part]:
    """Return what of the patches lies in the picture, all on one device."""
    whole, parts = _Box(0, 0, width, height), []
    for patch in patches:
        rows, columns = patch.alpha.shape
        box = _Box(patch.left, patch.top, patch.left + columns, patch.top + rows)
        if box.meets(whole):
            seen = _Box(*map(max, box[:2], whole[:2]), *map(min, box[2:], whole[2:]))
            parts.append(_Part(seen, patch.delta[seen.inside(box)]))
    devices = {part.delta.device for part in parts}
    if len(devices) == 1:
        return parts
    return [_Part(part.box, part.delta.cpu()) for part in parts]


def _lines(part: _Part, parity: int, step: int) -> _Part | None:
    """Return a part's rows of one field, None if it has none there."""
    left, top, right, _ = part.box
    first = (parity - top) % step
    delta = part.delta[first::step]
    if not len(delta):
        return None
    top = (top + first) // step
    return _Part(_Box(left, top, right, top + len(delta)), delta)


def _groups(parts: Sequence[_Part], coding: Coding) -> list[tuple[_Box, list[_Part]]]:
    """Gather parts that share samples, in their order; the boxes of groups share none."""

    def step(box: _Box) -> _Box:
        return box.on(coding.step_x, coding.step_y)

    groups: list[tuple[_Box, list[int]]] = []
    for place, part in enumerate(parts):
        box, places = part.box, [place]
        while near := [one for one in groups if step(one[0]).meets(step(box))]:
            for one in near:  # the box grows, and may reach others
                groups.remove(one)
                box, places = box.with_(one[0]), places + one[1]
        groups.append((box, places))
    return [(box, [parts[place] for place in sorted(places)]) for box, places in groups]


def _add(
    part: _Part, targets: Sequence[Tensor], corner: _Box, coding: Coding, size: tuple[int, int]
) -> None:
    """Add a part to the rectangles of planes that a box is on, in a field of a size."""
    codes = coding.encode_difference(part.delta)
    window = part.box.inside(corner)
    for target, code in zip(targets, codes if coding.rgb else codes[:1], strict=False):
        _round_in(target[window], code, coding.top)
    if coding.rgb or coding.planes == 1:
        return
    filter_ = _ChromaFilter.of(part.box, coding, size)
    shared = filter_.covered((part.delta != 0).any(2))
    window = part.box.on(coding.step_x, coding.step_y).inside(
        corner.on(coding.step_x, coding.step_y)
    )
    for target, code in zip(targets[1:], filter_.filtered(torch.stack(codes[1:])), strict=True):
        _round_in(target[window], code * shared, coding.top)


def _round_in(target: Tensor, code: Tensor, top: int) -> None:
    """Add to integer samples in place; adding zero changes nothing."""
    target.copy_(target.float().add_(code).add_(0.5).floor_().clamp_(0, top))


def bring_back(touched: Touched) -> None:
    """Write what was computed elsewhere into the pictures, all of it in one transfer."""
    if not touched:
        return
    samples = torch.cat([there.reshape(-1).view(torch.uint8) for _, there in touched]).cpu()
    first = 0
    for here, there in touched:
        values = samples[first : first + there.numel() * there.element_size()]
        first += len(values)
        here.copy_(values.view(there.dtype).view(there.shape))


@dataclass(frozen=True, slots=True)
class _ChromaFilter:
    """From luma's grid to the chroma samples that share a luma sample with a rectangle.

    Chroma is sited as MPEG-2, H.264 and HEVC have it unless told otherwise: level with the left
    luma column, midway between the rows. So it is a triangle filter across and a mean down.

    Parameters
    ----------
    border, gap
        Samples to add at the left, right, top and bottom: beyond the picture's border the border
        goes on; beyond the rectangle's, there is nothing.
    """

    border: tuple[int, int, int, int]
    gap: tuple[int, int, int, int]
    step_x: int
    step_y: int

    @classmethod
    def of(cls, box: _Box, coding: Coding, size: tuple[int, int]) -> _ChromaFilter:
        chroma = box.on(coding.step_x, coding.step_y)
        padding = (
            box.left - chroma.left * coding.step_x + coding.step_x - 1,
            chroma.right * coding.step_x - box.right,
            box.top - chroma.top * coding.step_y,
            chroma.bottom * coding.step_y - box.bottom,
        )
        ends = (box.left == 0, box.right == size[1], box.top == 0, box.bottom == size[0])
        left, right, top, bottom = (
            amount if ends_here else 0 for amount, ends_here in zip(padding, ends, strict=True)
        )
        border = (left, right, top, bottom)
        return cls(
            border,
            (padding[0] - left, padding[1] - right, padding[2] - top, padding[3] - bottom),
            coding.step_x,
            coding.step_y,
        )

    def filtered(self, values: Tensor) -> Tensor:
        """Return values (N, h, w) at the chroma samples."""
        reach = self.step_x - 1
        away = torch.arange(-reach, self.step_x, device=values.device).abs()
        across = (self.step_x - away) / (self.step_x**2 * self.step_y)
        kernel = across.expand(1, 1, self.step_y, -1)
        return F.conv2d(self._padded(values), kernel, stride=(self.step_y, self.step_x))[:, 0]

    def covered(self, touched: Tensor) -> Tensor:
        """Return 1 for the chroma samples that belong to a touched luma sample (h, w), else 0."""
        blocks = self._padded(touched[None].float())[..., self.step_x - 1 :]
        return F.max_pool2d(blocks, (self.step_y, self.step_x))[0, 0]

    def _padded(self, values: Tensor) -> Tensor:
        padded = values[:, None]
        if any(self.border):
            padded = F.pad(padded, self.border, mode="replicate")
        return F.pad(padded, self.gap) if any(self.gap) else padded
