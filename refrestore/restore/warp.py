"""Dense warp of references onto a face: piecewise affine on the mesh, smooth to the border.

The plane of the target crop is triangulated once (Delaunay over the 468 mesh points and fixed
points around the border); each cell of a coarse grid then knows its triangle and barycentric
weights, and the displacement field of any reference is three gathers and a weighted sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import Delaunay
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from refrestore.types import FloatArray

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
    centres = (np.arange(cells) + 0.5) * STRIDE - 0.5
    grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
    border = border_points(size)
    vertices = np.empty((len(landmarks), cells * cells, 3), np.int64)
    weights = np.empty((len(landmarks), cells * cells, 3), np.float32)
    for face, mesh in enumerate(landmarks):
        inside = np.clip(mesh, 0, size - 1)  # a mesh point beyond the crop would cover its border
        mesh_plane = Delaunay(np.concatenate([inside, border]))
        triangle = mesh_plane.find_simplex(grid)
        transform = mesh_plane.transform[triangle]
        first = np.einsum("gij,gj->gi", transform[:, :2], grid - transform[:, 2])
        barycentric = np.concatenate([first, 1 - first.sum(axis=1, keepdims=True)], axis=1)
        # A sliver's transform is not finite: such a cell stays where it is.
        bad = ~np.isfinite(barycentric).all(axis=1) | (triangle < 0)
        barycentric[bad] = 0
        vertices[face] = mesh_plane.simplices[triangle]
        weights[face] = barycentric
    return Triangulation(
        vertices=torch.from_numpy(vertices),
        weights=torch.from_numpy(weights),
        landmarks=torch.as_tensor(np.asarray(landmarks, np.float32)),
        size=size,
    )


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


def warp(images: torch.Tensor, offsets: torch.Tensor, *, stride: int = STRIDE) -> torch.Tensor:
    """Warp images backwards along coarse displacement fields.

    Parameters
    ----------
    images : (N, C, H, W)
        Sources.
    offsets : (N, 2, h, w)
        x and y offsets in source pixels at cell centres.
    stride
        Output pixels per cell; the output is (N, C, h * stride, w * stride).

    Returns
    -------
    (N, C, h * stride, w * stride) float32
        Bilinear samples; beyond the source its border is repeated.
    """
    height, width = images.shape[-2:]
    rows, columns = offsets.shape[-2] * stride, offsets.shape[-1] * stride
    dense = offsets.float()
    if stride != 1:
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
