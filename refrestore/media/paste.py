"""Differences into the planes of a picture, where they lie: in tensors, on any device.

On a GPU only the rectangles that are touched travel there and back, those of many pictures
together, and what comes back is waited for once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import av
import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it
from torch import Tensor

from refrestore.media.coding import Coding, fields
from refrestore.media.patch import Patch


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
class _Added:
    """What is added to one field, or to a whole picture: (h, w, 3) RGB, and where."""

    box: _Box
    delta: Tensor


class Change(NamedTuple):
    """Samples of a picture, (h, w), and what is added to their codes, on another device."""

    here: Tensor
    code: Tensor
    top: int


Touched = list[Change]


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
            codes = _together(group, corners, coding, size)
            for view, corner, code in zip(views, corners, codes, strict=True):
                here = view[_window(corner)]
                if code.device == here.device:
                    here.copy_(_rounded(here, code, coding.top))
                else:
                    touched.append(Change(here, code, coding.top))
    return touched


def _window(box: _Box) -> tuple[slice, slice]:
    return slice(box.top, box.bottom), slice(box.left, box.right)


def _parts(patches: Sequence[Patch], width: int, height: int) -> list[_Added]:
    """Return what of the patches lies in the picture, all on one device."""
    whole, parts = _Box(0, 0, width, height), []
    for patch in patches:
        rows, columns = patch.alpha.shape
        box = _Box(patch.left, patch.top, patch.left + columns, patch.top + rows)
        if box.meets(whole):
            seen = _Box(*map(max, box[:2], whole[:2]), *map(min, box[2:], whole[2:]))
            parts.append(_Added(seen, patch.delta[seen.inside(box)]))
    devices = {part.delta.device for part in parts}
    if len(devices) == 1:
        return parts
    return [_Added(part.box, part.delta.cpu()) for part in parts]


def _lines(part: _Added, parity: int, step: int) -> _Added | None:
    """Return a part's rows of one field, None if it has none there."""
    left, top, right, _ = part.box
    first = (parity - top) % step
    delta = part.delta[first::step]
    if not len(delta):
        return None
    top = (top + first) // step
    return _Added(_Box(left, top, right, top + len(delta)), delta)


def _groups(parts: Sequence[_Added], coding: Coding) -> list[tuple[_Box, list[_Added]]]:
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


def _together(
    parts: Sequence[_Added], corners: Sequence[_Box], coding: Coding, size: tuple[int, int]
) -> list[Tensor]:
    """Return what parts of a field of a size add up to in a box of each plane around them."""
    if len(parts) == 1:
        return _codes(parts[0], coding, size)
    totals = [
        parts[0].delta.new_zeros((box.bottom - box.top, box.right - box.left)) for box in corners
    ]
    for part in parts:
        chroma = part.box if coding.rgb else part.box.on(coding.step_x, coding.step_y)
        boxes = [part.box, chroma, chroma][: len(corners)]
        for total, code, box, corner in zip(
            totals, _codes(part, coding, size), boxes, corners, strict=True
        ):
            total[box.inside(corner)] += code
    return totals


def _codes(part: _Added, coding: Coding, size: tuple[int, int]) -> list[Tensor]:
    """Return what a part adds to the code values, a tensor a plane."""
    codes = coding.encode_difference(part.delta)
    if coding.rgb or coding.planes == 1:
        return codes
    filter_ = _ChromaFilter.of(part.box, coding, size)
    shared = filter_.covered((part.delta != 0).any(2))
    return [codes[0], *(filter_.filtered(torch.stack(codes[1:])) * shared)]


def bring_back(touched: Touched) -> None:
    """Change pictures by what was computed elsewhere: samples go there and come back at once."""
    alike: dict[tuple[torch.device, torch.dtype, int], Touched] = {}
    for one in touched:
        alike.setdefault((one.code.device, one.here.dtype, one.top), []).append(one)
    for (device, dtype, top), changes in alike.items():
        codes = torch.cat([one.code.reshape(-1) for one in changes])
        samples = torch.empty(codes.shape, dtype=dtype, pin_memory=device.type == "cuda")
        for here, there in _stretches(changes, samples):
            there.copy_(here)
        changed = _rounded(samples.to(device, non_blocking=True), codes, top).to(dtype).cpu()
        for here, there in _stretches(changes, changed):
            here.copy_(there)


def _stretches(changes: Touched, samples: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the samples of each change with their part of a tensor that holds those of all."""
    first = 0
    for one in changes:
        rows, columns = one.here.shape
        yield one.here, samples[first : first + rows * columns].view(rows, columns)
        first += rows * columns


def _rounded(samples: Tensor, code: Tensor, top: int) -> Tensor:
    """Return integer samples and what is added to them; zero changes nothing."""
    return samples.float().add_(code).add_(0.5).floor_().clamp_(0, top)


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
