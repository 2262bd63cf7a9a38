"""Metrics of single pictures and embeddings, each defined where it is computed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.types import DoubleArray, FloatArray, ImageArray

PEAK = 255.0
"""Largest value of an 8-bit sample."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of R, G and B (ITU-R BT.601)."""

OCTAVES = 3
"""Octaves that count as detail."""

BLOTCHES = 16
"""Gaussian deviations that a face's crop is wide, as coarse as blotches are."""

SSIM_SIGMA = 1.5
"""Standard deviation of SSIM's Gaussian window in pixels (Wang et al. 2004)."""


def psnr(image: ImageArray, truth: ImageArray, mask: NDArray[np.floating] | None = None) -> float:
    """Return the peak signal-to-noise ratio in decibels, over RGB samples.

    Parameters
    ----------
    image, truth : (H, W, 3) uint8
    mask : (H, W) 0..1, optional
        Weight of each pixel; all of them without it.
    """
    error = (image.astype(np.float64) - truth.astype(np.float64)) ** 2
    weights = np.ones(error.shape[:2]) if mask is None else np.asarray(mask, np.float64)
    mean = float((error.mean(axis=-1) * weights).sum() / max(weights.sum(), 1e-9))
    return float("inf") if mean == 0 else 10 * float(np.log10(PEAK**2 / mean))


def cosine_similarity(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the cosine of the angle between rows of two (N, D) arrays, (N,)."""
    a = one / np.linalg.norm(one, axis=-1, keepdims=True)
    b = other / np.linalg.norm(other, axis=-1, keepdims=True)
    result: FloatArray = np.sum(a * b, axis=-1).astype(np.float32)
    return result


def identity_jitter(embeddings: FloatArray) -> float:
    """Return the mean cosine distance of neighbouring frames' embeddings (VIDD).

    The published code's docstring says cosine and its default is L2 (FIELD.md 2.3); this is the
    cosine form: mean over t of 1 - cos(e_t, e_{t+1}) for (T, D) embeddings.
    """
    if len(embeddings) < 2:
        return 0.0
    return float(np.mean(1 - cosine_similarity(embeddings[:-1], embeddings[1:])))


def identity_deviation(similarities: NDArray[np.floating]) -> float:
    """Return the standard deviation over a clip's frames of the similarity to the truth.

    KEEP (ECCV 2024) calls it sigma-IDS: a face that is right on the average and another person
    every other frame has a large one.
    """
    return float(np.std(np.asarray(similarities, np.float64)))


def luma(image: ImageArray) -> DoubleArray:
    """Return the BT.601 luma (H, W), 0..255, of an RGB picture (H, W, 3)."""
    result: DoubleArray = image.astype(np.float64) @ LUMA
    return result


def detail(image: ImageArray, truth: ImageArray, mask: NDArray[np.floating]) -> float:
    """Return how strong the three finest octaves of luma are over the truth's, 1 for as strong.

    An octave is a level of the Laplacian pyramid (Burt & Adelson 1983); strengths are root mean
    squares over the mask, and the three ratios' geometric mean is taken.

    Parameters
    ----------
    image, truth : (H, W, 3) uint8
    mask : (H, W) 0..1
        Weight of each pixel.
    """
    ratios = []
    shown: NDArray[Any] = luma(image)
    true: NDArray[Any] = luma(truth)
    weights: NDArray[Any] = np.asarray(mask, np.float64)
    for _ in range(OCTAVES):
        strengths, halves = [], []
        for one in (shown, true):
            half = cv2.pyrDown(one)
            band = one - cv2.pyrUp(half, dstsize=one.shape[::-1])
            strengths.append(float((band**2 * weights).sum()))
            halves.append(half)
        ratios.append(math.sqrt(max(strengths[0], 1e-9) / max(strengths[1], 1e-9)))
        (shown, true), weights = halves, cv2.pyrDown(weights)
    return float(np.exp(np.mean(np.log(ratios))))


def blotches(image: ImageArray, truth: ImageArray, mask: NDArray[np.floating]) -> float:
    """Return how wrong coarse colours of a face are in places, root mean square in grey levels.

    Colours are RGB less luma, compared after a Gaussian of a sixteenth of the side, on a quarter
    of the rows and columns; their mean over the face is taken off, as another tint is no blotch.

    Parameters
    ----------
    image, truth : (S, S, 3) uint8
    mask : (S, S) 0..1
        Weight of each pixel.
    """
    shown, true = (one - luma(one)[..., None] for one in (image, truth))
    whole = np.asarray(mask, np.float64)[..., None]
    weighted = np.concatenate([(shown - true) * whole, whole], 2)
    size = (mask.shape[1] // 4, mask.shape[0] // 4)
    small = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA)
    coarse: DoubleArray = np.asarray(cv2.GaussianBlur(small, (0, 0), len(small) / BLOTCHES))
    weights = np.asarray(small[..., 3:], np.float64)
    error = coarse[..., :3] / np.maximum(coarse[..., 3:], 1e-6)
    total = max(float(weights.sum()), 1e-9)
    error = error - (error * weights).sum((0, 1)) / total
    return math.sqrt(float((error**2 * weights).sum()) / total / 3)


def ssim(image: ImageArray, truth: ImageArray, mask: NDArray[np.floating] | None = None) -> float:
    """Return the structural similarity of two pictures' luma, -1..1.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE
    TIP 2004: Gaussian window of 1.5 px, population covariances, constants 0.01 and 0.03; the map
    is averaged over the mask.

    Parameters
    ----------
    image, truth : (H, W, 3) uint8
    mask : (H, W) 0..1, optional
        Weight of each pixel; all of them without it.
    """
    from skimage import metrics

    compare: Callable[..., tuple[float, DoubleArray]] = metrics.structural_similarity
    _, values = compare(
        luma(truth),
        luma(image),
        data_range=PEAK,
        gaussian_weights=True,
        sigma=SSIM_SIGMA,
        use_sample_covariance=False,
        full=True,
    )
    weights = np.ones(values.shape) if mask is None else np.asarray(mask, np.float64)
    return float((values * weights).sum() / max(weights.sum(), 1e-9))


def landmark_error(
    found: NDArray[np.floating], truth: NDArray[np.floating], interocular: float
) -> float:
    """Return the mean distance of landmarks to the true ones, over the interocular distance.

    Parameters
    ----------
    found, truth : (K, 2)
        In pixels of one picture.
    interocular
        True distance of the eyes in the same pixels.
    """
    return float(np.linalg.norm(found - truth, axis=-1).mean() / interocular)
