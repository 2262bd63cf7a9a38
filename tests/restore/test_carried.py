"""What was restored a frame before and after is laid over a face, and the light is its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from refrestore.restore.carried import carried
from refrestore.restore.steady import RestoredFace, greys

SIDE = 256


def scene(moved: int = 0) -> torch.Tensor:
    """Return a picture of spots, (3, S, S), that has moved to the right."""
    torch.manual_seed(3)
    grain = F.interpolate(torch.rand(1, 1, 40, 40), size=SIDE + 64, mode="bicubic")[0]
    fine = torch.rand(1, SIDE + 64, SIDE + 64) * 0.1
    picture = (grain * 0.8 + fine).clamp(0, 1)
    return picture[:, 32 : 32 + SIDE, 32 - moved : 32 - moved + SIDE].expand(3, -1, -1)


def blurred(picture: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(F.pad(picture[None], [3] * 4, mode="reflect"), 7, 1)[0]


def source(moved: int, frame: int, light: float = 0.0) -> RestoredFace:
    sharp = scene(moved) + light
    layers = torch.cat([sharp, torch.ones(1, SIDE, SIDE)])
    return RestoredFace(
        frame=frame,
        layers=layers,
        before=blurred(scene(moved)) + light,
        box=np.array([0, 0, SIDE, SIDE]),
        grey=greys(layers[None])[0],
        shutter=torch.tensor(float("nan")),
    )


def error(made: torch.Tensor, truth: torch.Tensor) -> float:
    inside = slice(40, -40)
    return float((made - truth)[:, inside, inside].abs().mean())


def test_a_face_that_moved_gets_the_detail_of_those_around_it() -> None:
    truth, seen = scene(3), blurred(scene(3))
    made = carried(seen[None], [1], [[source(0, 0), source(6, 2)]])[0]
    assert made.shape == (4, SIDE, SIDE)
    assert error(made[:3], truth) < 0.5 * error(seen, truth)
    lying_still = carried(seen[None], [1], [[source(0, 0)]])[0]
    assert error(lying_still[:3], truth) < 0.6 * error(seen, truth)
    assert float(made[3].min()) == pytest.approx(1)


def test_the_light_is_the_frames_own() -> None:
    seen = blurred(scene()) + 0.03
    made = carried(seen[None], [1], [[source(0, 0)]])[0]
    assert float((made[:3] - scene()).mean()) == pytest.approx(0.03, abs=0.003)


def test_the_source_that_agrees_counts() -> None:
    other = source(0, 2)
    strange = source(0, 2)
    strange.layers[:3] = torch.rand(3, SIDE, SIDE)
    strange.before[:] = torch.rand(3, SIDE, SIDE)
    seen = blurred(scene())
    made = carried(seen[None], [1], [[strange, other]])[0]
    alone = carried(seen[None], [1], [[other]])[0, :3]
    assert error(made[:3], alone) < 0.1 * error(strange.layers[:3], alone)


def test_the_nearer_in_time_counts_more() -> None:
    """Shares change evenly from one restored frame to the next: nothing jumps between them."""
    first, last = source(0, 0), source(0, 3)
    last.layers[:3] += 0.06 * torch.randn(1, SIDE, SIDE)
    seen = blurred(scene())
    apart = [
        error(carried(seen[None], [frame], [[first, last]])[0, :3], first.layers[:3])
        for frame in (1, 2)
    ]
    assert apart[1] == pytest.approx(2 * apart[0], rel=0.05)


def test_faces_of_a_batch_do_not_touch() -> None:
    seen = torch.stack([blurred(scene(2)), blurred(scene(4))])
    sources = [[source(0, 0), source(4, 2)], [source(4, 1)]]
    both = carried(seen, [1, 2], sources)
    for place in range(2):
        alone = carried(seen[[place]], [1 + place], [sources[place]])
        assert torch.allclose(both[[place]], alone, atol=1e-5)
