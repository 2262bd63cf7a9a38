"""Steadiness in time: zero-phase smoothing, hysteresis and fades along a track.

The video is read ahead, so no filter here lags: each is symmetric in time (the crop's jitter is
the paste's flicker; FIELD.md 2.4, FIR2FVR arXiv 2410.11828). All functions are pure and take a
track's rows in ascending order of frames; gaps are respected by the frame indices.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refrestore.types import DoubleArray, FloatArray, IntArray

KERNEL_RADIUS_IN_SIGMAS = 3.0
"""A Gaussian beyond three standard deviations carries 0.3 % of its weight."""


def smoothing_radius(sigma: float) -> int:
    """Return how many frames either side `smooth` looks at for a sigma in frames."""
    return int(np.ceil(KERNEL_RADIUS_IN_SIGMAS * sigma))


def smooth(
    values: NDArray[np.floating],
    frames: IntArray,
    *,
    sigma: float,
    weights: NDArray[np.floating] | None = None,
) -> DoubleArray:
    """Return values averaged with a Gaussian in time, zero-phase and aware of gaps.

    Parameters
    ----------
    values : (T, ...)
        One row a frame.
    frames : (T,)
        Frame indices, strictly ascending.
    sigma
        Standard deviation in frames; 0 returns the values.
    weights : (T,), optional
        Trust in each row, >= 0; rows of weight 0 are filled from their neighbours where there
        are any, and kept where there are none.

    Notes
    -----
    The kernel is normalised by the weights inside it, which at the ends of a track bends the
    result towards its interior. A locally linear fit takes that bias away, so that a face that
    moves evenly is returned exactly.
    """
    signal: DoubleArray = np.array(values, dtype=np.float64)
    if sigma <= 0 or len(signal) < 2:
        return signal
    trust: DoubleArray = np.ones(len(signal))
    if weights is not None:
        trust = np.asarray(weights, dtype=np.float64)
    flat: DoubleArray = signal.reshape(len(signal), -1)
    result = flat.copy()
    radius = smoothing_radius(sigma)
    starts = np.searchsorted(frames, frames - radius)
    stops = np.searchsorted(frames, frames + radius, side="right")
    for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        offset = (frames[start:stop] - frames[row]).astype(np.float64)
        kernel = np.exp(-0.5 * (offset / sigma) ** 2) * trust[start:stop]
        result[row] = _local_linear(flat[start:stop], offset, kernel, fallback=flat[row])
    return result.reshape(signal.shape)


def _local_linear(
    values: DoubleArray, offset: DoubleArray, kernel: DoubleArray, *, fallback: DoubleArray
) -> DoubleArray:
    """Return the value at offset 0 of the weighted straight-line fit (Cleveland 1979)."""
    total = kernel.sum()
    if total <= 0:
        return fallback
    mean_offset = (kernel @ offset) / total
    spread = (kernel @ (offset - mean_offset) ** 2) / total
    mean: DoubleArray = (kernel @ values) / total
    if spread < 1e-9:
        return mean
    slope: DoubleArray = ((kernel * (offset - mean_offset)) @ values) / (total * spread)
    centred: DoubleArray = mean - slope * mean_offset
    return centred


def hysteresis(values: NDArray[np.floating], *, enter: float, leave: float) -> NDArray[np.bool_]:
    """Return where a signal counts as on: from rising past `enter` until falling past `leave`.

    Symmetric in time: a run is on if it touches `enter` anywhere, whichever way it is read, so
    that a head that turns away and back does not pop at another place than it came.
    """
    if leave > enter:
        raise ValueError(f"leave ({leave}) must not exceed enter ({enter})")
    candidate = np.asarray(values) >= leave
    on = np.zeros(len(candidate), dtype=bool)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], candidate.view(np.int8), [0]])))
    for start, stop in edges.reshape(-1, 2):
        on[start:stop] = bool(np.max(np.asarray(values)[start:stop]) >= enter)
    return on


def fade(values: NDArray[np.floating], frames: IntArray, *, per_frame: float) -> FloatArray:
    """Return the largest signal below `values` that changes by at most `per_frame` a frame.

    Strengths fade in and out instead of popping, and never exceed what the gates allow.
    """
    limited = np.asarray(values, dtype=np.float64).copy()
    for row in range(1, len(limited)):
        step = per_frame * float(frames[row] - frames[row - 1])
        limited[row] = min(limited[row], limited[row - 1] + step)
    for row in range(len(limited) - 2, -1, -1):
        step = per_frame * float(frames[row + 1] - frames[row])
        limited[row] = min(limited[row], limited[row + 1] + step)
    return limited.astype(np.float32)
