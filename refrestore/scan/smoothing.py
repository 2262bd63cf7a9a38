"""Steady coordinates along a track: outliers out, then a zero-phase filter."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.ndimage import convolve1d, median_filter

from refrestore.types import DoubleArray, Faces, FloatArray

_WINDOW_SECONDS = 0.3
"""Span of the filter: long enough for the mesh's jitter, which is white, and short enough for a
nod (about 3 Hz), which a parabola over this span follows."""

_ORDER = 2
_MEDIAN = 5
_OUTLIER = 4.0
"""Robust standard deviations from the local median beyond which a coordinate is replaced."""

_LEAST_DEVIATION = 0.01
"""Floor of that standard deviation over the face's size; smaller steps are never outliers."""

_MAD_TO_SIGMA = 1.4826


def smooth_track(faces: Faces, rate: Fraction) -> Faces:
    """Return a track's faces with steady boxes and keypoints.

    Parameters
    ----------
    faces
        One row a frame of one shot, ascending, without gaps.
    rate
        Frames per second.
    """
    if len(faces) < 3:
        return faces
    values = np.hstack([faces.box, faces.keypoints.reshape(len(faces), -1)]).astype(np.float64)
    steady = smooth(values, rate, scale=float(np.median(faces.size)))
    return faces.with_columns(box=steady[:, :4], keypoints=steady[:, 4:].reshape(-1, 5, 2))


def smooth(values: DoubleArray, rate: Fraction, *, scale: float) -> DoubleArray:
    """Return columns of `values` (T, K) without outliers, Savitzky-Golay filtered.

    Symmetric in time, so nothing lags; at the ends the fitted parabola is evaluated off-centre.
    `scale` is the size of a face in the unit of the values.
    """
    window = min(2 * round(float(rate) * _WINDOW_SECONDS / 2) + 1, len(values))
    window -= 1 - window % 2
    clean = _without_outliers(values, scale)
    if window <= _ORDER + 1:
        return clean
    return _savitzky_golay(clean, window)


def _savitzky_golay(values: DoubleArray, window: int) -> DoubleArray:
    """Return what `scipy.signal.savgol_filter` does, which takes a second to import.

    Each value becomes that of the parabola through the window around it; of the first and the last
    window all values do.
    """
    half = window // 2
    powers = np.vander(np.arange(window) - half, _ORDER + 1, increasing=True)
    fitted = powers @ np.linalg.pinv(powers)  # a window's values to its parabola's
    steady: DoubleArray = convolve1d(values, fitted[half][::-1], axis=0, mode="nearest")
    steady[:half] = fitted[:half] @ values[:window]
    steady[-half:] = fitted[-half:] @ values[-window:]
    return steady


def _without_outliers(values: DoubleArray, scale: float) -> DoubleArray:
    """Hampel filter: what strays too far from the median of its neighbours becomes it."""
    if len(values) < _MEDIAN:
        return values
    middle = median_filter(values, size=(_MEDIAN, 1), mode="nearest")
    stray = np.abs(values - middle)
    spread = _MAD_TO_SIGMA * np.median(stray, axis=0)
    limit = _OUTLIER * np.maximum(spread, _LEAST_DEVIATION * scale)
    clean: DoubleArray = np.where(stray > limit, middle, values)
    return clean


def interpolate(first: FloatArray, last: FloatArray, share: float) -> FloatArray:
    """Return the point (or points) at `share` of the way from `first` to `last`."""
    between: FloatArray = np.asarray(first + (last - first) * np.float32(share), np.float32)
    return between
