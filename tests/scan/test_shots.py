from fractions import Fraction

import numpy as np
import pytest

from refrestore.scan import shots
from refrestore.scan.shots import DELAY, Changes, CutDetector


def scene(seed, count, drift=1):
    """A textured picture that pans a little."""
    rng = np.random.default_rng(seed)
    base = np.kron(rng.integers(0, 256, (12, 30, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    return [np.roll(base, drift * step, 1)[:, :200] for step in range(count)]


def cuts_of(frames, rate=25):
    changes, detector = Changes(), CutDetector(Fraction(rate))
    flags = [detector.push(changes.push(frame)) for frame in frames]
    flags += [detector.push(changes.flush()) for _ in range(DELAY)]
    return [index for index, begins in enumerate(flags[DELAY:]) if begins]


def test_hard_cuts_are_found_where_they_are():
    assert cuts_of(scene(1, 20) + scene(2, 9) + scene(3, 30)) == [20, 29]


def test_a_pan_is_no_cut():
    assert cuts_of(scene(4, 60, drift=3)) == []


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut(length):
    frames = scene(5, 40)
    for index in range(15, 15 + length):
        frames[index] = np.full_like(frames[index], 255)
    assert cuts_of(frames) == []


def test_cut_near_the_end_is_found():
    assert cuts_of(scene(6, 20) + scene(7, 2)) == [20]


def test_endless_shot_is_divided(monkeypatch):
    monkeypatch.setattr(shots, "LONGEST_SECONDS", 1)
    assert cuts_of(scene(8, 60)) == [25, 50]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_very_short_videos(count):
    assert cuts_of(scene(9, count)) == []


@pytest.mark.parametrize("noise", [0, 3])
def test_a_cut_between_two_people_before_one_wall_is_found(noise):
    """A sixth of the picture changes, and the noise of a tape changes the wall's hue."""
    rng = np.random.default_rng(10)
    frames = np.full((40, 120, 200, 3), (150.0, 170.0, 160.0))
    for first, seed in ((0, 11), (20, 12)):
        person = np.kron(
            np.random.default_rng(seed).integers(0, 256, (5, 5, 3)), np.ones((13, 13, 1))
        )
        frames[first : first + 20, 40:105, 80:145] = person
    noisy = (frames + rng.normal(0, noise, frames.shape)).clip(0, 255).astype(np.uint8)
    assert cuts_of(list(noisy)) == [20]
    assert cuts_of(list(noisy[:20])) == []
