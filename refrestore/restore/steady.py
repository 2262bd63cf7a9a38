"""Steadiness of what is painted: each face is averaged with itself a few frames before and after.

A restored face is the frame's own low frequencies, noise and block edges included, and detail that
was placed anew in every frame; both flicker. Neighbouring frames of a track are laid over each
other by their steady meshes (a face that talks or turns is followed) and averaged, each place by
how far the two inputs agree there: where the mesh does not follow (gaze, a hand, a cut that was
missed) a frame keeps its own. Symmetric in time, so nothing lags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from refrestore.restore.colour import stretch
from refrestore.restore.warp import STRIDE, displacement, triangulate, warp
from refrestore.types import FloatArray

REACH = 2
"""Frames before and after that are looked at (docs/decisions/014 has the table)."""

SIGMA = 1.2
"""Of the Gaussian weights over time, in frames."""

CELL = 16
"""Crop pixels per cell in which the inputs are compared: noise averages out, an eye does not."""

AGREEMENT = 0.04
"""Difference of two inputs' cells, 0..1, at which a neighbour counts 1 / e."""


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
    cells : (3, S / 16, S / 16) float32
        The input it was restored from, `cells_of`.
    landmarks : (468, 2) float32
        Steady, crop pixels.
    """

    frame: int
    restored: torch.Tensor
    mask: torch.Tensor
    cells: torch.Tensor
    landmarks: FloatArray


def cells_of(crops: torch.Tensor) -> torch.Tensor:
    """Return crops (B, 3, S, S), RGB 0..1, as the means of their cells."""
    return F.avg_pool2d(crops, CELL)


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
    device = face.restored.device
    meshes = torch.from_numpy(np.stack([other.landmarks for other in neighbours]))[None]
    field = displacement(triangulate(face.landmarks[None], size), meshes)[0].to(device)
    cells = torch.stack([other.cells for other in neighbours])
    coarse = F.avg_pool2d(field, CELL // STRIDE) / CELL
    apart = (warp(cells, coarse, stride=1) - face.cells).abs().mean(1, keepdim=True)
    near = [np.exp(-0.5 * ((other.frame - face.frame) / SIGMA) ** 2) for other in neighbours]
    trust = torch.exp(-((apart / AGREEMENT) ** 2))
    trust = trust * torch.tensor(near, dtype=torch.float32, device=device)[:, None, None, None]
    weights = stretch(trust, size, size)
    total = torch.cat([face.restored, face.mask[None]])
    for place, other in enumerate(neighbours):  # one at a time: a batch would leave the cache
        picture = torch.cat([other.restored, other.mask[None]])[None]
        total.addcmul_(warp(picture, field[place : place + 1])[0], weights[place])
    total.div_(1 + weights.sum(0))
    return total[:3], total[3]
