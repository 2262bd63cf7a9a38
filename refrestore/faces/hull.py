"""The region of a crop that is face: the hull of the dense landmarks, with a soft edge."""

from __future__ import annotations

import cv2
import numpy as np

from refrestore.types import FloatArray, ImageArray

FEATHER = 0.06
"""Default width of the soft edge over the crop's side: about a third of an eye's width in an
FFHQ crop, which lies inside the cheek and above the brows."""


def hull_polygon(landmarks: FloatArray, size: int) -> ImageArray:
    """Return hard masks (N, size, size) uint8, 255 inside the convex hull of the landmarks.

    The convex hull and not the mesh's list of oval points: in a profile that list crosses itself.
    """
    masks = np.zeros((len(landmarks), size, size), np.uint8)
    for mask, points in zip(masks, landmarks, strict=True):
        hull = cv2.convexHull(np.asarray(points, np.float32))
        cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 255)
    return masks


def hull_mask(landmarks: FloatArray, size: int, feather: float | None = None) -> FloatArray:
    """Return soft masks of the face: 1 well inside the mesh's hull, 0 on its edge and outside.

    Parameters
    ----------
    landmarks : (N, 468, 2)
        Dense landmarks in pixels of the crop.
    size
        Side of the crop in pixels.
    feather
        Width of the soft edge in pixels, all of it inside the hull, so that nothing outside the
        face is ever touched; default `FEATHER` of the size.

    Returns
    -------
    (N, size, size) float32
        0..1, smooth (no kink at either end of the edge).
    """
    width = FEATHER * size if feather is None else feather
    masks = np.empty((len(landmarks), size, size), np.float32)
    for mask, hard in zip(masks, hull_polygon(landmarks, size), strict=True):
        if width <= 0:
            mask[:] = hard > 0
            continue
        depth = cv2.distanceTransform(hard, cv2.DIST_L2, cv2.DIST_MASK_5)
        ramp = np.clip(depth / width, 0, 1)
        mask[:] = ramp * ramp * (3 - 2 * ramp)
    return masks
