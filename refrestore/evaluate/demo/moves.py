"""A camera over flat pictures: eased moves, the sway of a hand, layers at different depths."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.types import ImageArray

SWAY_RATES = (0.31, 0.53, 0.87)
"""Frequencies of a hand's sway, Hz; their ratios are not whole, so that it does not repeat."""


@dataclass(frozen=True, slots=True)
class CameraView:
    """What the camera sees: centre (of the picture's width and height) and zoom.

    Zoom 1 shows the picture pixel for pixel; below it shows more of it.
    """

    x: float
    y: float
    zoom: float

    def towards(self, other: CameraView, share: float) -> CameraView:
        """Return the view between this (0) and the other (1)."""
        return CameraView(
            (1 - share) * self.x + share * other.x,
            (1 - share) * self.y + share * other.y,
            self.zoom ** (1 - share) * other.zoom**share,
        )

    def moved(self, offset: tuple[float, float], picture: tuple[int, int]) -> CameraView:
        """Return the view moved by pixels of the shot over a picture of (width, height)."""
        return CameraView(
            self.x + offset[0] / self.zoom / picture[0],
            self.y + offset[1] / self.zoom / picture[1],
            self.zoom,
        )


def ease(t: float) -> float:
    """Return smoothstep of t in [0, 1]: starts and ends at rest."""
    return t * t * (3 - 2 * t)


def sway(seconds: float, phases: NDArray[np.float64], pixels: float) -> tuple[float, float]:
    """Return the offset of a hand-held camera at a time.

    Parameters
    ----------
    phases : (2, 3) float64
        Radians, a row for each axis.
    pixels
        Largest offset.
    """
    angles = 2 * np.pi * np.array(SWAY_RATES) * seconds + phases
    weights = np.array([0.5, 0.3, 0.2]) * pixels
    across, down = np.sin(angles) @ weights
    return float(across), float(down)


def prepared(picture: ImageArray, zoom: float) -> ImageArray:
    """Return the picture blurred so that a view at this zoom has no aliasing."""
    if zoom >= 1:
        return picture
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.45 / zoom), np.uint8)


def shown(picture: ImageArray, view: CameraView, size: tuple[int, int]) -> ImageArray:
    """Return the view of a picture as (width, height) pixels; it never leaves the picture.

    A view that would show what lies beyond the border is moved inside and, where the picture is
    too small for that, zoomed in. Any number of channels.
    """
    height, width = picture.shape[:2]
    zoom = max(view.zoom, size[0] / width, size[1] / height)
    matrix = np.array([[zoom, 0.0, 0.0], [0.0, zoom, 0.0]])
    for axis, (centre, whole) in enumerate(((view.x, width), (view.y, height))):
        half = size[axis] / 2 / zoom
        matrix[axis, 2] = size[axis] / 2 - zoom * min(max(centre * whole, half), whole - half)
        # OpenCV counts from the middle of the first pixel, this file from its corner
        matrix[axis, 2] += 0.5 * (zoom - 1)
    seen = cv2.warpAffine(
        picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(seen, np.uint8)


def over(
    below: NDArray[np.float32], colour: NDArray[np.float32], alpha: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return a premultiplied layer (H, W, 3) with alpha (H, W, 1) in 0..1 over a picture."""
    return colour + (1 - alpha) * below
