"""Our GPEN against a plain reading of the paper and of StyleGAN2, weights at random."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from refrestore.errors import ModelError
from refrestore.restore.second.gpen import GPEN, KIND, GPENConfig
from refrestore.restore.second.kind import Asked
from tests.restore.second.networks import stirred

TOLERANCE = 1e-4

MANIFEST = json.loads((Path(__file__).parent / "gpen_layout.json").read_text())


def small(side=256):
    torch.manual_seed(side)
    return stirred(GPEN(GPENConfig(side, 32, 3, 1, 1 / 32)))


def upfirdn(x, kernel, up=1, down=1, pad=(0, 0)):
    """Zeros between, padding, correlation with the flipped kernel, every n-th (StyleGAN2)."""
    batch, channels, height, width = x.shape
    wide = x.new_zeros(batch, channels, height * up, width * up)
    wide[..., ::up, ::up] = x
    wide = F.pad(wide, (pad[0], pad[1], pad[0], pad[1]))
    weight = kernel.flip(0, 1)[None, None].repeat(channels, 1, 1, 1)
    return F.conv2d(wide, weight, groups=channels)[..., ::down, ::down]


def linear(weights, name, x, rate=1.0, active=False):
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    out = x @ (weight * rate / math.sqrt(weight.shape[1])).T + bias * rate
    return F.leaky_relu(out, 0.2) * math.sqrt(2) if active else out


def modulated(weights, name, x, code, doubles=False, demodulate=True):
    """One face after another, the style in the weights: the definition."""
    weight = weights[f"{name}.weight"][0]
    _, inputs, size, _ = weight.shape
    style = linear(weights, f"{name}.modulation", code)
    made = []
    for face, own in zip(x, style, strict=True):
        mine = weight / math.sqrt(inputs * size**2) * own[None, :, None, None]
        if demodulate:
            mine = mine / (mine.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if doubles:
            out = F.conv_transpose2d(face[None], mine.transpose(0, 1), stride=2)
            out = upfirdn(out, weights[f"{name}.blur.kernel"], pad=(1, 1))
        else:
            out = F.conv2d(face[None], mine, padding=size // 2)
        made.append(out)
    return torch.cat(made)


def activated(weights, name, x):
    return F.leaky_relu(x + weights[f"{name}.bias"].view(1, -1, 1, 1), 0.2) * math.sqrt(2)


def plain_gpen(weights, faces, levels, mapping):
    """Return what the paper describes, from a state dict and nothing of ours."""
    seen, x = [], faces
    for index in range(levels):
        at = f"ecd{index}.0"
        if index:
            x = upfirdn(x, weights[f"{at}.0.kernel"], pad=(2, 2))
        place = f"{at}.1" if index else f"{at}.0"
        weight = weights[f"{place}.weight"]
        scale = 1 / math.sqrt(weight.shape[1] * weight.shape[2] ** 2)
        x = F.conv2d(x, weight * scale, stride=2 if index else 1)
        x = activated(weights, f"{at}.2" if index else f"{at}.1", x)
        seen.append(x)
    code = linear(weights, "final_linear.0", x.flatten(1), active=True)
    code = code / (code.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for layer in range(mapping):
        code = linear(weights, f"generator.style.{layer + 1}", code, rate=0.01, active=True)

    def styled(name, x, features, doubles=False):
        out = modulated(weights, f"{name}.conv", x, code, doubles)
        beside = weights[f"{name}.noise.weight"] * features
        return activated(weights, f"{name}.activate", torch.cat([out, beside], 1))

    def coloured(name, x):
        out = modulated(weights, f"{name}.conv", x, code, demodulate=False)
        return out + weights[f"{name}.bias"]

    x = weights["generator.input.input"].repeat(len(faces), 1, 1, 1)
    x = styled("generator.conv1", x, seen[-1])
    image = coloured("generator.to_rgb1", x)
    for level in range(levels - 1):
        features = seen[-2 - level]
        x = styled(f"generator.convs.{2 * level}", x, features, doubles=True)
        x = styled(f"generator.convs.{2 * level + 1}", x, features)
        kernel = weights[f"generator.to_rgbs.{level}.upsample.kernel"]
        image = upfirdn(image, kernel, up=2, pad=(2, 1)) + coloured(f"generator.to_rgbs.{level}", x)
    return image


@pytest.mark.parametrize(("side", "batch"), [(256, 1), (256, 3), (512, 2)])
def test_equals_a_plain_reading(side, batch):
    network = small(side)
    weights = network.state_dict()
    faces = torch.rand(batch, 3, side, side) * 2 - 1
    with torch.inference_mode():
        made = KIND.load(weights, Asked())(faces, faces, faces)
        expected = plain_gpen(weights, faces, side.bit_length() - 2, 3)
    assert expected.std() > 0.05
    assert (made - expected).abs().max() <= TOLERANCE * expected.abs().max()


def test_a_batch_is_its_faces():
    network = small()
    faces = torch.rand(3, 3, 256, 256) * 2 - 1
    with torch.inference_mode():
        together = network(faces)
        for row in range(3):
            alone = network(faces[row : row + 1])[0]
            assert (alone - together[row]).abs().max() <= TOLERANCE * alone.abs().max()


def test_bfloat16_stays_near():
    weights = small().state_dict()
    faces = torch.rand(1, 3, 256, 256) * 2 - 1
    with torch.inference_mode():
        exact = KIND.load(weights, Asked())(faces, faces, faces)
        half = Asked(dtype=torch.bfloat16)
        rough = KIND.load(dict(weights), half)(faces.bfloat16(), faces, faces)
    assert (rough.float() - exact).abs().mean() <= 0.02 * exact.std()


@pytest.mark.parametrize("name", sorted(MANIFEST))
def test_names_and_shapes_are_those_of_the_published_files(name):
    """The layout of each published size: names of each kind of layer, and how many there are."""
    said = MANIFEST[name]
    with torch.device("meta"):
        state = GPEN(GPENConfig(**said["config"])).state_dict()
    assert len(state) == said["tensors"]
    for key, shape in said["shapes"].items():
        assert list(state[key].shape) == shape, key
    assert GPENConfig.of(state) == GPENConfig(**said["config"])


def test_weights_of_another_size_or_kind_are_refused():
    state = GPEN(GPENConfig(64, 16, 1, 1, 1 / 32)).state_dict()
    with pytest.raises(ModelError, match="of 64 px; there are 256, 512, 1024, 2048"):
        KIND.load(state, Asked())
    state = small().state_dict()
    with pytest.raises(ModelError, match="do not fit the GPEN network"):
        KIND.load({**state, "ecd1.0.1.weight": torch.zeros(3, 3)}, Asked())
    state.pop("generator.style.1.weight")
    with pytest.raises(ModelError, match="not of a GPEN network"):
        KIND.load(state, Asked())
