"""StyleGAN2's generator as GFPGAN has it: modulated convolutions, stored noise, SFT.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020; parameters have
the names and shapes of GFPGAN's `stylegan_decoder`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from refrestore.restore.convolve import Modulation, convolve, convolve_enlarged, resize

SLOPE = 0.2
"""Negative slope of every leaky ReLU (official)."""

DEMODULATION_EPSILON = 1e-8

STYLE_GAIN = math.sqrt(2.0)
"""Gain before each activation (StyleGAN2's, kept by GFPGAN's "clean" conversion)."""

SMALLEST = 4
"""Side of the constant input."""


class _ModulatedConv(nn.Module):
    """Convolution whose weights a style scales; `_StyleConv` and `_ToRGB` do it."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, style_size: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(style_size, in_channels)
        nn.init.kaiming_normal_(self.modulation.weight, nonlinearity="linear")
        nn.init.ones_(self.modulation.bias)
        scale = 1 / math.sqrt(in_channels * kernel**2)
        self.weight = nn.Parameter(
            torch.randn(1, out_channels, in_channels, kernel, kernel) * scale
        )

    def demodulation(self, style: Tensor) -> Tensor:
        """Return one over the norm of each output's modulated weights, (B, O)."""
        energy = self.weight[0].float().square().sum((2, 3))
        norm = functional.linear(style.float().square(), energy) + DEMODULATION_EPSILON
        return norm.rsqrt()


class _StyleConv(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, style_size: int, enlarge: bool) -> None:
        super().__init__()
        self.enlarge = enlarge
        self.modulated_conv = _ModulatedConv(in_channels, out_channels, 3, style_size)
        self.weight = nn.Parameter(torch.zeros(1))  # of the noise
        self.bias = nn.Parameter(torch.zeros(1, out_channels, 1, 1))

    def forward(self, x: Tensor, code: Tensor, noise: Tensor) -> Tensor:
        style = self.modulated_conv.modulation(code)
        gain = (self.modulated_conv.demodulation(style) * STYLE_GAIN).to(x.dtype)
        by = convolve_enlarged if self.enlarge else convolve
        weight, bias = self.modulated_conv.weight[0], self.bias.flatten()
        out = by(x, weight, bias, Modulation(style, gain)).add_(self.weight * noise)
        return functional.leaky_relu_(out, SLOPE)


def _half_transformed(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Scale and shift the second half of the channels, in place where nothing learns."""
    kept, changed = x.chunk(2, dim=1)
    if torch.is_grad_enabled():
        return torch.cat([kept, torch.addcmul(shift, changed, scale)], dim=1)
    changed.mul_(scale).add_(shift)
    return x


class _ToRGB(nn.Module):
    def __init__(self, in_channels: int, style_size: int) -> None:
        super().__init__()
        self.modulated_conv = _ModulatedConv(in_channels, 3, 1, style_size)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, code: Tensor, below: Tensor | None = None) -> Tensor:
        style = self.modulated_conv.modulation(code)
        # So few outputs that their weights are scaled, not x.
        weights = self.modulated_conv.weight[0, :, :, 0, 0] * style[:, None]
        rows = x.permute(0, 2, 3, 1).flatten(1, 2) @ weights.mT
        flat: Tensor = rows.reshape(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2)
        out = flat + self.bias
        return out if below is None else out + resize(below, 2)


class _Constant(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, channels, SMALLEST, SMALLEST))


class SynthesisNetwork(nn.Module):
    """StyleGAN2's synthesis with SFT on the second half of the channels.

    Parameters
    ----------
    channels
        Channels at each side, 4 px to the output's.
    size
        Length of a code.
    mapping_layers
        Layers of the mapping network that the weights carry.
    """

    def __init__(self, channels: Mapping[int, int], size: int, mapping_layers: int) -> None:
        super().__init__()
        # The mapping network: the weights carry it, GFPGAN's codes are W+ already.
        layers: list[nn.Module] = [nn.Identity()]
        for _ in range(mapping_layers):
            layers += [nn.Linear(size, size), nn.LeakyReLU(SLOPE)]
        self.style_mlp = nn.Sequential(*layers)
        self.constant_input = _Constant(channels[SMALLEST])
        self.style_conv1 = _StyleConv(channels[SMALLEST], channels[SMALLEST], size, enlarge=False)
        self.to_rgb1 = _ToRGB(channels[SMALLEST], size)
        self.style_convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        self.noises = nn.Module()
        self.noises.register_buffer("noise0", torch.randn(1, 1, SMALLEST, SMALLEST))
        for level, side in enumerate(sorted(channels)[1:]):
            before, here = channels[side // 2], channels[side]
            self.style_convs.append(_StyleConv(before, here, size, enlarge=True))
            self.style_convs.append(_StyleConv(here, here, size, enlarge=False))
            self.to_rgbs.append(_ToRGB(here, size))
            for index in (2 * level + 1, 2 * level + 2):
                self.noises.register_buffer(f"noise{index}", torch.randn(1, 1, side, side))

    def forward(
        self, codes: Tensor, scales: tuple[Tensor, ...], shifts: tuple[Tensor, ...]
    ) -> Tensor:
        """Make pictures.

        Parameters
        ----------
        codes : (B, L, size)
            W+, one a layer.
        scales, shifts
            SFT maps at 8, 16, … px: (B, C / 2, side, side).

        Returns
        -------
        Tensor : (B, 3, out, out)
            RGB about -1..1.
        """
        styles = codes.unbind(1)
        noises = [self.noises.get_buffer(f"noise{i}") for i in range(len(self.style_convs) + 1)]
        constant = self.constant_input.weight.expand(len(codes), -1, -1, -1)
        x = self.style_conv1(constant, styles[0], noises[0])
        image: Tensor = self.to_rgb1(x, styles[1])
        for level, (scale, shift) in enumerate(zip(scales, shifts, strict=True)):
            i = 2 * level
            x = self.style_convs[i](x, styles[i + 1], noises[i + 1])
            x = _half_transformed(x, scale, shift)
            x = self.style_convs[i + 1](x, styles[i + 2], noises[i + 2])
            image = self.to_rgbs[level](x, styles[i + 3], image)
        return image
