"""NIQE: how natural a picture looks, without knowing the true one.

Mittal, Soundararajan and Bovik, "Making a Completely Blind Image Quality Analyzer", IEEE Signal
Processing Letters 2013. Locally normalised luma is cut into blocks; the parameters of asymmetric
generalised Gaussians fitted to it and to products of neighbours are its features, at two scales.
NIQE is the distance of their mean and covariance from those of undistorted photographs. Lower is
better.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import convolve, correlate1d
from scipy.special import gamma

from refrestore.errors import ModelError
from refrestore.plain_file import BROKEN_ZIP
from refrestore.types import DoubleArray, ImageArray

NIQE_FILE = "niqe_pris_params.npz"

BLOCK = 96
"""Side of a block in pixels at the first scale, as published."""

_SHAPES = np.arange(0.2, 10.001, 0.001)
_SHAPE_RATIO = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))
"""Shapes tried for a generalised Gaussian, and E|x|^2 / E[x^2] of each."""

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))

_LUMA = np.array([65.481, 128.553, 24.966]) / 255
_BLACK = 16.0
"""Luma in 16..235, which the parameters were fitted on (MATLAB's rgb2ycbcr)."""


@dataclass(frozen=True, eq=False)
class Niqe:
    """NIQE with the parameters of undistorted photographs.

    Parameters
    ----------
    mean, covariance : (36,), (36, 36)
        Of their features.
    window : (7, 7)
        Weights of the local mean and deviation.
    """

    mean: DoubleArray
    covariance: DoubleArray
    window: DoubleArray

    @classmethod
    def from_file(cls, path: Path) -> Niqe:
        """Read the published parameters.

        Raises
        ------
        ModelError
            If the file is not them.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                mean = np.asarray(stored["mu_pris_param"], np.float64).ravel()
                covariance = np.asarray(stored["cov_pris_param"], np.float64)
                window = np.asarray(stored["gaussian_window"], np.float64)
        except (OSError, KeyError, *BROKEN_ZIP) as error:
            raise ModelError(f"{path} does not hold NIQE's parameters.") from error
        return cls(mean, covariance, window)

    def __call__(self, image: ImageArray) -> float:
        """Return the NIQE of an RGB picture (H, W, 3); not a number where it is all flat.

        What does not fill a block at the right and at the bottom is left out.

        Raises
        ------
        ValueError
            If the picture is smaller than two blocks.
        """
        rows, columns = image.shape[0] // BLOCK, image.shape[1] // BLOCK
        if rows * columns < 2:
            raise ValueError(f"NIQE needs two blocks of {BLOCK} px, the picture is {image.shape}")
        picture = image[: rows * BLOCK, : columns * BLOCK].astype(np.float64)
        plane = np.rint(picture @ _LUMA + _BLACK)
        fine = _features(_blocks(self._normalised(plane), BLOCK))
        coarse = _features(_blocks(self._normalised(_halved(plane)), BLOCK // 2))
        features = np.concatenate([fine, coarse], axis=1)
        whole = features[~np.isnan(features).any(axis=1)]
        if len(whole) < 2:
            return float("nan")
        apart = self.mean - np.nanmean(features, axis=0)
        spread = np.linalg.pinv((self.covariance + np.cov(whole, rowvar=False)) / 2)
        return float(np.sqrt(apart @ spread @ apart))

    def _normalised(self, plane: DoubleArray) -> DoubleArray:
        mean = convolve(plane, self.window, mode="nearest")
        variance = convolve(np.square(plane), self.window, mode="nearest") - np.square(mean)
        result: DoubleArray = (plane - mean) / (np.sqrt(np.abs(variance)) + 1)
        return result


def _blocks(plane: DoubleArray, side: int) -> DoubleArray:
    """Cut (H, W) into (N, side, side), column by column as published."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    cut = plane.reshape(rows, side, columns, side).transpose(2, 0, 1, 3)
    return cut.reshape(rows * columns, side, side)


def _halved(plane: DoubleArray) -> DoubleArray:
    """Shrink by two as MATLAB's imresize does: cubic (a = -0.5) of twice the width."""
    distance = np.abs(np.arange(8) - 3.5) / 2
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance <= 1, near, far)
    weights /= weights.sum()
    for axis in (0, 1):
        # Output i lies between inputs 2i and 2i + 1: four taps on either side.
        filtered = correlate1d(plane, weights, axis=axis, mode="reflect", origin=-1)
        plane = filtered.take(np.arange(0, plane.shape[axis], 2), axis=axis)
    return plane


def _features(blocks: DoubleArray) -> DoubleArray:
    """Return 18 features of each block, (N, 18)."""
    shape, left, right = _asymmetric(blocks)
    columns = [shape, (left + right) / 2]
    for shift in _NEIGHBOURS:
        shape, left, right = _asymmetric(blocks * np.roll(blocks, shift, axis=(1, 2)))
        mean = (right - left) * gamma(2 / shape) / gamma(1 / shape)
        columns += [shape, mean, left, right]
    return np.stack(columns, axis=1)


def _asymmetric(blocks: DoubleArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Fit asymmetric generalised Gaussians (equation 7): shape, left and right scale, (N,) each."""
    values = blocks.reshape(len(blocks), -1)
    squares = np.square(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt((squares * (values < 0)).sum(1) / (values < 0).sum(1))
        right = np.sqrt((squares * (values > 0)).sum(1) / (values > 0).sum(1))
        ratio = left / right
        flatness = np.abs(values).mean(1) ** 2 / squares.mean(1)
        flatness *= (ratio**3 + 1) * (ratio + 1) / np.square(ratio**2 + 1)
    place = np.argmin(np.square(_SHAPE_RATIO - flatness[:, None]), axis=1)
    shape = _SHAPES[place]
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale
