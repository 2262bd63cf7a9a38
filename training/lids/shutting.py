"""Shut the eyes of a face in a picture: the skin of each upper lid is drawn down over the eye."""

from __future__ import annotations

import cv2
import numpy as np

from refrestore.faces.eyes import EYES

CREASE = 0.35
"""How far above the lid, in widths of the eye, skin begins to be stretched."""

BEYOND = 0.56
"""Half of what is changed of an eye's line, in its widths."""


def shutting(image: np.ndarray, mesh: np.ndarray, share: float) -> np.ndarray:
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
    for ring in (mesh[list(ring)].astype(np.float64) for ring in EYES):
        reach = np.linalg.norm(ring[8] - ring[0]) * (0.5 + CREASE)
        low = np.maximum(ring.mean(0) - reach, 0).astype(int)
        high = np.minimum(ring.mean(0) + reach + 1, image.shape[1::-1]).astype(int)
        columns, rows = (np.arange(*ends) for ends in zip(low, high, strict=True))
        places = np.stack(np.meshgrid(columns, rows), -1).astype(np.float32)
        along = ring[8] - ring[0]
        wide = float(np.linalg.norm(along))
        along = along / max(wide, 1e-3)
        down = np.array([-along[1], along[0]])
        middle = (ring[0] + ring[8]) / 2
        eye = (ring - middle) @ np.stack([along, down], 1)
        u, v = (places - middle) @ along, (places - middle) @ down
        upper, lower = (_line(u, eye[rows]) for rows in ([0, *range(15, 8, -1), 8], range(9)))
        lower = np.maximum(lower, upper)
        crease = upper - CREASE * wide
        lid = upper + share * (lower - upper)
        stretched = crease + (v - crease) * (upper - crease) / np.maximum(lid - crease, 1e-3)
        inside = (np.abs(u) < BEYOND * wide) & (v > crease) & (v <= lid)
        moved = places + (np.where(inside, stretched - v, 0)[..., None] * down).astype(np.float32)
        part = cv2.remap(image, moved[..., 0], moved[..., 1], cv2.INTER_LINEAR)
        result[low[1] : high[1], low[0] : high[0]] = part
    return result


def _line(u: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the height of a line of points, in order from the left, at places along."""
    order = np.argsort(points[:, 0])
    return np.interp(u, points[order, 0], points[order, 1])
