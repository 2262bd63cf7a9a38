"""Tints: what a film has no colours of gets none from references in colour."""

from __future__ import annotations

import pytest
import torch

from refrestore.restore.light import as_tinted

LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


def coloured(seed: int) -> torch.Tensor:
    """Return a picture in colour, (1, 3, 128, 128)."""
    small = torch.rand((1, 3, 12, 12), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(small, size=128, mode="bicubic").clamp(0.1, 0.9)


def brightness(images: torch.Tensor) -> torch.Tensor:
    return (images * LUMA).sum(1, keepdim=True)


def test_a_grey_film_stays_grey_and_as_bright() -> None:
    restored, source = coloured(1), brightness(coloured(0)).expand(-1, 3, -1, -1)
    made = as_tinted(restored, source)
    assert float((made - made.mean(1, keepdim=True)).abs().max()) < 1e-5
    assert torch.allclose(brightness(made), brightness(restored), atol=1e-5)


def test_sepia_stays_sepia() -> None:
    tint = torch.tensor([1.15, 0.98, 0.75])[:, None, None]
    source = brightness(coloured(0)) * tint * 0.8
    made = as_tinted(0.8 * coloured(1), source)
    share = made / brightness(made)
    assert torch.allclose(share, (tint / (tint * LUMA).sum()).expand_as(share), atol=0.02)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_colours_are_not_touched(noise: float) -> None:
    source = coloured(0)
    source = (source + noise * torch.randn(source.shape)).clamp(0, 1)
    restored = coloured(1)
    assert torch.equal(as_tinted(restored, source), restored)


def test_faces_are_judged_one_by_one() -> None:
    grey = brightness(coloured(0)).expand(-1, 3, -1, -1)
    restored = torch.cat([coloured(1), coloured(2)])
    made = as_tinted(restored, torch.cat([grey, coloured(0)]))
    assert torch.equal(made[1], restored[1])
    assert float((made[0] - made[0].mean(0)).abs().max()) < 1e-5
