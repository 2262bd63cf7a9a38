"""Metrics, each defined where it is computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refrestore.types import FloatArray, ImageArray

PEAK = 255.0
"""Largest value of an 8-bit sample."""


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
