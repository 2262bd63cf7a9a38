"""Steadiness of what is painted: each face is averaged with itself a few frames before and after.

A restored face is the frame's own low frequencies, noise and block edges included, and detail that
was placed anew in every frame; both flicker. Neighbouring frames of a track are laid over each
other by the optical flow between the restored faces (which show what moves far better than the
inputs do) and averaged, each place by how far the two agree there: where nothing fits (a blink, a
hand, a cut that was missed) a frame keeps its own. Symmetric in time, so nothing lags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from refrestore.restore.colour import stretch
from refrestore.restore.warp import warp
from refrestore.types import FloatArray, ImageArray

REACH = 2
"""Frames before and after that are looked at (docs/decisions/014 has the table)."""

SIGMA = 1.2
"""Of the Gaussian weights over time, in frames."""

FLOW_STRIDE = 2
"""Crop pixels per pixel of the flow: 256 a side, more than any face that is restored has."""

CELL = 8
"""Crop pixels per cell in which faces laid over each other are compared."""

AGREEMENT = 0.03
"""Difference of two cells, 0..1, at which a neighbour counts 1 / e."""

MARGIN = 32
"""Crop pixels around what is pasted that are looked at too: what moves in comes from there."""

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601."""


@dataclass(frozen=True, eq=False)
class Moment:
    """One face of a track at one time.

    Parameters
    ----------
    frame
        Index of its frame.
    restored : (3, S, S) float32
        RGB 0..1.
    mask : (S, S) float32
        Where it may be pasted.
    grey : (S / 2, S / 2) uint8
        What flow is found on.
    extent
        First and last row and column that may be pasted; None if none may.
    """

    frame: int
    restored: torch.Tensor
    mask: torch.Tensor
    grey: ImageArray = field(init=False)
    extent: tuple[int, int, int, int] | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "grey", _grey(self.restored))
        object.__setattr__(self, "extent", _extent(self.mask))


def steadied(face: Moment, neighbours: Sequence[Moment]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a restored face averaged with its neighbours in time, (3, S, S), and its mask, (S, S).

    Parameters
    ----------
    face
        The one wanted.
    neighbours
        Moments of the same track around it.
    """
    pasted = _pasted([face, *neighbours])
    if not neighbours or pasted is None:
        return face.restored, face.mask
    rows, columns = pasted
    mine = face.restored[:, rows, columns]
    total = torch.cat([mine, face.mask[None, rows, columns]])
    mine = F.avg_pool2d(mine[None], CELL)
    sum_of_weights = torch.ones_like(total[0])
    for other in neighbours:  # one at a time: a batch would leave the cache
        motion = torch.from_numpy(_flow(face.grey, other.grey, pasted)).to(total.device)
        picture = torch.cat([other.restored[:, rows, columns], other.mask[None, rows, columns]])
        placed = warp(picture[None], motion[None])
        apart = (F.avg_pool2d(placed[:, :3], CELL) - mine).abs().mean(1, keepdim=True)
        near = float(np.exp(-0.5 * ((other.frame - face.frame) / SIGMA) ** 2))
        weight = torch.exp(-((apart / AGREEMENT) ** 2)) * near
        weight = stretch(weight, *sum_of_weights.shape)[0, 0]
        total.addcmul_(placed[0], weight)
        sum_of_weights += weight
    total.div_(sum_of_weights)
    restored, mask = face.restored.clone(), face.mask.clone()
    restored[:, rows, columns], mask[rows, columns] = total[:3], total[3]
    return restored, mask


def _extent(mask: torch.Tensor) -> tuple[int, int, int, int] | None:
    seen = [torch.nonzero(mask.amax(axis)).ravel() for axis in (1, 0)]
    if not len(seen[0]):
        return None
    rows, columns = ((int(line[0]), int(line[-1])) for line in seen)
    return *rows, *columns


def _pasted(moments: Sequence[Moment]) -> tuple[slice, slice] | None:
    """Return rows and columns, whole cells, of what is pasted at any time, and `MARGIN` more."""
    extents = [one.extent for one in moments if one.extent is not None]
    if not extents:
        return None
    side = len(moments[0].mask)
    top, bottom, left, right = zip(*extents, strict=True)
    return _span(top, bottom, side), _span(left, right, side)


def _span(first: Sequence[int], last: Sequence[int], side: int) -> slice:
    start, stop = min(first) - MARGIN, max(last) + 1 + MARGIN
    return slice(max(0, start // CELL * CELL), min(side, -(-stop // CELL) * CELL))


def _grey(image: torch.Tensor) -> ImageArray:
    small = F.avg_pool2d(image[None].float(), FLOW_STRIDE)[0]
    luma = sum(weight * plane for weight, plane in zip(LUMA, small, strict=True))
    result: ImageArray = (luma * 255).round_().clamp_(0, 255).to(torch.uint8).cpu().numpy()
    return result


def _flow(this: ImageArray, other: ImageArray, part: tuple[slice, slice]) -> FloatArray:
    """Return where each pixel of a part of a face is in another, (2, h, w): x and y offsets.

    In crop pixels, as the part is; h and w are those of `this`. OpenCV's DIS (Kroeger et al.,
    ECCV 2016).
    """
    rows, columns = (slice(p.start // FLOW_STRIDE, p.stop // FLOW_STRIDE) for p in part)
    this, other = (np.ascontiguousarray(grey[rows, columns]) for grey in (this, other))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    found = search.calc(this, other, np.zeros((*this.shape, 2), np.float32))
    planes = np.asarray(found, np.float32).transpose(2, 0, 1)
    return np.ascontiguousarray(planes * np.float32(FLOW_STRIDE))
