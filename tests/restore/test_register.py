"""Registration: finds a known motion, ignores light, and leaves alone what it cannot see."""

import pytest
import torch
from torch.nn import functional as F

from refrestore.restore.register import register

SIZE = 64


def blobs(seed=0):
    """A face-like picture: smooth dark blobs."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 9, 9, generator=generator)
    return F.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic", align_corners=False)


def hull():
    axis = torch.arange(SIZE) - 31.5
    return ((axis[:, None] ** 2 + axis[None] ** 2) < 24**2).float()[None, None]


@pytest.mark.parametrize(("x", "y"), [(2, 0), (-1, 3), (0, 0)])
def test_a_shift_is_found(x, y):
    face = blobs()
    references = torch.roll(face, (y, x), (2, 3))[:, None].expand(-1, 3, -1, -1, -1)
    flow = register(face, references, torch.ones(1, 3, dtype=torch.bool), hull())
    middle = flow[0, :, 24:40, 24:40].mean((1, 2))
    assert middle.tolist() == pytest.approx([x, y], abs=0.4)


def test_light_is_no_motion():
    face = blobs()
    references = (face * 0.6 + torch.linspace(0, 0.3, SIZE))[:, None]
    flow = register(face, references, torch.ones(1, 1, dtype=torch.bool), hull())
    assert float(flow.abs().max()) < 0.5


def test_references_that_are_not_there_do_not_count():
    face = blobs()
    right = torch.roll(face, 2, 3)
    references = torch.stack([right, blobs(5)], 1)
    valid = torch.tensor([[True, False]])
    alone = register(face, right[:, None], valid[:, :1], hull())
    assert torch.allclose(register(face, references, valid, hull()), alone, atol=1e-5)
    assert float(register(face, references, valid & False, hull()).abs().max()) == 0


def test_flat_pictures_give_no_motion():
    flat = torch.full((1, 3, SIZE, SIZE), 0.5)
    flow = register(flat, flat[:, None], torch.ones(1, 1, dtype=torch.bool), hull())
    assert bool(torch.isfinite(flow).all())
    assert float(flow.abs().max()) == 0
