"""What a drawn face is restored from, and how much of the result the frames may correct."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from refrestore.render.believed import errors, for_references
from refrestore.restore.bank import PHOTO, ReferenceBank
from refrestore.restore.burst import ANALOGUE, CODED, OWN_ERROR, PHOTOS_ERROR, TERMS


def made(*used: list[int]) -> Any:
    return SimpleNamespace(used=list(used))


def bank(*frames: int) -> Any:
    class Bank(SimpleNamespace):
        def __len__(self) -> int:
            return len(frames)

    one: Any = Bank(frames=np.array(frames))
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


def test_the_films_own_close_ups_get_the_frame_where_a_codec_took_its_noise() -> None:
    album, film, both = bank(PHOTO, PHOTO), bank(3, 9), bank(PHOTO, 9)
    blur = np.zeros((5, TERMS), np.float32)
    blur[:, 5] = [CODED, CODED, CODED, ANALOGUE, CODED]
    faces, drawn = torch.zeros(5, 3, 8, 8), torch.ones(5, 3, 8, 8)
    given = for_references(faces, drawn, [album, film, both, film, None], blur)
    assert given.mean((1, 2, 3)).tolist() == pytest.approx([1, 0, 0.5, 1, 1])
