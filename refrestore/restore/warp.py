"""Dense warp of references onto a face: piecewise affine on the mesh, smooth to the border.

The mesh's triangles are always the same. Points strewn over them say which triangle lies in each
cell of a coarse grid over the target crop; the cell's displacement for any reference is the
barycentric mean of the triangle's three. Where a turned head's mesh lies over itself, the side that
faces the camera counts, of that what is nearer. Cells that the mesh does not reach are filled in
from their neighbours, ever coarser ones, to the crop's border, where nothing moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from refrestore.restore.light import enlarge, stretch
from refrestore.types import FloatArray, IntArray

STRIDE = 4
"""Crop pixels per cell of a displacement field: 128 cells a side at 512."""

LEAST_CELLS = 64
"""Cells a side of a small crop: eight times what the mesh's own error is there."""

FACE_WIDTH = 46 / 128
"""Distance between the outer eye corners over the side of an FFHQ crop."""

SPACING = 1.8
"""Cells that the points on a triangle's longest edge are apart: on a frontal face of the template's
size 2 of 100 cells have no point and are filled in from their neighbours (at 1.4 none, at half as
many points again; the field is the same)."""

BEYOND = 0.5
"""How far outside 0..1 a barycentric weight may go: a cell's middle can lie in the next triangle
but one, and in a triangle seen from its edge it would go anywhere."""

SLIVER = 1e-4
"""Area (square pixels) that counts as none."""

_TESSELLATION = Path(__file__).with_name("tessellation.npz")
"""Triangles of the landmark network's mean head, made by training/tessellation.py."""


