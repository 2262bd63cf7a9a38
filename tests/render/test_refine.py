"""What a track says of eyes that single frames read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from refrestore.render.refine import steady_lids

BLINK = [0, 0, 0.4, 1, 1, 1, 0.6, 0.3, 0, 0]
UNSURE = [0, 0.3, 0.4, 0.4, 0.45, 0.3, 0.2, 0, 0.1, 0.1]


def tracks(*columns: list[float]) -> tuple[Any, np.ndarray]:
    shut = np.array([value for column in columns for value in column], np.float32)
    rows = np.arange(len(shut)).reshape(len(columns), -1)
    return SimpleNamespace(by_track=lambda: enumerate(rows)), shut


def test_a_blink_has_all_of_its_way() -> None:
    steady = steady_lids(*tracks(BLINK))
    assert steady == pytest.approx(np.float32(BLINK))


def test_a_single_frame_says_nothing() -> None:
    assert not steady_lids(*tracks([0, 0, 0, 1, 0, 0, 0, 0, 0, 0])).any()


def test_eyes_that_are_nowhere_more_shut_than_open_are_open() -> None:
    steady = steady_lids(*tracks(BLINK, UNSURE))
    assert steady[: len(BLINK)] == pytest.approx(np.float32(BLINK))
    assert not steady[len(BLINK) :].any()


def test_a_blink_says_nothing_of_eyes_long_after_it() -> None:
    steady = steady_lids(*tracks([*BLINK, *[0.0] * 8, 0.4, 0.4, 0.4, 0.4]))
    assert steady.max() == 1
    assert not steady[-4:].any()
