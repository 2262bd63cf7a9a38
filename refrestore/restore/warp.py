"""Dense warp of references onto a face: piecewise affine on the mesh, smooth to the border.

The plane of the target crop is triangulated once (Delaunay over the 468 mesh points and fixed
points around the border); each cell of a coarse grid then knows its triangle and barycentric
weights, and the displacement field of any reference is three gathers and a weighted sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import Delaunay
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from refrestore.types import DoubleArray, FloatArray, IntArray

STRIDE = 4
"""Crop pixels per cell of a displacement field: 128 cells a side at 512."""

BORDER_POINTS = 8
"""Fixed points on each side of the crop; they keep hair and background where they are."""


def border_points(size: int) -> FloatArray:
    """Return the fixed points around a crop, (4 * BORDER_POINTS, 2), just outside its pixels."""
    steps = np.linspace(-1, size, BORDER_POINTS + 1, dtype=np.float32)[:-1]
    low, high = np.full_like(steps, -1), np.full_like(steps, size)
    back = size - 1 - steps
    return np.concatenate(
        [
            np.stack([steps, low], axis=1),
            np.stack([high, steps], axis=1),
            np.stack([back, high], axis=1),
            np.stack([low, back], axis=1),
        ]
    )


SLIVER = 1e-7
"""Area (square pixels) and weight that count as zero."""


@dataclass(frozen=True, eq=False)
class Triangulation:
    """Where each cell of the coarse grids of B faces lies in their meshes.

    Parameters
    ----------
    vertices : (B, G, 3) int64
        Mesh points (then border points) of the cell's triangle.
    weights : (B, G, 3) float32
        Barycentric weights; they sum to one.
    landmarks : (B, 468, 2) float32
        The target meshes.
    size
        Pixels a side of the crop.
    """

    vertices: torch.Tensor
    weights: torch.Tensor
    landmarks: torch.Tensor
    size: int


def triangulate(landmarks: FloatArray, size: int = 512) -> Triangulation:
    """Triangulate the crops of B faces and locate every cell centre.

    Parameters
    ----------
    landmarks : (B, 468, 2)
        Target meshes in crop pixels.
    size
        Pixels a side of the crop, a multiple of 4.
    """
    cells = size // STRIDE
    border = border_points(size)
    vertices = np.empty((len(landmarks), cells * cells, 3), np.int64)
    weights = np.empty((len(landmarks), cells * cells, 3), np.float32)
    for face, mesh in enumerate(landmarks):
        inside = np.clip(mesh, 0, size - 1)  # a mesh point beyond the crop would cover its border
        points = np.concatenate([inside, border]).astype(np.float64)
        vertices[face], weights[face] = _locate(points, Delaunay(points).simplices, cells)
    return Triangulation(
        vertices=torch.from_numpy(vertices),
        weights=torch.from_numpy(weights),
        landmarks=torch.as_tensor(np.asarray(landmarks, np.float32)),
        size=size,
    )


def _locate(points: DoubleArray, triangles: IntArray, cells: int) -> tuple[IntArray, DoubleArray]:
    """Return the triangle's vertices and the barycentric weights of every cell centre.

    Every triangle looks at the cells of its bounding box, all at once. (scipy's `find_simplex`
    solves a 2 x 2 system a triangle through BLAS, whose threads wait for each other: on busy
    cores that took seconds a face.) A cell in no triangle has weights 0 and stays where it is.
    """
    corners = points[triangles]
    low = np.clip(np.ceil((corners.min(axis=1) + 0.5) / STRIDE - 0.5), 0, cells - 1)
    high = np.clip(np.floor((corners.max(axis=1) + 0.5) / STRIDE - 0.5), -1, cells - 1)
    extent = np.maximum(high - low + 1, 0).astype(np.int64)
    count = extent.prod(axis=1)
    pair = np.repeat(np.arange(len(triangles)), count)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(count) - count, count)
    place = low.astype(np.int64)[pair]
    place += np.stack([within % extent[pair, 0], within // extent[pair, 0]], axis=1)
    origin, first, second = corners[:, 0], corners[:, 1], corners[:, 2]
    one, other = first - origin, second - origin
    area = one[:, 0] * other[:, 1] - other[:, 0] * one[:, 1]
    inverse = np.where(np.abs(area) > SLIVER, 1 / np.where(area == 0, 1, area), np.nan)[pair]
    reach = (place + 0.5) * STRIDE - 0.5 - origin[pair]
    one, other = one[pair], other[pair]
    u = (reach[:, 0] * other[:, 1] - other[:, 0] * reach[:, 1]) * inverse
    v = (one[:, 0] * reach[:, 1] - reach[:, 0] * one[:, 1]) * inverse
    barycentric = np.stack([1 - u - v, u, v], axis=1)
    hit = barycentric.min(axis=1) >= -SLIVER  # not a number, in a sliver, is no hit
    cell = place[hit, 1] * cells + place[hit, 0]
    vertices = np.zeros((cells * cells, 3), np.int64)
    weights = np.zeros((cells * cells, 3))
    vertices[cell], weights[cell] = triangles[pair[hit]], barycentric[hit]
    return vertices, weights


def displacement(target: Triangulation, references: torch.Tensor) -> torch.Tensor:
    """Return where each cell of the target finds its pixel in each reference.

    Parameters
    ----------
    target
        Triangulated faces, B of them.
    references : (B, K, 468, 2)
        Reference meshes, crop pixels.

    Returns
    -------
    (B, K, 2, size/4, size/4) float32
        x and y offsets in crop pixels: target position p shows reference position p + offset.
    """
    faces, count = references.shape[:2]
    cells = target.size // STRIDE
    offsets = references.float() - target.landmarks[:, None]
    border = offsets.new_zeros((faces, count, 4 * BORDER_POINTS, 2))
    offsets = torch.cat([offsets, border], dim=2)
    corner = target.vertices.reshape(faces, 1, -1, 1).expand(-1, count, -1, 2)
    gathered = offsets.gather(2, corner).reshape(faces, count, cells * cells, 3, 2)
    field = (gathered * target.weights[:, None, :, :, None]).sum(dim=3)
    return field.permute(0, 1, 3, 2).reshape(faces, count, 2, cells, cells)


def warp(
    images: torch.Tensor, offsets: torch.Tensor, *, size: Sequence[int] | None = None
) -> torch.Tensor:
    """Warp images backwards along displacement fields.

    Parameters
    ----------
    images : (N, C, H, W)
        Sources.
    offsets : (N, 2, h, w)
        x and y offsets in source pixels at cell centres.
    size
        Height and width of the output, the field enlarged to it; default: the field's own.

    Returns
    -------
    (N, C, *size) float32
        Bilinear samples; beyond the source its border is repeated.
    """
    height, width = images.shape[-2:]
    rows, columns = offsets.shape[-2:] if size is None else size
    dense = offsets.float()
    if (rows, columns) != tuple(offsets.shape[-2:]):
        dense = F.interpolate(dense, size=(rows, columns), mode="bilinear", align_corners=False)
    x = torch.arange(columns, device=images.device, dtype=torch.float32)
    y = torch.arange(rows, device=images.device, dtype=torch.float32)
    grid = torch.stack(
        [
            (dense[:, 0] + (x[None, None] + 0.5)) * (2 / width) - 1,
            (dense[:, 1] + (y[None, :, None] + 0.5)) * (2 / height) - 1,
        ],
        dim=-1,
    )
    return F.grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
