"""The table at the centre: what may be stacked."""

from __future__ import annotations

import numpy as np
import pytest

from refrestore.types import Faces


def faces(count: int, **columns: np.ndarray) -> Faces:
    return Faces(
        frame=np.arange(count),
        box=np.tile(np.array([0, 0, 9, 9], np.float32), (count, 1)),
        keypoints=np.zeros((count, 5, 2), np.float32),
        score=np.ones(count, np.float32),
        **columns,
    )


def test_a_column_of_one_side_is_never_lost_unsaid() -> None:
    plain, judged = faces(2), faces(3, quality=np.full(3, 0.5, np.float32))
    with pytest.raises(ValueError, match=r"1 of 2 tables have the column quality"):
        Faces.concatenate([plain, judged])
    common = Faces.concatenate([plain, judged], common=True)
    assert (len(common), common.quality) == (5, None)


def test_tables_of_the_same_columns_are_stacked_and_empty_ones_say_nothing() -> None:
    judged = faces(2, quality=np.full(2, 0.5, np.float32))
    both = Faces.concatenate([Faces.empty(), judged, faces(0), judged])
    assert both.quality is not None
    assert both.quality.tolist() == [0.5] * 4
    assert len(Faces.concatenate([])) == 0
