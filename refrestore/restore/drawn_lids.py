"""Shut the eyes of a face in a picture: the skin of each upper lid is drawn down over the eye."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.faces.eyes import EYES
from refrestore.types import DoubleArray, FloatArray

BROWS = ((46, 53, 52, 65, 55), (276, 283, 282, 295, 285))
"""Landmarks of the lower edge of the brows, above each of `EYES`."""

CREASE, BELOW_BROW = 0.35, 0.6
"""How far above the lid skin begins to be stretched: in widths of the eye, and no further than this
share of the way to the brow, which stays where it is."""

BEYOND = 0.56
"""Half of what is changed of an eye's line, in its widths."""

PAST = 0.08
"""How far beyond the lower lid's line a shut one reaches, in widths of the eye: the mesh is not so
exact that nothing white would be left."""


def draw_lids(image: NDArray[np.uint8], mesh: FloatArray, share: float) -> NDArray[np.uint8]:
    """Return a picture in which both upper lids have come so much of their way, 0 to 1.

    The lashes go with the lid. The mesh stays as it was: one that is found on shut eyes has open
    lids too.

    Parameters
    ----------
    image : (H, W, 3) uint8
    mesh : (468, 2)
        In pixels of it.
    """
    result = image.copy()
    for ring, brow in zip(EYES, BROWS, strict=True):
        points = mesh[list(ring)].astype(np.float64)
        reach = np.linalg.norm(points[8] - points[0]) * (0.5 + CREASE)
        low = np.maximum(points.mean(0) - reach, 0).astype(int)
        high = np.minimum(points.mean(0) + reach + 1, image.shape[1::-1]).astype(int)
        if (high <= low).any():
            continue
        columns, rows = (np.arange(*ends) for ends in zip(low, high, strict=True))
        places = np.stack(np.meshgrid(columns, rows), -1).astype(np.float32)
        along = points[8] - points[0]
        wide = max(float(np.linalg.norm(along)), 1e-3)
        axes = np.stack([along, [-along[1], along[0]]], 1) / wide
        middle = (points[0] + points[8]) / 2
        u, v = np.moveaxis((places - middle) @ axes, -1, 0)
        eye, above = (points - middle) @ axes, (mesh[list(brow)] - middle) @ axes
        upper, lower = (_line(u, eye[at]) for at in ([0, *range(15, 8, -1), 8], range(9)))
        lower = np.maximum(lower, upper)
        gap = BELOW_BROW * (upper - _line(u, above))
        crease = upper - np.clip(gap, 0.02 * wide, CREASE * wide)
        lid = upper + share * (lower + PAST * wide * (lower > upper) - upper)
        stretched = crease + (v - crease) * (upper - crease) / np.maximum(lid - crease, 1e-3)
        inside = (np.abs(u) < BEYOND * wide) & (v > crease) & (v <= lid)
        moved = places + (np.where(inside, stretched - v, 0)[..., None] * axes[:, 1])
        x, y = np.moveaxis(moved.astype(np.float32), -1, 0)
        part = cv2.remap(image, x, y, cv2.INTER_LINEAR)
        result[low[1] : high[1], low[0] : high[0]] = part
    return result


def _line(u: DoubleArray, points: DoubleArray) -> DoubleArray:
    """Return the height of a line of points at places along."""
    order = np.argsort(points[:, 0])
    line: DoubleArray = np.interp(u, points[order, 0], points[order, 1])
    return line
