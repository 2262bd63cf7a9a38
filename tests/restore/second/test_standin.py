"""The stand-in for GFPGAN's official weights: the same architecture, small, trained here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from refrestore.evaluate.package import NotInstalledError, package_network
from refrestore.restore.second.combined import combine
from refrestore.restore.second.gfpgan import GFPGAN

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = ROOT / "models" / "standin" / "gfpgan_standin.safetensors"
SIDE = 256


@pytest.fixture(scope="module")
def network() -> GFPGAN:
    return GFPGAN.from_file(WEIGHTS)


@pytest.fixture
def smooth() -> torch.Tensor:
    """Two pictures without fine detail, (2, 3, 256, 256) in 0..1."""
    coarse = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(3)) * 0.6 + 0.2
    return functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic").clamp(0, 1)


def test_is_small_and_of_the_expected_shape(network):
    assert WEIGHTS.stat().st_size <= 2_000_000
    assert network.descriptor.side == SIDE
    assert network.config.mapping_layers == 1


@torch.inference_mode()
def test_passes_on_what_it_is_given(network, smooth):
    made = (network(smooth * 2 - 1) / 2 + 0.5).clamp(0, 1)
    error = functional.avg_pool2d(made - smooth, 8).abs().mean()
    assert error < 0.03
    assert error < 0.25 * functional.avg_pool2d(smooth - smooth.mean((2, 3), True), 8).abs().mean()


@torch.inference_mode()
def test_calms_noise_and_keeps_the_low_frequencies(network, smooth):
    spread = torch.randn(smooth.shape, generator=torch.Generator().manual_seed(4)) * 0.06
    noisy = (smooth + spread).clamp(0, 1)
    made = (network(noisy * 2 - 1) / 2 + 0.5).clamp(0, 1)
    result = combine(noisy, made, torch.zeros(2, 1, SIDE, SIDE))
    assert (result - smooth).square().mean() < 0.5 * (noisy - smooth).square().mean()


@torch.inference_mode()
def test_half_precision_says_the_same(network, smooth):
    half = GFPGAN.from_file(WEIGHTS, dtype=torch.bfloat16)
    picture = smooth[:1] * 2 - 1  # without AMX a convolution in bfloat16 takes seconds
    there = half(picture.to(torch.bfloat16)).float()
    assert (there - network(picture)).abs().mean() < 0.02


@torch.inference_mode()
def test_the_packages_own_network_makes_the_same_picture(network, smooth):
    try:
        official, side = package_network(WEIGHTS)
    except NotInstalledError as error:
        pytest.skip(str(error))
    assert side == SIDE
    theirs, _ = official(smooth * 2 - 1, return_rgb=False, randomize_noise=False)
    assert (theirs - network(smooth * 2 - 1)).abs().max() < 1e-3
