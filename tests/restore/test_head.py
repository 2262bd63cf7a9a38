"""Heads from references: where both agree detail is the reference's, elsewhere nothing is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from refrestore.restore import burst
from refrestore.restore.composite import head_masks
from refrestore.restore.head import (
    EDGE,
    FINE,
    GROWTH,
    affine_offsets,
    agreement,
    blurred,
    from_references,
    lost,
)

SIDE = 256


def texture(seed: int, side: int = SIDE) -> Tensor:
    """Return a coloured picture with a face's power in all frequencies, (1, 3, S, S)."""
    random = np.random.default_rng(seed)
    steps = np.fft.fftfreq(256) * 256
    across, along = (np.maximum(one**2, 9) for one in np.meshgrid(steps, steps, indexing="ij"))
    power = np.sqrt(np.exp(burst.face_power(along, across)))
    planes = [
        np.fft.ifft2(np.fft.fft2(random.standard_normal((256, 256))) * power).real for _ in range(2)
    ]
    planes = [plane / plane.std() for plane in planes]
    rgb = np.stack([0.5 + 0.12 * planes[0] + 0.03 * tint * planes[1] for tint in (1, 0, -1)])
    picture = torch.from_numpy(rgb.clip(0, 1).astype(np.float32))[None]
    return picture if side == 256 else F.interpolate(picture, size=side, mode="area")


def mesh(side: int = SIDE) -> Tensor:
    turn = np.random.default_rng(0).uniform(0, 2 * np.pi, 468)
    out = np.sqrt(np.random.default_rng(1).uniform(0, 1, 468))
    face = np.stack([0.5 + 0.16 * out * np.cos(turn), 0.52 + 0.22 * out * np.sin(turn)], 1)
    return torch.from_numpy((face * side - 0.5)[None].astype(np.float32))


def turned(points: Tensor, side: int) -> Tensor:
    """Return where points are in a crop in which the head is turned, larger and elsewhere."""
    middle = side / 2
    matrix = torch.tensor([[1.04, 0.06], [-0.05, 1.02]])
    return (points - middle) @ matrix.T + middle + 0.02 * side


def as_reference(picture: Tensor) -> Tensor:
    """Return a picture as a reference shows it: at `turned` it has what it has here."""
    side = picture.shape[-1]
    at = torch.arange(side, dtype=torch.float32)
    points = torch.stack([at.expand(side, -1), at[:, None].expand(-1, side)], -1)
    # The inverse of `turned`.
    matrix = torch.linalg.inv(torch.tensor([[1.04, 0.06], [-0.05, 1.02]]))
    back = (points - side / 2 - 0.02 * side) @ matrix.T + side / 2
    grid = (back + 0.5) * (2 / side) - 1
    return F.grid_sample(
        picture, grid[None], mode="bicubic", padding_mode="reflection", align_corners=False
    )


def as_filmed(picture: Tensor, sigma: float, noise: float = 0.02) -> Tensor:
    """Return a picture blurred by a share of its side, and noisy."""
    side = picture.shape[-1]
    soft = blurred(picture, torch.tensor([sigma * side]))
    grains = torch.randn(soft.shape, generator=torch.Generator().manual_seed(5))
    return (soft + noise * grains).clamp(0, 1)


