"""How many frames lie between two faces that are restored."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from refrestore.render.carrying import Carrying, frames_apart

FRAMES = 13


@pytest.mark.parametrize(
    ("rate", "apart"),
    [("5", 1), ("12", 1), ("15", 2), ("18", 2), ("24000/1001", 3), ("25", 3), ("30", 4), ("60", 4)],
)
def test_the_faster_the_film_the_more_are_carried_over(rate: str, apart: int) -> None:
    assert frames_apart(Fraction(rate)) == apart


def restored(moved: dict[int, float]) -> list[int]:
    """Return the frames of a track of which a face is restored, every fourth where it is still."""
    way = np.cumsum([256 * moved.get(frame, 0.0) for frame in range(FRAMES)])
    work: Any = SimpleNamespace(
        by_track=lambda: [(0, np.arange(FRAMES))],
        strength=np.ones(FRAMES),
        faces=SimpleNamespace(frame=np.arange(FRAMES)),
        landmarks=np.zeros((FRAMES, 468, 2)) + way[:, None, None] / 2**0.5,
        side=np.full(FRAMES, 256),
    )
    over = Carrying(work, range(FRAMES), 4).sources
    return [frame for frame in range(FRAMES) if frame not in over]


def test_a_still_face_is_restored_every_so_many_frames() -> None:
    assert restored({}) == [0, 4, 8, 12]


def test_where_it_moves_fast_more_are() -> None:
    assert restored({6: 0.015, 7: 0.015}) == [0, 4, 6, 8, 12]
    assert restored({6: 0.03, 7: 0.03}) == [0, 4, 5, 6, 7, 8, 12]
