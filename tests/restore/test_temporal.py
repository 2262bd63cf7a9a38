"""Steadiness filters: no lag, no bias, no pop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrestore.restore.temporal import fade, hysteresis, smooth


def test_even_motion_is_returned_exactly_even_at_the_ends() -> None:
    frames = np.arange(40)
    values = np.stack([3.0 * frames + 7, -0.5 * frames], axis=1)
    np.testing.assert_allclose(smooth(values, frames, sigma=2.0), values, atol=1e-9)


def test_noise_shrinks_and_stays_in_phase() -> None:
    frames = np.arange(200)
    truth = np.sin(frames / 20)
    noisy = truth + np.random.default_rng(0).normal(0, 0.1, 200)
    smoothed = smooth(noisy, frames, sigma=2.0)
    assert np.std(smoothed - truth) < 0.5 * np.std(noisy - truth)
    lags = [np.corrcoef(np.roll(smoothed, lag)[5:-5], truth[5:-5])[0, 1] for lag in (-2, 0, 2)]
    assert lags[1] == max(lags)


def test_smoothing_does_not_reach_across_a_gap() -> None:
    frames = np.concatenate([np.arange(10), np.arange(100, 110)])
    values = np.concatenate([np.zeros(10), np.ones(10)])
    np.testing.assert_allclose(smooth(values, frames, sigma=2.0), values, atol=1e-9)


def test_rows_without_trust_are_filled_from_their_neighbours() -> None:
    frames = np.arange(11)
    values = frames.astype(float)
    values[5] = 1000
    weights = np.ones(11)
    weights[5] = 0
    assert smooth(values, frames, sigma=1.5, weights=weights)[5] == pytest.approx(5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_hysteresis_reads_the_same_backwards(values: list[float]) -> None:
    signal = np.array(values)
    forwards = hysteresis(signal, enter=0.7, leave=0.3)
    backwards = hysteresis(signal[::-1], enter=0.7, leave=0.3)[::-1]
    np.testing.assert_array_equal(forwards, backwards)
    assert np.all(forwards[signal >= 0.7])
    assert not np.any(forwards[signal < 0.3])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_fades_never_exceed_the_gate_nor_the_slope(values: list[float]) -> None:
    signal = np.array(values, dtype=np.float32)
    faded = fade(signal, np.arange(len(signal)), per_frame=0.1)
    assert np.all(faded <= signal + 1e-6)
    assert np.all(np.abs(np.diff(faded)) <= 0.1 + 1e-5)


def test_hysteresis_refuses_crossed_limits() -> None:
    with pytest.raises(ValueError, match="must not exceed"):
        hysteresis(np.zeros(3), enter=0.2, leave=0.5)
