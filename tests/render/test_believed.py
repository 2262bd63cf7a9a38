"""What a drawn face is restored from, and how much of the result the frames may correct."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from refrestore.render.believed import DRAWN, between, errors, for_references
from refrestore.restore.bank import PHOTO, ReferenceBank
from refrestore.restore.burst import ANALOGUE, CODED, OWN_ERROR, PHOTOS_ERROR, TERMS
from refrestore.restore.light import shrunk


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
    blur = np.zeros((6, TERMS), np.float32)
    blur[:, 5] = [CODED, CODED, CODED, ANALOGUE, CODED, ANALOGUE]
    faces, drawn = torch.zeros(6, 3, 8, 8), torch.ones(6, 3, 8, 8)
    given = for_references(faces, drawn, [album, film, both, film, None, album], blur)
    assert given.mean((1, 2, 3)).tolist() == pytest.approx([1, 0, 0.5, DRAWN, 1, 1])


@pytest.mark.parametrize("side", [256, 384, 512])
def test_half_of_references_is_all_of_their_texture(side: int) -> None:
    plain = torch.full((1, 3, side, side), 0.4)
    dark, fine = torch.full_like(plain, -0.1), torch.zeros_like(plain)
    fine[..., ::2, ::2], fine[..., 1::2, ::2] = 0.1, -0.1  # no cell of 2 x 2 is brighter or darker
    guided = plain + dark + fine
    half = between(plain, guided, np.array([0.5]))
    assert torch.allclose(half, plain + dark / 2 + fine, atol=1e-5)
    less = between(plain, guided, np.array([0.25]))
    assert torch.allclose(less, plain + dark / 4 + fine / 2, atol=1e-5)


def test_what_is_half_as_large_counts_in_coarse_bands_as_if_it_were_whole() -> None:
    smooth = torch.nn.functional.interpolate(torch.rand(2, 3, 8, 8), size=256, mode="bilinear")
    guided, weights = torch.rand(2, 3, 256, 256), np.array([0.5, 0.8])
    whole = between(smooth, guided, weights)
    half = between(shrunk(smooth, 2), guided, weights)
    assert torch.allclose(half, whole, atol=0.02)
    assert not torch.allclose(half, guided, atol=0.1)


def test_none_and_all_of_references_stay_what_they_are_beside_others() -> None:
    plain, guided = torch.rand(3, 3, 64, 64), torch.rand(3, 3, 64, 64)
    made = between(plain, guided, np.array([0, 0.5, 1]))
    assert torch.equal(made[0], plain[0])
    assert torch.equal(made[2], guided[2])
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    alone = between(plain[2:], guided[2:], np.ones(1))
    assert torch.equal(alone[0], made[2])
