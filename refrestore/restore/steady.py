"""Steadiness of what is painted: each face is averaged with itself a few frames before and after.

A restored face is the frame's own low frequencies, noise and block edges included, and detail that
was placed anew in every frame; both flicker. Neighbouring frames of a track are laid over each
other by the optical flow between the restored faces (which show what moves far better than the
inputs do) and averaged, each place by how far the two agree there: where nothing fits (a blink, a
hand, a cut that was missed) a frame keeps its own. Symmetric in time, so nothing lags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from refrestore.media.tensors import parts, stacked
from refrestore.restore.flow import flow
from refrestore.restore.light import luma_of, shrunk, stretch
from refrestore.restore.warp import warp
from refrestore.types import FloatArray, IntArray

REACH = 2
"""Frames before and after that are looked at (docs/decisions/014 has the table)."""

SIGMA = 1.2
"""Of the Gaussian weights over time, in frames."""

FLOW_SIDE = 256
"""Pixels a side of a crop's flow at most: more than any face that is restored has."""

CELLS = 64
"""Cells a side of a crop, in which faces laid over each other are compared."""

AGREEMENT = 0.03
"""Difference of two cells, 0..1, at which a neighbour counts 1 / e."""

MARGIN = 4
"""Cells around what is pasted that are looked at too: what moves in comes from there."""


@dataclass(frozen=True, eq=False)
class RestoredFace:
    """One restored face of a track at one time.

    Parameters
    ----------
    frame
        Index of its frame.
    layers : (4, S, S) float32
        RGB 0..1, and where it may be pasted, 0..1.
    before : (3, S, S) float32
        The crop it was made of.
    box : (4,) int64
        Left, top, right, bottom: outside of it nothing may be pasted. Right and bottom are beyond.
    grey : (s, s) uint8
        What flow is found on.
    shutter : () float32
        Part of its motion by which the frame is blurred; not a number where it tells nothing.
    used
        Rows of its person's bank that it was restored from, best first.
    lowered
        Whether their lids were drawn down.
    """

    frame: int
    layers: Tensor
    before: Tensor
    box: IntArray
    grey: Tensor
    shutter: Tensor
    used: tuple[int, ...] = ()
    lowered: bool = False

    @property
    def side(self) -> int:
        """Of its crop in pixels."""
        return self.layers.shape[-1]

    def at(self, side: int) -> RestoredFace:
        """Return it in a crop of another side."""
        if side == self.side:
            return self
        factor = side / self.side
        low, high = self.box[:2] * factor, self.box[2:] * factor
        box = np.concatenate([np.floor(low) - 1, np.ceil(high) + 1]).clip(0, side)
        layers = at_side(self.layers, side)
        before, grey = at_side(self.before, side), greys(layers[None])[0]
        return replace(self, layers=layers, before=before, box=box.astype(np.int64), grey=grey)


def at_side(planes: Tensor, side: int) -> Tensor:
    """Return a crop, (C, S, S), as one of another side."""
    if side == planes.shape[-1]:
        return planes
    shrinks = side < planes.shape[-1]
    return F.interpolate(planes[None], size=(side, side), mode="bilinear", antialias=shrinks)[0]


def greys(faces: Tensor) -> Tensor:
    """Return what flow is found on, (N, s, s) uint8, of faces (N, 3 or more, S, S), RGB 0..1."""
    stride = _stride(faces.shape[-1])
    luma = luma_of(faces)
    small = shrunk(luma[:, None], stride)[:, 0]
    return (small * 255).round_().clamp_(0, 255).to(torch.uint8)


