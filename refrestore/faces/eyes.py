"""Whether eyes are open, read from the picture: the mesh draws open lids over shut eyes too.

On a blink the landmark network's eye aspect ratio stays at 0.25 to 0.30, as on an open eye (two
clips, 132 faces, 14 of them mid-blink: no threshold tells them apart). The picture does: an open
eye has an iris between whites, so its brightness changes along the eye; a shut one has only a lash
line, which runs along it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.faces.align import crops
from refrestore.types import DoubleArray, FloatArray, ImageArray, Reference

EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398),
)
"""The lids' rings in MediaPipe's topology; the corner at the picture's left first, the other
ninth."""

SHUT = 0.58
"""Openness over the person's own open eyes below which they are shut or nearly so. On those clips
shut eyes have 0.50 at most, and 95 % of the open ones 0.67 or more, at faces of 60 px too."""

LIDS_DETAIL = 0.25
"""Share of the best close-up's detail (size x sharpness) that one with shut eyes must have: most of
what is sharp in a face are open eyes, so it has less than others must have."""

OPEN_SHARE = 90
"""Percentile of a person's faces that tells how open their eyes are when they are open: high, as
many look down or blink for half of a shot."""

_PATCH, _WIDTH = 96, 64.0
"""Side of the picture of an eye, and the distance of its corners there, pixels."""

_BAND = slice(40, 56)
_SPAN = slice(24, 72)
_ENDS = 6
"""Rows and columns that an iris fills, and how many columns at each end tell the light's slope."""


def eye_openness(image: ImageArray, landmarks: FloatArray) -> FloatArray:
    """Return how plainly the eyes of each face show an iris, (N,).

    The range of brightness along the eye, averaged over the height of an iris, the slope of the
    light taken off, over the brightest part: of two eyes the one that is turned to the camera
    counts more. Compare only within one person (see `SHUT`): it depends on the eye's colours.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB picture with square pixels, or an aligned crop.
    landmarks : (N, 468, 2)
        In pixels of the picture.

    Returns
    -------
    (N,) float32
        About 0.4 to 0.6 for open eyes, 0.1 to 0.25 for shut ones.
    """
    openness = np.zeros(len(landmarks), np.float32)
    for face, mesh in enumerate(np.asarray(landmarks, np.float64)):
        rings = [mesh[list(ring)] for ring in EYES]
        widths = np.array([max(np.linalg.norm(ring[8] - ring[0]), 1e-3) for ring in rings])
        values = [_range_along(image, ring) for ring in rings]
        openness[face] = np.average(values, weights=widths**2)
    return openness


def open_level(values: Sequence[float]) -> float:
    """Return how open a person's eyes are when open, NaN where nothing is known."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.percentile(known, OPEN_SHARE)) if known else float("nan")


def shut_eyes(references: Sequence[Reference]) -> NDArray[np.bool_]:
    """Say which close-ups of one person have shut eyes, (N,), against the others of the film.

    Of photos, each in its own light, that is not known, and not said: a quarter of them would.
    """
    openness = [
        float("nan")
        if one.frame is None
        else float(eye_openness(one.image, one.landmarks[None])[0])
        for one in references
    ]
    shut: NDArray[np.bool_] = np.array(openness) < SHUT * open_level(openness)
    return shut


def _range_along(image: ImageArray, ring: DoubleArray) -> float:
    across = ring[8] - ring[0]
    scale = _WIDTH / max(float(np.linalg.norm(across)), 1e-3)
    turn = np.arctan2(across[1], across[0])
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    matrix = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0]])
    matrix[:, 2] = (_PATCH - 1) / 2 - matrix[:, :2] @ ring.mean(0)
    patch = crops(image, matrix[None], _PATCH)[0]
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32)
    profile = grey[_BAND, _SPAN].mean(0)
    slope = np.linspace(profile[:_ENDS].mean(), profile[-_ENDS:].mean(), len(profile))
    smooth = cv2.GaussianBlur((profile - slope).astype(np.float32)[None], (0, 0), 1.5)
    bright = max(float(np.percentile(grey[_BAND, _SPAN], 90)), 1.0)
    return float(np.ptp(smooth)) / bright
