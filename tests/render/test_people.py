"""References that would only blur the others' mean are left out, never all of them."""

from __future__ import annotations

import numpy as np

from refrestore.render.people import telling
from refrestore.types import Reference


def reference(size: float, sharpness: float = 1.0) -> Reference:
    return Reference(
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((468, 2), np.float32),
        np.zeros(512, np.float32),
        np.zeros(3, np.float32),
        sharpness,
        1.0,
        size,
        f"{size:.0f} px",
    )


def test_small_ones_go_where_large_ones_are() -> None:
    large = [reference(300), reference(280), reference(200)]
    assert telling([reference(70), *large, reference(300, 0.2)]) == large


def test_all_stay_where_few_are_left() -> None:
    few = [reference(300), reference(70), reference(65)]
    assert telling(few) == few
    assert telling([]) == []
