"""Soft masks of the region of a crop that is face: the hull of the dense landmarks, in tensors."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F  # noqa: N812  the field's name for it

FEATHER = 0.06
"""Default width of the soft edge over the crop's side: about a third of an eye's width in an
FFHQ crop, which lies inside the cheek and above the brows."""

DIRECTIONS = 24
"""Slabs the hull is cut out by, each with two edges: its corners are off by a pixel of 512 at
most."""

EDGE = 0.5
"""Pixels from a pixel's centre to its rim: a pixel that the hull only touches belongs to it."""

CELLS_OF_EDGE = 3.0
"""The depth is bilinear but where two edges meet, so this many samples of the soft edge do."""


def hull_mask(landmarks: torch.Tensor, size: int, feather: float | None = None) -> torch.Tensor:
    """Return soft masks of the face: 1 well inside the mesh's hull, 0 on its edge and outside.

    How deep a point lies in a convex shape is the least, over all directions, of what the shape
    reaches further than the point does: no polygon is needed. The convex hull and not the mesh's
    oval, which crosses itself in a profile.

    Parameters
    ----------
    landmarks : (N, 468, 2) float32
        Dense landmarks in pixels of the crop, on any device.
    size
        Side of the crop in pixels.
    feather
        Width of the soft edge in pixels, more than 0, all of it inside the hull, so that nothing
        outside the face is ever touched; default `FEATHER` of the size.

    Returns
    -------
    (N, size, size) float32
        0..1, smooth (no kink at either end of the edge).
    """
    width = FEATHER * size if feather is None else feather
    step = next(s for s in (4, 2, 1) if s == 1 or (size % s == 0 and s * CELLS_OF_EDGE <= width))
    depth = _depth(landmarks, size // step, step)
    if step > 1:
        depth = F.interpolate(depth[:, None], size=(size, size), mode="bilinear")[:, 0]
    ramp = depth.add_(EDGE).div_(width).clamp_(0, 1)
    square = ramp.square()
    return ramp.mul_(-2).add_(3).mul_(square)


def _depth(landmarks: torch.Tensor, cells: int, step: int) -> torch.Tensor:
    """Return how far the middle of each cell of `step` pixels lies inside the hull, pixels."""
    device = landmarks.device
    angles = torch.arange(DIRECTIONS, device=device, dtype=torch.float32) * (math.pi / DIRECTIONS)
    normals = torch.stack([angles.cos(), angles.sin()])
    reach = (landmarks.float() @ normals).mT.contiguous()
    high, low = reach.amax(2), reach.amin(2)
    middle, half = (high + low) / 2, (high - low) / 2
    places = (torch.arange(cells, device=device, dtype=torch.float32) + 0.5) * step - 0.5
    x, y = normals[:, :, None] * places
    off = (x - middle[..., None])[:, :, None, :] + y[:, :, None]
    beyond: torch.Tensor = off.abs_().sub_(half[..., None, None]).amax(1)
    return beyond.neg_()
