"""The region of a crop that is face: the hull of the dense landmarks."""

from __future__ import annotations

import cv2
import numpy as np

from refrestore.types import FloatArray, ImageArray


def hull_polygon(landmarks: FloatArray, size: int) -> ImageArray:
    """Return hard masks (N, size, size) uint8, 255 inside the convex hull of the landmarks.

    The convex hull and not the mesh's list of oval points: in a profile that list crosses itself.
    """
    masks = np.zeros((len(landmarks), size, size), np.uint8)
    for mask, points in zip(masks, landmarks, strict=True):
        hull = cv2.convexHull(np.asarray(points, np.float32))
        cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 255)
    return masks
