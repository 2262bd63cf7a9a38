"""Soft masks of the region of a crop that is face: the hull of the dense landmarks, in tensors."""

from __future__ import annotations

import math

import torch

from refrestore.restore.light import averaged, stretch

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


HULL_GROWTH = 1.15
"""The mesh ends inside the jaw and under the hairline; what is repaired goes a little further, or a
sharp face sits in a blurred rim (identity 0.60 to 0.63 at 24 px, 0.71 to 0.72 at 64)."""

EYE_CORNERS = ((33, 362), (133, 263))
"""First and second corner of both eyes in the mesh."""

EYE_LONG, EYE_HIGH, EYE_EDGE = 1.9, 1.1, 0.03
"""Half axes of what is an eye, lids and lashes with it, in halves of the distance of its corners,
and the soft edge inside of that over the crop's side. Lids that are shut in the mesh count too."""

OUTER_LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375),
    *(291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
)
"""The rim of the lips in the mesh."""

MOUTH_GROWN = 1.5
"""How much larger than the lips of the mesh what may be mouth is: where it is open is not seen."""

EYE_POINTS = 16
"""Of its outline."""

HULL_CELL = 8
"""Crop pixels per cell of the hull that the network sees."""

HULL_SIDE = 128
"""Side at which that hull is drawn, whatever the crop's."""

HULL_FEATHER = 4.0
"""Its soft edge, in pixels of these."""


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
        depth = stretch(depth[:, None], size, size)[:, 0]
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


def grown(landmarks: torch.Tensor, growth: float = HULL_GROWTH) -> torch.Tensor:
    """Return meshes (N, 468, 2) enlarged about their middle."""
    middle = (landmarks.amin(1, keepdim=True) + landmarks.amax(1, keepdim=True)) / 2
    return (landmarks - middle) * growth + middle


def around_lips(landmarks: torch.Tensor) -> torch.Tensor:
    """Return points around the mouths of meshes, (N, 20, 2), for `hull_mask`."""
    lips = landmarks[:, OUTER_LIPS]
    middle = lips.mean(1, keepdim=True)
    return middle + (lips - middle) * MOUTH_GROWN


def eye_masks(landmarks: torch.Tensor, side: int) -> torch.Tensor:
    """Return 1 on eyes and 0 elsewhere, (N, S, S).

    Parameters
    ----------
    landmarks : (N, 468, 2) float32
        In pixels of the crop.
    side
        Of the crop.
    """
    first, second = (
        torch.stack([landmarks[:, corner] for corner in pair], 1)[:, :, None]
        for pair in EYE_CORNERS
    )
    middle, along = (first + second) / 2, (second - first) / 2
    across = torch.stack([-along[..., 1], along[..., 0]], -1)
    angles = torch.arange(EYE_POINTS, device=landmarks.device) * (2 * math.pi / EYE_POINTS)
    round_ = EYE_LONG * angles.cos()[:, None] * along + EYE_HIGH * angles.sin()[:, None] * across
    masks = hull_mask((middle + round_).flatten(0, 1), side, EYE_EDGE * side)
    return masks.reshape(-1, 2, side, side).amax(1)


def cells(points: torch.Tensor, size: int) -> torch.Tensor:
    """Return how much of each cell is in the hull of points, (B, 1, S / 8, S / 8).

    Parameters
    ----------
    points : (B, P, 2) float32
        In pixels of crops of `size`.
    """
    mask = hull_mask((points + 0.5) * (HULL_SIDE / size) - 0.5, HULL_SIDE, HULL_FEATHER)
    return averaged(mask[:, None], size // HULL_CELL)


def hull_cells(landmarks: torch.Tensor, size: int = 512) -> torch.Tensor:
    """Return how much of each cell is in the grown hull of meshes, as `cells` does."""
    return cells(grown(landmarks), size)
