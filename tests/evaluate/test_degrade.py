"""Degradations do what they say, and the same draw gives the same picture."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from skimage.data import astronaut

from refrestore.evaluate.degrade import MODERATE, SEVERE, Degradation, degrade, through_codec
from refrestore.evaluate.metrics import cosine_similarity, identity_jitter, psnr


def test_moderate_is_milder_than_severe_and_both_repeat() -> None:
    image = astronaut()
    figures = []
    for ranges in (MODERATE, SEVERE):
        chain = ranges.draw(np.random.default_rng(1))
        first = degrade(image, chain, np.random.default_rng(2))
        again = degrade(image, chain, np.random.default_rng(2))
        assert first.shape == image.shape
        np.testing.assert_array_equal(first, again)
        figures.append(psnr(first, image))
    assert figures[0] > figures[1]


def test_nothing_degrades_nothing() -> None:
    image = astronaut()
    np.testing.assert_array_equal(degrade(image, Degradation(), np.random.default_rng(0)), image)


def test_enlarging_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Degradation(shrink=0.5)


def test_the_codec_gives_back_every_picture_at_its_odd_size() -> None:
    image = astronaut()[:101, :75]
    moving = [np.roll(image, shift, axis=1) for shift in range(6)]
    coded = list(through_codec(moving, rate=Fraction(25), crf=30))
    assert [one.shape for one in coded] == [(101, 75, 3)] * 6
    assert all(20 < psnr(a, b) < 45 for a, b in zip(coded, moving, strict=True))


def test_psnr_agrees_with_an_independent_implementation() -> None:
    from skimage.metrics import peak_signal_noise_ratio

    image = astronaut()
    other = degrade(image, Degradation(blur=2, noise=5), np.random.default_rng(0))
    assert psnr(other, image) == pytest.approx(peak_signal_noise_ratio(image, other), abs=1e-6)
    assert psnr(image, image) == float("inf")


def test_jitter_is_zero_for_a_still_face_and_grows_with_change() -> None:
    random = np.random.default_rng(0)
    still = np.repeat(random.normal(size=(1, 64)).astype(np.float32), 5, axis=0)
    assert identity_jitter(still) == pytest.approx(0, abs=1e-6)
    assert identity_jitter(still + 0.3 * random.normal(size=still.shape).astype(np.float32)) > 0.01
    assert cosine_similarity(still, -still) == pytest.approx(-1)