def cells_of(side: int) -> int:
    """Return how many cells a side the displacement field of a crop has."""
    return max(side // STRIDE, LEAST_CELLS)


@dataclass(frozen=True, eq=False)
class _Strewn:
    """Points strewn over the mesh's triangles.

    Parameters
    ----------
    triangles : (T, 3) int64
        Mesh points of each triangle, back to front; as they go round, a triangle that faces the
        camera has a positive area.
    owner : (N,) int64
        Triangle of each point.
    weights : (N, 3) float32
        Barycentric weights of each point.
    """

    triangles: IntArray
    owner: IntArray
    weights: FloatArray


@cache
def _strewn(cells: int) -> _Strewn:
    """Return points dense enough for a grid of so many cells a side."""
    with np.load(_TESSELLATION) as file:
        triangles, longest = file["triangles"].astype(np.int64), file["longest"]
    counts = np.ceil(longest * FACE_WIDTH * cells / SPACING).astype(np.int64)
    lattice = {int(count): _middles(int(count)) for count in np.unique(counts)}
    weights = np.concatenate([lattice[int(count)] for count in counts])
    return _Strewn(triangles, np.repeat(np.arange(len(counts)), counts**2), weights)


def _middles(count: int) -> FloatArray:
    """Return the middles of the `count` ** 2 parts of a triangle, barycentric (count ** 2, 3)."""
    first, second = np.indices((count, count)).reshape(2, -1)
    upright, turned = first + second < count, first + second < count - 1
    u = np.concatenate([first[upright] + 1 / 3, first[turned] + 2 / 3]) / count
    v = np.concatenate([second[upright] + 1 / 3, second[turned] + 2 / 3]) / count
    return np.stack([1 - u - v, u, v], axis=1).astype(np.float32)


def displacement(targets: torch.Tensor, references: torch.Tensor, side: int) -> torch.Tensor:
    """Return where each cell of the targets finds its pixel in each reference.

    Parameters
    ----------
    targets : (B, 468, 2) float32
        Meshes of B faces, crop pixels.
    references : (B, K, 468, 2) float32
        Meshes of the references of each, crop pixels, on the same device; K may be 0.
    side
        Pixels a side of the crops.

    Returns
    -------
    (B, K, 2, g, g) float32
        x and y offsets in crop pixels, g = `cells_of` the side: target position p shows reference
        position p + offset.
    """
    faces, count, points = references.shape[:3]
    cells = cells_of(side)
    if not faces * count:
        return references.new_zeros((faces, count, 2, cells, cells))
    vertices, weights, reached = _locate(targets, cells, side / cells)
    offsets = (references - targets[:, None]).transpose(1, 2).reshape(faces * points, count * 2)
    first = torch.arange(faces, device=targets.device)[:, None, None] * points
    field = F.embedding_bag(
        (vertices + first).reshape(-1, 3),
        offsets,
        mode="sum",
        per_sample_weights=weights.reshape(-1, 3),
    )
    field = field.reshape(faces, cells, cells, count * 2).permute(0, 3, 1, 2)
    known = F.pad(reached[:, None, 1:-1, 1:-1].float(), (1, 1, 1, 1), value=1.0)
    return _filled(field, known).reshape(faces, count, 2, cells, cells).contiguous()


def _locate(
    targets: torch.Tensor, cells: int, step: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what lies in each cell of `step` pixels.

    Returns
    -------
    vertices, weights : (B, g * g, 3)
        Mesh points of a triangle, and how much each counts at the cell's middle.
    reached : (B, g, g) bool
        Where there is one; elsewhere the weights are 0.
    """
    faces, device = len(targets), targets.device
    strewn = _strewn(cells)
    triangles, owner, shares = (
        torch.from_numpy(part).to(device, non_blocking=True)
        for part in (strewn.triangles, strewn.owner, strewn.weights)
    )
    number, every = len(triangles), torch.arange(faces, device=device)
    points = targets.float().transpose(0, 1).reshape(-1, faces * 2)
    origin, first, second = points.reshape(-1, faces, 2)[triangles].unbind(1)
    first, second = first - origin, second - origin
    area = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]

    # Of all triangles that reach into a cell the highest rank stays.
    rank = torch.arange(1, number + 1, device=device)[:, None] + number * (area > 0)
    spots = F.embedding_bag(triangles[owner], points, mode="sum", per_sample_weights=shares)
    spots = spots.add_(0.5).div_(step).floor_().clamp_(-1, cells).add_(1).long()
    wide = cells + 2  # what is outside the crop falls into a rim around the grid
    column, row = spots.reshape(-1, faces, 2).unbind(2)
    place = (every * wide + row) * wide + column
    best = rank.new_zeros(faces * wide * wide)
    best.scatter_reduce_(0, place.reshape(-1), rank[owner].reshape(-1), "amax")
    best = best.reshape(faces, wide, wide)[:, 1:-1, 1:-1]
    reached, found = best > 0, (best - 1).remainder(number)

    inverse = 1 / torch.where(area.abs() < SLIVER, SLIVER, area)
    turned = [second[..., 1], -second[..., 0], -first[..., 1], first[..., 0]]
    turned = [part * inverse for part in turned]
    affine = torch.stack([*turned, *origin.unbind(2)], -1).flatten(0, 1)
    affine = affine.index_select(0, (found * faces + every[:, None, None]).flatten())
    to_u_x, to_u_y, to_v_x, to_v_y, left, top = affine.reshape(faces, cells, cells, 6).unbind(3)
    middles = (torch.arange(cells, device=device) + 0.5) * step - 0.5
    x, y = middles - left, middles[:, None] - top
    u, v = to_u_x * x + to_u_y * y, to_v_x * x + to_v_y * y
    weights = torch.stack([1 - u - v, u, v], -1).clamp_(-BEYOND, 1 + BEYOND)
    weights = weights * (reached / weights.sum(-1))[..., None]
    return triangles[found].flatten(1, 2), weights.flatten(1, 2), reached


def _filled(field: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Fill in what is not known: the mean of what is, at half the resolution and so on.

    Pull and push (Gortler et al., The Lumigraph, SIGGRAPH 1996).

    Parameters
    ----------
    field : (B, C, g, g)
        0 where nothing is known.
    known : (B, 1, g, g)
        0 or 1.
    """
    if field.shape[-1] % 2:
        return field
    share = F.avg_pool2d(known, 2)
    smaller = F.avg_pool2d(field, 2).div_(share.clamp(min=0.25))
    smaller = _filled(smaller, share.ceil())
    return torch.addcmul(field, enlarge(smaller), 1 - known)


def warp(
    images: torch.Tensor,
    offsets: torch.Tensor,
    size: Sequence[int] | None = None,
    *,
    cubic: bool = False,
) -> torch.Tensor:
    """Warp images backwards along coarse displacement fields.

    Parameters
    ----------
    images : (N, C, H, W)
        Sources.
    offsets : (N, 2, h, w)
        x and y offsets in source pixels at the middles of cells, which divide the output evenly.
    size
        Rows and columns of the output; default those of the sources.
    cubic
        Whether to sample bicubic: bilinear samples lose a third of the finest octave.

    Returns
    -------
    (N, C, *size) float32
        Samples; beyond the source its border is repeated.
    """
    height, width = images.shape[-2:]
    rows, columns = size or (height, width)
    device = images.device
    x = torch.arange(0.5, columns, device=device).mul_(2 / width).sub_(1)
    y = torch.arange(0.5, rows, device=device).mul_(2 / height).sub_(1)
    unit = torch.tensor([2 / width, 2 / height], device=device)[:, None, None]
    grid = stretch(offsets.float() * unit, rows, columns)
    grid[:, 0] += x
    grid[:, 1] += y[:, None]
    # A plane of x and one of y: the sampler reads them as they are.
    grid = grid.permute(0, 2, 3, 1)
    mode = "bicubic" if cubic else "bilinear"
    return F.grid_sample(
        images.float(), grid, mode=mode, padding_mode="border", align_corners=False
    )
