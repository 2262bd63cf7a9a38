from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refrestore.scan.smoothing import smooth, smooth_track
from refrestore.types import Faces

RATE = Fraction(30)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.floats(-20, 20), st.floats(-0.5, 0.5))
def test_even_and_accelerated_motion_is_kept(count, speed, acceleration):
    time = np.arange(count)[:, None]
    path = 100 + speed * time + acceleration * time**2
    tolerance = 0.02 * 50 * 4 + 1e-6 if count < 12 else 1e-6
    np.testing.assert_allclose(smooth(path, RATE, scale=50), path, atol=tolerance)


def test_jitter_shrinks_and_nothing_lags():
    rng = np.random.default_rng(0)
    time = np.arange(200)
    truth = 200 + 30 * np.sin(2 * np.pi * time / 60)
    noisy = (truth + rng.normal(0, 1, 200))[:, None]
    steady = smooth(noisy, RATE, scale=50)[:, 0]
    assert np.std(steady - truth) < 0.7
    lag = np.argmax([np.dot(np.roll(truth, k) - 200, steady - 200) for k in range(-5, 6)]) - 5
    assert lag == 0
    np.testing.assert_allclose(smooth(noisy[::-1], RATE, scale=50)[::-1, 0], steady, atol=1e-6)


def test_outlier_is_removed():
    path = np.linspace(0, 30, 40)[:, None]
    broken = path.copy()
    broken[17] += 25
    np.testing.assert_allclose(smooth(broken, RATE, scale=40), path, atol=0.5)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_short_tracks(count):
    faces = Faces(
        frame=np.arange(count),
        box=np.tile(np.array([10, 10, 50, 60], np.float32), (count, 1)),
        keypoints=np.ones((count, 5, 2), np.float32),
        score=np.ones(count, np.float32),
    )
    steady = smooth_track(faces, RATE)
    np.testing.assert_allclose(steady.box, faces.box, atol=1e-4)
    np.testing.assert_allclose(steady.keypoints, faces.keypoints, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(5, 80), st.integers(0, 2**32 - 1), st.sampled_from((24, 30, 60)))
def test_it_is_scipys_filter(count, seed, rate):
    from scipy.signal import savgol_filter

    values = np.random.default_rng(seed).normal(300, 1, (count, 3))
    window = min(2 * round(rate * 0.3 / 2) + 1, count)
    window -= 1 - window % 2
    steady = smooth(values, Fraction(rate), scale=1e6)  # nothing is an outlier
    np.testing.assert_allclose(steady, savgol_filter(values, window, 2, axis=0), atol=1e-9)
