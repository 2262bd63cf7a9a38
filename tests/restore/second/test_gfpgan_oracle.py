"""Our GFPGAN against the official package's own network, random weights in both."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

import pytest
import torch

from refrestore.restore.second.gfpgan import GFPGAN, GFPGANConfig

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def official():
    """Return the official network class, or skip (fail where the run demands everything)."""
    if importlib.util.find_spec("gfpgan") is None:
        reason = "the gfpgan package is not installed (requirements/gfpgan.txt)"
        if os.environ.get("REFRESTORE_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    # basicsr imports a module that torchvision renamed in 0.17.
    sys.modules.setdefault(
        "torchvision.transforms.functional_tensor",
        importlib.import_module("torchvision.transforms._functional_tensor"),
    )
    return importlib.import_module("gfpgan.archs.gfpganv1_clean_arch").GFPGANv1Clean


def _theirs(official, size: int, narrow: float, styles: int = 512):
    """Build the official network with every parameter and buffer away from its trivial value."""
    torch.manual_seed(size)
    network = official(
        out_size=size,
        num_style_feat=styles,
        channel_multiplier=2,
        fix_decoder=False,
        input_is_latent=True,
        different_w=True,
        narrow=narrow,
        sft_half=True,
    ).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias") or parameter.numel() == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return network.requires_grad_(False)


def _conditions(theirs, x):
    """Run the official network; return its picture, codes, SFT conditions and RGB pyramid."""
    seen = {}
    decoder = theirs.stylegan_decoder

    def spy(module, args, kwargs):
        seen["codes"], seen["conditions"] = args[0][0], args[1]

    handle = decoder.register_forward_pre_hook(spy, with_kwargs=True)
    image, rgbs = theirs(x, randomize_noise=False)
    handle.remove()
    return image, seen["codes"], seen["conditions"], rgbs


def _compare(theirs, config: GFPGANConfig, batch: int) -> None:
    ours = GFPGAN.from_weights(theirs.state_dict())
    assert ours.config == config
    x = torch.rand(batch, 3, config.out_size, config.out_size) * 2 - 1
    with torch.inference_mode():
        image, styles, conditions, rgbs = _conditions(theirs, x)
        codes = ours.encode(x, previews=True)
        mine = ours.decode(codes)
    assert image.std() > 0.05
    assert (codes.styles - styles).abs().max() <= TOLERANCE
    assert len(conditions) == 2 * len(codes.scales) == 2 * config.levels
    pairs = zip(conditions[0::2], conditions[1::2], codes.scales, codes.shifts, strict=True)
    for their_scale, their_shift, scale, shift in pairs:
        assert (their_scale - scale).abs().max() <= TOLERANCE
        assert (their_shift - shift).abs().max() <= TOLERANCE
    for theirs_rgb, rgb in zip(rgbs, codes.previews, strict=True):
        assert (theirs_rgb - rgb).abs().max() <= TOLERANCE
    assert (image - mine).abs().max() <= TOLERANCE


@pytest.mark.parametrize(
    ("size", "narrow", "styles"), [(32, 0.25, 64), (64, 0.125, 512), (256, 0.125, 128)]
)
def test_equals_official(official, size, narrow, styles):
    config = GFPGANConfig(out_size=size, narrow=narrow, style_size=styles)
    _compare(_theirs(official, size, narrow, styles), config, batch=3)


@pytest.mark.parametrize(("size", "narrow"), [(512, 0.125), (32, 1)])
def test_equals_official_at_full_size_and_at_full_width(official, size, narrow):
    """Both at once take a minute, and nothing in the network asks for both."""
    _compare(_theirs(official, size, narrow), GFPGANConfig(out_size=size, narrow=narrow), batch=1)


def test_the_default_is_the_official_network(official):
    with torch.device("meta"):
        theirs, ours = _theirs(official, 512, 1).state_dict(), GFPGAN(GFPGANConfig())
    assert GFPGANConfig.of(theirs) == GFPGANConfig()
    shapes = {name: value.shape for name, value in theirs.items()}
    assert {name: value.shape for name, value in ours.state_dict().items()} == shapes


@pytest.mark.parametrize(("size", "narrow"), [(16, 0.5), (128, 0.3), (512, 0.0625)])
def test_deduces_the_hyper_parameters(official, size, narrow):
    weights = _theirs(official, size, narrow, 32).state_dict()
    assert GFPGANConfig.of(weights).out_size == size
    ours = GFPGAN.from_weights(weights).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in weights.items()}
