"""Similarity alignment to the templates of the field, and the crops it gives.

Every matrix here is a plain (2, 3) affine matrix `[A | t]` in OpenCV's convention: pixel centres
at integer coordinates, `q = A p + t`. `compose` chains it with `Geometry.display_to_storage()`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from refrestore import sampling
from refrestore.sampling import Image
from refrestore.types import DoubleArray, FloatArray

CROP_SIZE = 512
"""Side of an FFHQ-aligned crop in pixels: what GFPGAN and its kin take."""

FFHQ_TEMPLATE: FloatArray = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ],
    np.float32,
)
"""Eyes, nose, mouth corners in a 512-px FFHQ crop (facexlib, face_restoration_helper.py)."""

ARCFACE_SIZE = 112
"""Side of the picture an ArcFace-style recogniser takes."""

ARCFACE_TEMPLATE: FloatArray = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
    np.float32,
)
"""Eyes, nose, mouth corners in a 112-px ArcFace crop (insightface, utils/face_align.py)."""


def similarity(keypoints: ArrayLike, template: ArrayLike) -> DoubleArray:
    """Fit the similarity (turn, scale, shift) that takes keypoints to a template.

    Least squares over proper similarities (Umeyama, PAMI 1991), which in the plane has a closed
    form: as complex numbers, the linear part is the regression of the template on the points.

    Parameters
    ----------
    keypoints : (N, K, 2)
        Points in any coordinates, normally five keypoints in display pixels.
    template : (K, 2)
        Where they belong.

    Returns
    -------
    (N, 2, 3) float64
        Matrices keypoints → template.

    Raises
    ------
    ValueError
        If a set of keypoints is not finite or is a single point.
    """
    source = np.asarray(keypoints, np.float64)
    target = np.asarray(template, np.float64)
    source_mean, target_mean = source.mean(1), target.mean(0)
    centred = source - source_mean[:, None]
    points = centred[..., 0] + 1j * centred[..., 1]
    goal = (target - target_mean) @ np.array([1, 1j])
    energy = (np.abs(points) ** 2).sum(1)
    if not (np.isfinite(energy) & (energy > 0)).all():
        raise ValueError("similarity needs finite keypoints that are not all one point")
    linear = (points.conj() * goal).sum(1) / energy
    matrix = np.empty((len(source), 2, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = linear.real
    matrix[:, 1, 0] = linear.imag
    matrix[:, 0, 1] = -linear.imag
    matrix[:, :, 2] = target_mean - np.einsum("nij,nj->ni", matrix[:, :, :2], source_mean)
    return matrix


def resized(matrices: DoubleArray, factor: float) -> DoubleArray:
    """Return the matrices (N, 2, 3) of crops whose side is `factor` times as long.

    The same rule as facexlib's (template x factor): the crop's point (0, 0) stays where it is.
    """
    return np.asarray(matrices, np.float64) * factor


def compose(outer: DoubleArray, inner: DoubleArray) -> DoubleArray:
    """Return the affine matrix (..., 2, 3) that applies `inner` first, then `outer`."""
    linear = outer[..., :2] @ inner[..., :2]
    shift = outer[..., :2] @ inner[..., 2:] + outer[..., 2:]
    return np.concatenate([linear, shift], -1)


invert = sampling.invert


def transform(matrices: DoubleArray, points: ArrayLike) -> DoubleArray:
    """Apply affine matrices (N, 2, 3) to N sets of points (N, K, 2)."""
    points = np.asarray(points, np.float64)
    moved: DoubleArray = points @ matrices[..., :2].swapaxes(-1, -2) + matrices[:, None, :, 2]
    return moved


def scale_of(matrices: DoubleArray) -> DoubleArray:
    """Return the linear magnification (N,) of affine matrices (N, 2, 3)."""
    scale: DoubleArray = np.sqrt(np.abs(np.linalg.det(matrices[..., :2])))
    return scale


def crops(image: Image, matrices: DoubleArray, size: int = CROP_SIZE) -> Image:
    """Return (N, size, size, ...) aligned squares of a picture: see `sampling.crops`."""
    return sampling.crops(image, matrices, size)
