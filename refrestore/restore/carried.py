"""Faces that are carried over: what was restored in frames near by, laid over a frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from refrestore.media.tensors import stacked
from refrestore.restore import burst
from refrestore.restore.flow import flow
from refrestore.restore.light import luma_of, shrunk, stretch
from refrestore.restore.steady import CELLS, RestoredFace
from refrestore.restore.warp import warp

AGREEMENT = 0.04
"""Difference of two cells of the frames themselves, 0..1, at which a source counts 1 / e."""

LEAST = 1e-3
"""What it counts wherever it lies: where nothing agrees something has to be shown."""

OWN_CELLS, OWN_COLOURS = 32, 4
"""Cells a side of a crop: what is coarser is the frame's own, light and a mouth's motion. Of its
colours less is: they change with the light, and finer ones are a codec's."""


def carried(
    faces: Tensor, frames: Sequence[int], sources: Sequence[Sequence[RestoredFace]]
) -> Tensor:
    """Return faces of which restored ones near them are laid over each, (B, 4, S, S).

    They are laid along the flow between the frames as they are, each place by how far these agree
    and how near they are in time; in coarse cells the frame keeps what it shows.

    Parameters
    ----------
    faces : (B, 3, S, S)
        RGB 0..1, as the frames show them.
    frames
        Their indices.
    sources
        Of each at least one restored face of the same track, the nearest.

    Returns
    -------
    (B, 4, S, S)
        As `RestoredFace.layers`.
    """
    side = faces.shape[-1]
    this = burst.softened(faces)
    total = faces.new_zeros((len(faces), 4, side, side))
    weights = torch.zeros_like(faces[:, :1])
    for slot in range(max(map(len, sources))):
        others = [near[min(slot, len(near) - 1)].at(side) for near in sources]
        before = stacked([other.before for other in others])
        motion = flow(this, burst.softened(before))
        motion = stretch(motion * (side / burst.FLOW_SIDE), side, side)
        placed = warp(torch.cat([stacked([one.layers for one in others]), before], 1), motion)
        layers, apart = placed[:, :4], faces - placed[:, 4:]
        difference = shrunk(apart, side // CELLS).abs().mean(1, keepdim=True)
        weight = stretch(torch.exp(-((difference / AGREEMENT) ** 2)), side, side) + LEAST
        bright = luma_of(apart)[:, None]
        own = stretch(shrunk(bright, side // OWN_CELLS), side, side)
        own = own + stretch(shrunk(apart - bright, side // OWN_COLOURS), side, side)
        near_by = [1 / abs(one.frame - at) for one, at in zip(others, frames, strict=True)]
        weight = weight * torch.tensor(near_by, device=weight.device)[:, None, None, None]
        total[:, :3] += (layers[:, :3] + own).clamp(0, 1) * weight
        total[:, 3:] += layers[:, 3:] * weight
        weights += weight
    return total / weights