def ring(side: int = SIDE) -> Tensor:
    mask = head_masks(mesh(side), side)
    middle = slice(side * 3 // 8, side * 5 // 8)
    mask[:, middle, middle] = 0
    return mask


def error(one: Tensor, other: Tensor, where: Tensor) -> float:
    apart = (one - other).square().mean(1)
    return float(((apart * where).sum() / where.sum()).sqrt())


def test_the_affine_motion_is_found_though_a_mouth_opens() -> None:
    theirs = turned(mesh(), SIDE)
    expected = turned(torch.tensor([[[40.0, 50.0], [200.0, 120.0]]]), SIDE)
    theirs[:, :40, 1] += 12.0  # a tenth of the landmarks moves by itself
    field = affine_offsets(mesh(), theirs, SIDE)
    for point, there in zip([(40.0, 50.0), (200.0, 120.0)], expected[0], strict=True):
        column, row = (round((value + 0.5) * FINE / SIDE - 0.5) for value in point)
        assert float((torch.tensor(point) + field[0, :, row, column] - there).abs().max()) < 1.5


@pytest.mark.parametrize("sigma", [0.008, 0.014, 0.022])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_what_a_film_has_lost_is_measured_in_spite_of_its_noise(sigma: float, noise: float) -> None:
    sharp = texture(1)
    found = float(lost(as_filmed(sharp, sigma, noise), sharp)) / FINE
    assert found == pytest.approx(sigma, rel=0.15)
    assert float(lost(sharp, sharp)) < 0.5


@pytest.mark.parametrize("side", [192, 256, 384])
def test_detail_comes_from_the_reference_and_ends_with_the_head(side: int) -> None:
    truth = texture(2, side)
    face = as_filmed(truth, 0.014)
    heads, share = from_references(
        face, truth, mesh(side), as_reference(truth), turned(mesh(side), side)
    )
    where = ring(side)
    assert float((share * where).sum() / where.sum()) > 0.6
    shown = face + share[:, None] * (heads - face)
    assert error(shown, truth, where) < 0.7 * error(face, truth, where)
    outside = head_masks(mesh(side), side, GROWTH, EDGE) == 0
    assert outside.any()
    assert float(share[outside].max()) == 0


def test_coarse_bands_stay_the_inputs() -> None:
    truth = texture(3)
    face = as_filmed(truth, 0.02, noise=0)
    warm = (as_reference(truth) * torch.tensor([1.1, 1.0, 0.9])[:, None, None]).clamp(0, 1)
    heads, _ = from_references(face, truth, mesh(), warm, turned(mesh(), SIDE))
    coarse = [F.avg_pool2d(one, 32)[..., 2:-2, 2:-2] for one in (heads, face)]
    assert float((coarse[0] - coarse[1]).abs().mean()) < 0.01


def test_other_hair_and_what_moves_otherwise_is_left() -> None:
    truth = texture(4)
    face = as_filmed(truth, 0.014)
    _, share = from_references(face, truth, mesh(), texture(5), mesh())
    where = ring()
    assert float((share * where).sum() / where.sum()) < 0.1
    small = F.avg_pool2d(truth, SIDE // FINE)
    still = torch.zeros(1, 2, FINE, FINE)
    assert float(agreement(small, small, still).min()) > 0.99
    assert float(agreement(small, small, still + 0.1).max()) < 0.01
    grey = torch.full_like(small, 0.5)
    assert float(agreement(grey, grey + 0.005, still).min()) > 0.9  # two walls
    assert float(agreement(grey, grey + 0.3, still).max()) < 0.01


def test_a_head_that_agrees_in_patches_is_of_another_day() -> None:
    truth = texture(4)
    face = as_filmed(truth, 0.014)
    for columns, least, most in ((256, 0.6, 1.0), (110, 0.0, 0.0)):
        mixed = texture(5)
        mixed[..., :columns] = truth[..., :columns]
        _, share = from_references(face, truth, mesh(), mixed, mesh())
        assert least <= float(share[..., 110:150, 80:95].mean()) <= most


def test_beyond_the_references_border_there_is_nothing() -> None:
    truth = texture(6)
    face = as_filmed(truth, 0.014)
    aside = mesh() + torch.tensor([80.0, 0.0])
    shifted = torch.cat([truth[..., -80:].flip(3), truth[..., :-80]], 3)
    _, share = from_references(face, truth, mesh(), shifted, aside)
    assert float(share[..., 100:150].mean()) > 0.5
    assert float(share[..., 196:].max()) < 0.05


def test_each_face_is_as_it_is_by_itself() -> None:
    truth = torch.cat([texture(seed) for seed in (7, 8, 9)])
    face = torch.cat([as_filmed(truth[[row]], 0.01 + 0.005 * row) for row in range(3)])
    meshes = torch.cat([mesh()] * 3)
    pictures = torch.cat([as_reference(truth[[row]]) for row in range(3)])
    theirs = turned(meshes, SIDE)
    together = from_references(face, truth, meshes, pictures, theirs)
    for row in range(3):
        one = slice(row, row + 1)
        alone = from_references(face[one], truth[one], meshes[one], pictures[one], theirs[one])
        for all_, single in zip(together, alone, strict=True):
            torch.testing.assert_close(all_[one], single, atol=2e-3, rtol=0)


def test_a_grey_film_stays_grey() -> None:
    truth = texture(10)
    face = as_filmed(truth, 0.014, 0.0).mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
    heads, _ = from_references(face, truth, mesh(), as_reference(truth), turned(mesh(), SIDE))
    assert float((heads - heads.mean(1, keepdim=True)).abs().max()) < 0.004


def test_a_gpu_is_not_waited_for(fake_cuda: Any) -> None:
    faces, meshes = torch.zeros(2, 3, SIDE, SIDE, device="cuda"), torch.zeros(2, 468, 2).cuda()
    heads, share = from_references(faces, faces, meshes, faces, meshes)
    assert heads.shape == faces.shape
    assert share.shape == (2, SIDE, SIDE)
    assert {heads.device.type, share.device.type} == {"cuda"}
    assert fake_cuda.fetched == []
