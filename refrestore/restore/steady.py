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
    """

    frame: int
    restored: torch.Tensor
    mask: torch.Tensor
    grey: ImageArray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "grey", _grey(self.restored))


def steadied(face: Moment, neighbours: Sequence[Moment]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a restored face averaged with its neighbours in time, (3, S, S), and its mask, (S, S).

    Parameters
    ----------
    face
        The one wanted.
    neighbours
        Moments of the same track around it.
    """
    if not neighbours:
        return face.restored, face.mask
    size = face.restored.shape[-1]
    mine = F.avg_pool2d(face.restored[None], CELL)
    total = torch.cat([face.restored, face.mask[None]])
    sum_of_weights = torch.ones_like(face.mask)
    for other in neighbours:  # one at a time: a batch would leave the cache
        motion = torch.from_numpy(_flow(face.grey, other.grey)).to(total.device)
        picture = torch.cat([other.restored, other.mask[None]])[None]
        placed = warp(picture, motion[None], stride=FLOW_STRIDE)
        apart = (F.avg_pool2d(placed[:, :3], CELL) - mine).abs().mean(1, keepdim=True)
        near = float(np.exp(-0.5 * ((other.frame - face.frame) / SIGMA) ** 2))
        weight = stretch(torch.exp(-((apart / AGREEMENT) ** 2)) * near, size, size)[0, 0]
        total.addcmul_(placed[0], weight)
        sum_of_weights += weight
    total.div_(sum_of_weights)
    return total[:3], total[3]


def _grey(image: torch.Tensor) -> ImageArray:
    small = F.avg_pool2d(image[None].float(), FLOW_STRIDE)[0]
    luma = sum(weight * plane for weight, plane in zip(LUMA, small, strict=True))
    result: ImageArray = (luma * 255).round_().clamp_(0, 255).to(torch.uint8).cpu().numpy()
    return result


def _flow(this: ImageArray, other: ImageArray) -> FloatArray:
    """Return where each pixel of a face is in another, (2, H, W): x and y offsets in crop pixels.

    OpenCV's DIS (Kroeger et al., ECCV 2016).
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    found = search.calc(this, other, np.zeros((*this.shape, 2), np.float32))
    planes = np.asarray(found, np.float32).transpose(2, 0, 1)
    return np.ascontiguousarray(planes * np.float32(FLOW_STRIDE))
