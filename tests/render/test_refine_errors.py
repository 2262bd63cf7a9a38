"""How much of a restored face the frames may correct: by what it was restored from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from refrestore.render.refine import errors
from refrestore.restore.bank import PHOTO, ReferenceBank
from refrestore.restore.burst import OWN_ERROR, PHOTOS_ERROR


def made(*used: list[int]) -> Any:
    return SimpleNamespace(used=list(used))


def bank(*frames: int) -> Any:
    one = SimpleNamespace(frames=np.array(frames))
    one.photos_among = lambda rows: ReferenceBank.photos_among(one, rows)
    return one


def test_photos_are_corrected_and_close_ups_of_the_film_believed() -> None:
    album, film, both = bank(PHOTO, PHOTO), bank(3, 9), bank(PHOTO, 9)
    done = made([0, 1], [1], [0, 1], [], [])
    found = errors(done, [album, film, both, None, album])
    assert found.tolist() == pytest.approx(
        [PHOTOS_ERROR, 0, PHOTOS_ERROR / 2, OWN_ERROR, OWN_ERROR]
    )


def test_what_references_weigh_counts() -> None:
    found = errors(made([0], [0]), [bank(PHOTO)] * 2, np.array([0.0, 0.5], np.float32))
    assert found.tolist() == pytest.approx([OWN_ERROR, (OWN_ERROR + PHOTOS_ERROR) / 2])
