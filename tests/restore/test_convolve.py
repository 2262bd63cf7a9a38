"""Convolutions with fewer products against the library's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from refrestore.restore import convolve as module
from refrestore.restore.convolve import Modulation, convolve, convolve_enlarged, resize


def given(batch, channels, outputs, side):
    generator = torch.Generator().manual_seed(side)
    x = torch.randn(batch, channels, side, side, generator=generator)
    weight = torch.randn(outputs, channels, 3, 3, generator=generator) / (9 * channels) ** 0.5
    return x, weight, torch.randn(outputs, generator=generator)


def close(made, wanted):
    assert made.shape == wanted.shape
    assert (made - wanted).abs().max() < 2e-5 * wanted.abs().max()


@pytest.mark.parametrize("strip", [1, 1 << 15, 1 << 21])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@torch.inference_mode()
def test_tiles_equal_the_convolution(monkeypatch, strip, layout):
    monkeypatch.setattr(module, "_STRIP", strip)
    x, weight, bias = given(2, 64, 96, 32)
    x = x.contiguous(memory_format=layout)
    close(convolve(x, weight, bias), functional.conv2d(x, weight, bias, padding=1))
    close(convolve(x, weight), functional.conv2d(x, weight, padding=1))


@pytest.mark.parametrize("strip", [1, 1 << 15, 1 << 21])
@torch.inference_mode()
def test_before_enlarging_equals_after_it(monkeypatch, strip):
    monkeypatch.setattr(module, "_STRIP", strip)
    x, weight, bias = given(2, 16, 24, 32)
    close(
        convolve_enlarged(x, weight, bias),
        functional.conv2d(resize(x, 2), weight, bias, padding=1),
    )
    close(convolve_enlarged(x, weight), functional.conv2d(resize(x, 2), weight, padding=1))


@torch.inference_mode()
def test_fewer_products_are_used_where_they_pay(monkeypatch):
    used = []
    for name in ("_by_tiles", "_before_enlarging"):
        real = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *all, real=real, name=name: (used.append(name), real(*all))[1]
        )
    x, weight, bias = given(1, 64, 64, 64)
    convolve(x, weight, bias)
    convolve_enlarged(x, weight, bias)
    assert used == ["_by_tiles", "_before_enlarging"]
    convolve(x.bfloat16()[:, :, :8], weight.bfloat16(), bias.bfloat16())
    convolve_enlarged(x.bfloat16()[:, :, :8], weight.bfloat16(), bias.bfloat16())
    convolve(x[:, :, :30], weight, bias)  # no whole tiles
    assert len(used) == 2


def test_gradients_flow():
    x, weight, bias = given(1, 64, 64, 32)
    weight.requires_grad_()
    (convolve(x, weight, bias).square().mean() + convolve_enlarged(x, weight).mean()).backward()
    assert weight.grad is not None
    assert weight.grad.abs().max() > 0


@torch.inference_mode()
def test_a_face_does_not_depend_on_its_batch():
    x, weight, bias = given(3, 64, 64, 32)
    for work in (convolve, convolve_enlarged):
        together = work(x, weight, bias)
        close(together[1:2], work(x[1:2], weight, bias))


def styled(batch, channels, outputs):
    generator = torch.Generator().manual_seed(1)
    numbers = [0.5 + torch.rand(batch, count, generator=generator) for count in (channels, outputs)]
    return Modulation(*numbers)


@pytest.mark.parametrize("side", [16, 32])
@pytest.mark.parametrize("biased", [True, False])
@torch.inference_mode()
def test_a_style_is_the_weights_of_a_face(side, biased):
    """By the library for small maps, by tiles and before enlarging for larger ones."""
    x, weight, bias = given(2, 64, 64, side)
    bias = bias if biased else None
    style = styled(2, 64, 64)
    own = [
        weight * gain[:, None, None, None] * scale[None, :, None, None]
        for scale, gain in zip(style.inputs, style.outputs, strict=True)
    ]
    for work, seen in ((convolve, x), (convolve_enlarged, resize(x, 2))):
        faces = [
            functional.conv2d(face[None], mine, bias, padding=1)
            for face, mine in zip(seen, own, strict=True)
        ]
        close(work(x, weight, bias, style), torch.cat(faces))


@torch.inference_mode()
def test_in_bfloat16_a_style_is_in_the_weights_of_larger_maps():
    x, weight, bias = (one.bfloat16() for one in given(2, 16, 16, 32))
    style = Modulation(*(one.bfloat16() for one in styled(2, 16, 16)))
    for work, side in ((convolve, 32), (convolve, 16), (convolve_enlarged, 32)):
        made = work(x[..., :side, :side], weight, bias, style)
        exact = Modulation(*(one.float() for one in style))
        wanted = work(x.float()[..., :side, :side], weight.float(), bias.float(), exact)
        assert made.dtype == torch.bfloat16
        assert (made.float() - wanted).abs().mean() < 0.01 * wanted.std()


def test_gradients_flow_to_a_style():
    x, weight, bias = given(1, 64, 64, 32)
    style = styled(1, 64, 64)
    for numbers in style:
        numbers.requires_grad_()
    (
        convolve(x, weight, bias, style).mean() + convolve_enlarged(x, weight, bias, style).mean()
    ).backward()
    assert all(numbers.grad is not None and numbers.grad.abs().max() > 0 for numbers in style)
