"""How many frames lie between two faces that are restored."""

from __future__ import annotations

from fractions import Fraction

import pytest

from refrestore.render.carrying import frames_apart


@pytest.mark.parametrize(
    ("rate", "apart"),
    [("5", 1), ("12", 1), ("15", 2), ("18", 2), ("24000/1001", 3), ("25", 3), ("30", 4), ("60", 4)],
)
def test_the_faster_the_film_the_more_are_carried_over(rate: str, apart: int) -> None:
    assert frames_apart(Fraction(rate)) == apart
