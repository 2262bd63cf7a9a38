"""Whose close-ups show much more of a face than it does, in the same film."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from refrestore.render.guarding import shown_larger
from refrestore.restore.bank import PHOTO
from tests.restore.test_lids import banked


def test_close_ups_of_the_film_are_believed_beside_far_faces() -> None:
    own = replace(banked(3), frames=np.array([1, 2, 3]))  # faces of 400 px
    photos = replace(own, frames=np.full(3, PHOTO))
    mixed = replace(own, frames=np.array([1, PHOTO, 3]))
    work = SimpleNamespace(faces=SimpleNamespace(size=np.array([100, 300, 100, 100, 100.0])))
    assert shown_larger(work, [own, own, photos, mixed, None]).tolist() == [True, *[False] * 4]