def _stride(side: int) -> int:
    """Return the crop pixels per pixel of the flow."""
    return -(-side // FLOW_SIDE)


def steadied(
    faces: Sequence[RestoredFace], neighbours: Sequence[Sequence[RestoredFace]]
) -> tuple[Tensor, IntArray]:
    """Average restored faces with their neighbours in time.

    Parameters
    ----------
    faces
        The B faces wanted, of one side.
    neighbours
        Of each, moments of the same track around it.

    Returns
    -------
    layers : (B, 4, S, S)
        As in `RestoredFace`.
    boxes : (B, 4) int64
        As in `RestoredFace`.
    """
    layers = torch.stack([face.layers for face in faces])
    side = faces[0].side
    near = [[other.at(side) for other in others] for others in neighbours]
    boxes = np.stack([union([face, *others]) for face, others in zip(faces, near, strict=True)])
    for part in parts(len(faces), layers.device):
        if any(near[part]) and np.any(boxes[part, 2:] > boxes[part, :2]):
            _average(layers[part], faces[part], near[part], boxes[part])
    return layers, boxes


def _average(
    layers: Tensor,
    faces: Sequence[RestoredFace],
    near: Sequence[Sequence[RestoredFace]],
    boxes: IntArray,
) -> None:
    """Average some faces in place, each with its first neighbour, with its second, and so on."""
    side, device = layers.shape[-1], layers.device
    cell, stride = side // CELLS, _stride(side)
    rows, columns = _window(boxes, side)
    coarse = tuple(slice(one.start // stride, one.stop // stride) for one in (rows, columns))
    slots = [
        [(*others, *[face] * (slot + 1))[slot] for face, others in zip(faces, near, strict=True)]
        for slot in range(max(map(len, near)))
    ]
    weights_in_time = torch.tensor(_weights_in_time(faces, near), device=device)
    this = torch.stack([face.grey[coarse] for face in faces])
    motion = flow(
        this.repeat(len(slots), 1, 1),
        torch.stack([other.grey[coarse] for others in slots for other in others]),
    )
    motions = motion.mul_(stride).view(len(slots), len(faces), *motion.shape[1:])
    total = layers[:, :, rows, columns].clone()
    mine = shrunk(total[:, :3], cell)
    sum_of_weights = torch.ones_like(total[:, :1])
    for others, motion, in_time in zip(slots, motions, weights_in_time, strict=True):
        picture = stacked([other.layers[:, rows, columns] for other in others])
        placed = warp(picture, motion)
        apart = (shrunk(placed[:, :3], cell) - mine).abs().mean(1, keepdim=True)
        weight = torch.exp(-((apart / AGREEMENT) ** 2)) * in_time[:, None, None, None]
        weight = stretch(weight, *total.shape[-2:])
        total.addcmul_(placed, weight)
        sum_of_weights += weight
    total.div_(sum_of_weights)
    total[:, 3] *= _inside(boxes, rows, columns, device)
    layers[:, :, rows, columns] = total


def _weights_in_time(
    faces: Sequence[RestoredFace], near: Sequence[Sequence[RestoredFace]]
) -> FloatArray:
    """Return Gaussian weights of the neighbours, (K, B); 0 where a face has no more."""
    weights: FloatArray = np.zeros((max(map(len, near)), len(faces)), np.float32)
    for column, (face, others) in enumerate(zip(faces, near, strict=True)):
        frames = np.array([other.frame for other in others], np.float64)
        weights[: len(others), column] = np.exp(-0.5 * ((frames - face.frame) / SIGMA) ** 2)
    return weights


def union(moments: Sequence[RestoredFace]) -> IntArray:
    """Return the box around all boxes that are not empty."""
    boxes = np.stack([one.box for one in moments])
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
    if not len(boxes):
        return np.zeros(4, np.int64)
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])


def _window(boxes: IntArray, side: int) -> tuple[slice, slice]:
    """Return rows and columns, whole cells, of what is pasted of any face, and `MARGIN` more."""
    cell = side // CELLS
    full = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
    low = (full[:, :2].min(0) // cell - MARGIN).clip(0)
    high = (-(-full[:, 2:].max(0) // cell) + MARGIN).clip(max=CELLS)
    left, top, right, bottom = (cell * edge for edge in (*low.tolist(), *high.tolist()))
    return slice(top, bottom), slice(left, right)


def _inside(boxes: IntArray, rows: slice, columns: slice, device: torch.device) -> Tensor:
    """Return 1 inside of each face's box, (B, h, w): a mask ends where the faces' own do."""
    edges = torch.tensor(boxes, device=device)[:, :, None]
    x = torch.arange(columns.start, columns.stop, device=device)
    y = torch.arange(rows.start, rows.stop, device=device)
    across = (x >= edges[:, 0]) & (x < edges[:, 2])
    down = (y >= edges[:, 1]) & (y < edges[:, 3])
    return down[:, :, None] & across[:, None]
