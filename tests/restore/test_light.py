"""What OpenCV does to pictures on a CPU is what torch does where a gradient is wanted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from refrestore.restore.light import filtered, shrunk, stretch


def pictures(height: int, width: int) -> Tensor:
    return torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize(("source", "size"), [((4, 4), 256), ((32, 32), 256), ((60, 88), 176)])
def test_maps_are_enlarged_as_interpolate_does(
    source: tuple[int, int], size: int, grad: bool
) -> None:
    maps = pictures(*source)
    wanted = F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)
    within = slice(16, 96), slice(40, 160)
    maps.requires_grad_(grad)
    torch.testing.assert_close(stretch(maps, size, size).detach(), wanted, atol=1e-5, rtol=0)
    part = stretch(maps, size, size, within).detach()
    torch.testing.assert_close(part, wanted[(..., *within)], atol=1e-5, rtol=0)


@pytest.mark.parametrize("factor", [1, 2, 3, 8, 12])
def test_no_block_reaches_from_one_plane_into_the_next(factor: int) -> None:
    images = pictures(factor * 5, factor * 7)
    wanted = F.avg_pool2d(images, factor)
    torch.testing.assert_close(shrunk(images, factor), wanted, atol=1e-6, rtol=0)
    window = pictures(factor * 9, factor * 9)[..., factor : factor * 5, factor:]
    torch.testing.assert_close(shrunk(window, factor), F.avg_pool2d(window, factor))


@pytest.mark.parametrize("border", ["replicate", "reflect"])
def test_a_filter_is_the_same_with_and_without_a_gradient(border: str) -> None:
    images, taps = pictures(40, 56), torch.tensor([1.0, 2, 4, 2, 1]) / 10
    plain = filtered(images, taps, border=border)  # type: ignore[arg-type]
    learnt = filtered(images.clone().requires_grad_(), taps, border=border)  # type: ignore[arg-type]
    torch.testing.assert_close(plain, learnt.detach(), atol=1e-6, rtol=0)
    assert float((plain - images).abs().max()) > 0.1
