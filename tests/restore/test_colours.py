"""Blotches of chroma go where references know better; light, brightness and make-up stay."""

from __future__ import annotations

import pytest
import torch

from refrestore.restore.blocks import CELL
from refrestore.restore.colours import MOST, recoloured
from refrestore.restore.light import gaussian, light_gain, lit, luma_of, shrunk

SIDE, BLOCK = 128, 32
CELLS = SIDE // CELL


def spot(down: float, across: float, size: float) -> torch.Tensor:
    """Return a soft spot, (S, S), shares of the side."""
    rows, columns = (
        torch.tensor(gaussian(size * SIDE, SIDE)).roll(round((place - 0.5) * SIDE))[:SIDE]
        for place in (down, across)
    )
    made = rows[:, None] * columns[None]
    return made / made.max()


def skin() -> torch.Tensor:
    """Return a person, (3, S, S): a tint, red cheeks, a texture of brightness."""
    torch.manual_seed(1)
    red = torch.tensor([0.06, -0.03, -0.03])[:, None, None]
    cheeks = spot(0.6, 0.3, 0.06) + spot(0.6, 0.7, 0.06)
    texture = 0.04 * torch.randn(1, SIDE, SIDE)
    return torch.tensor([0.6, 0.45, 0.38])[:, None, None] + red * cheeks + texture


HULL = (spot(0.5, 0.5, 0.25) > 0.2).float()[None, None]
HULL = shrunk(HULL, CELL)
BLOTCH = torch.tensor([0.04, -0.03, 0.03])[:, None, None]


def change(face: torch.Tensor, *persons: torch.Tensor) -> torch.Tensor:
    """Return what is added to a face beside references, each in its light as `aligned` gives it."""
    references = torch.stack(persons)[None]
    gain = light_gain(references, face[None], block=BLOCK)
    matched = references * lit(gain, SIDE, SIDE)
    attention = torch.full((1, len(persons), CELLS, CELLS), 1 / len(persons))
    return recoloured(face[None], matched, gain, attention, HULL)[0]


def inside(picture: torch.Tensor) -> torch.Tensor:
    low = shrunk(picture[None], CELL)
    return low * (HULL > 0.99)


def error(picture: torch.Tensor) -> float:
    return float(inside(picture).square().sum().sqrt())


def blotched(face: torch.Tensor) -> torch.Tensor:
    where = spot(0.4, 0.6, 0.07)
    colour = BLOTCH - luma_of(BLOTCH[None])[0]
    return face + where * colour


def test_a_blotch_goes_and_brightness_stays() -> None:
    truth, face = skin(), blotched(skin())
    added = change(face, skin(), skin())
    assert error(face + added - truth) < 0.5 * error(face - truth)
    assert float(luma_of(added[None]).abs().max()) < 1e-3
    outside = shrunk(added[None], CELL) * (HULL == 0)
    assert float(outside.abs().max()) < 0.02


@pytest.mark.parametrize("tint", [(1.15, 1.0, 0.85), (0.8, 1.0, 1.1)])
def test_the_frames_light_stays(tint: tuple[float, ...]) -> None:
    """A tint of the whole picture is no blotch, nor is one that comes from a side."""
    across = torch.linspace(-1, 1, SIDE)[None, None]
    every = torch.tensor(tint)[:, None, None]
    for light in (every, every**across):
        face = skin() * light
        added = change(face, skin(), skin())
        assert error(added) < 0.15 * error(face - skin())


def test_a_light_of_another_colour_is_no_blotch() -> None:
    where, colour = spot(0.4, 0.6, 0.07), BLOTCH - luma_of(BLOTCH[None])[0]
    strong = colour * (4 * MOST / float(colour.norm()))
    weak, much = (change(skin() + where * one, skin()) for one in (colour, strong))
    assert error(weak) > 0.5 * error(where * colour)
    assert error(much) < 0.4 * error(where * strong)  # its rim is weak


def test_where_references_disagree_the_frame_is_believed() -> None:
    made_up = skin() + 0.1 * spot(0.35, 0.5, 0.1) * torch.tensor([0.5, -0.8, 0.9])[:, None, None]
    face = blotched(skin())
    agreed, apart = change(face, skin(), skin()), change(face, skin(), made_up)
    truth = skin() - face
    assert error(agreed - truth) < error(apart - truth)
    eyes = spot(0.35, 0.5, 0.05)
    wrong = change(skin(), made_up)
    doubted = change(skin(), skin(), made_up)
    assert error(eyes * doubted) < 0.4 * error(eyes * wrong)


def test_faces_of_a_batch_do_not_touch() -> None:
    faces = torch.stack([blotched(skin()), skin().flip(0)])
    references = torch.stack([skin(), skin() + 0.02])[:, None]
    gain = light_gain(references, faces, block=BLOCK)
    attention = torch.ones(2, 1, CELLS, CELLS)
    given = faces, references * lit(gain, SIDE, SIDE), gain, attention, HULL.expand(2, -1, -1, -1)
    both = recoloured(*given)
    for row in range(2):
        alone = recoloured(*(one[[row]] for one in given))
        assert torch.allclose(both[[row]], alone, atol=1e-6)
