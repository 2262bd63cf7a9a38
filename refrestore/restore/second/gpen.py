"""GPEN, of 256, 512, 1024 and 2048 pixels.

Yang et al., "GAN Prior Embedded Network for Blind Face Restoration in the Wild", CVPR 2021: an
encoder whose features take the place of StyleGAN2's noise, laid beside each layer's output instead
of added to it. Every parameter and buffer has the official name and shape, so that official weights
load strictly. What differs from the official forward pass is how it computes: a style scales
activations and outputs instead of weights (StyleGAN2, section 2.2), so that a batch is one
convolution, and a transposed convolution with its blur is one of zeros laid between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it
from torch import Tensor, nn

from refrestore.errors import ModelError
from refrestore.models.stages import RESTRICTED
from refrestore.restore.second.kind import Asked, Kind
from refrestore.restore.second.stage import Descriptor, PlainStage

NAME, TITLE = "gpen", "GPEN"

LICENCE = "Alibaba's, for research and other non-commercial use"

SIDES = (256, 512, 1024, 2048)

MARGIN = 0.25
"""Of its own tool's alignment, beyond ArcFace's template on every edge (inner_padding_factor)."""

_WIDEST = 512
_AT_64 = 256
_SLOPE, _GAIN = 0.2, math.sqrt(2.0)
_BINOMIAL = (1.0, 3.0, 3.0, 1.0)
_MAPPING_RATE = 0.01
"""Learning rate of the mapping network, which its weights are divided by."""

_EPSILON = 1e-8


@dataclass(frozen=True, slots=True)
class GPENConfig:
    """Hyper-parameters.

    Parameters
    ----------
    side
        Of input and output in pixels.
    style_size
        Length of a code.
    mapping_layers
        Layers of the mapping network.
    channel_multiplier, narrow
        Factors of the channels at 64 px and above, and of all: 2 and 1, with 256 px 1 and 0.5.
    """

    side: int = 512
    style_size: int = 512
    mapping_layers: int = 8
    channel_multiplier: float = 2
    narrow: float = 1.0

    @property
    def sides(self) -> list[int]:
        """Resolutions from 4 px to `side`."""
        return [4 << level for level in range(self.side.bit_length() - 2)]

    def channels(self, side: int) -> int:
        """Return the channels at a resolution."""
        if side < 64:
            return int(_WIDEST * self.narrow)
        return int(_AT_64 * 64 // side * self.channel_multiplier * self.narrow)

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> GPENConfig:
        """Deduce the hyper-parameters from a state dict.

        Raises
        ------
        ModelError
            It is not one of GPEN, or has another side than it was published with.
        """
        try:
            narrow = weights["generator.input.input"].shape[1] / _WIDEST
            levels = sum(name.startswith("ecd") and name.endswith(".weight") for name in weights)
            mapping = [name for name in weights if name.startswith("generator.style.")]
            at_64 = weights["generator.convs.6.conv.weight"].shape[1]
            config = cls(
                4 << (levels - 1),
                weights["generator.style.1.weight"].shape[0],
                len(mapping) // 2,
                at_64 / (_AT_64 * narrow),
                narrow,
            )
        except (KeyError, IndexError, ZeroDivisionError) as error:
            raise ModelError("the weights are not of a GPEN network.") from error
        if config.side not in SIDES:
            allowed = ", ".join(map(str, SIDES))
            raise ModelError(f"the network is of {config.side} px; there are {allowed}.")
        return config


def _kernel() -> Tensor:
    row = torch.tensor(_BINOMIAL)
    return row[:, None] * row / row.sum() ** 2


class _Blur(nn.Module):
    """The binomial kernel, times the zeros that were laid between."""

    def __init__(self, gain: int = 1) -> None:
        super().__init__()
        self.register_buffer("kernel", _kernel() * gain)
        self.kernel: Tensor

    def forward(self, x: Tensor, before: int, after: int) -> Tensor:
        # Symmetric, and a product of two rows: one pass down, one across.
        row = (self.kernel.sum(1) / self.kernel.sum().sqrt()).to(x.dtype)
        x = F.pad(x, (before, after, before, after))
        channels = x.shape[1]
        down = row[None, None, :, None].expand(channels, 1, -1, 1)
        across = row[None, None, None].expand(channels, 1, 1, -1)
        return F.conv2d(F.conv2d(x, down, groups=channels), across, groups=channels)


class _Bias(nn.Module):
    """A bias and the leaky ReLU behind it, with StyleGAN2's gain."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.bias[:, None, None], _SLOPE) * _GAIN


class _Linear(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, rate: float = 1.0, active: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale, self.rate, self.active = rate / math.sqrt(inputs), rate, active

    def forward(self, x: Tensor) -> Tensor:
        out = F.linear(x, self.weight * self.scale, self.bias * self.rate)
        return F.leaky_relu(out, _SLOPE) * _GAIN if self.active else out


class _Convolution(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale, self.stride = 1 / math.sqrt(inputs * kernel**2), stride
        self.padding = kernel // 2 if stride == 1 else 0

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, stride=self.stride, padding=self.padding)


class _Shrinking(nn.Sequential):
    """A step of the encoder: blurred and halved, convolved, activated."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(_Blur(), _Convolution(inputs, outputs, 3, 2), _Bias(outputs))

    def forward(self, x: Tensor) -> Tensor:
        blur, convolution, bias = self
        out: Tensor = bias(convolution(blur(x, 2, 2)))
        return out


class _Modulated(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, kernel: int, style: int, *, doubles: bool, demodulate: bool
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel))
        self.modulation = _Linear(style, inputs, active=False)
        nn.init.ones_(self.modulation.bias)
        self.blur = _Blur(gain=4) if doubles else None
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.demodulate = demodulate

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        style = self.modulation(code)
        weight = self.weight[0] * self.scale
        x = x * style[:, :, None, None]
        if self.blur is None:
            out = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        else:
            out = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            out = self.blur(out, 1, 1)
        if self.demodulate:
            energy = F.linear(style.float().square(), weight.float().square().sum((2, 3)))
            out = out * (energy + _EPSILON).rsqrt().to(out.dtype)[:, :, None, None]
        return out


class _Beside(nn.Module):
    """Lays the encoder's features beside a layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        return torch.cat([x, self.weight * seen], 1)


class _Styled(nn.Module):
    def __init__(self, inputs: int, outputs: int, style: int, *, doubles: bool = False) -> None:
        super().__init__()
        self.conv = _Modulated(inputs, outputs, 3, style, doubles=doubles, demodulate=True)
        self.noise = _Beside()
        self.activate = _Bias(2 * outputs)

    def forward(self, x: Tensor, code: Tensor, seen: Tensor) -> Tensor:
        out: Tensor = self.activate(self.noise(self.conv(x, code), seen))
        return out


class _Enlarge(nn.Module):
    """Twice the size, by the binomial kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", _kernel() * 4)
        self.kernel: Tensor

    def forward(self, x: Tensor) -> Tensor:
        channels, height, width = x.shape[1:]
        kernel = self.kernel.to(x.dtype)[None, None].expand(channels, 1, -1, -1)
        out = F.conv_transpose2d(x, kernel, stride=2, groups=channels)
        return out[..., 1 : 2 * height + 1, 1 : 2 * width + 1]


class _ToRGB(nn.Module):
    def __init__(self, inputs: int, style: int, *, doubles: bool = True) -> None:
        super().__init__()
        self.upsample = _Enlarge() if doubles else None
        self.conv = _Modulated(inputs, 3, 1, style, doubles=False, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, code: Tensor, below: Tensor | None = None) -> Tensor:
        out: Tensor = self.conv(x, code) + self.bias
        return out if below is None or self.upsample is None else out + self.upsample(below)


class _Normalised(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * (x.square().mean(1, keepdim=True) + _EPSILON).rsqrt()


class _Constant(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))


class _Generator(nn.Module):
    """StyleGAN2's synthesis, the encoder's features beside every layer's."""

    def __init__(self, config: GPENConfig) -> None:
        super().__init__()
        size = config.style_size
        mapping = (
            _Linear(size, size, rate=_MAPPING_RATE, active=True)
            for _ in range(config.mapping_layers)
        )
        self.style = nn.Sequential(_Normalised(), *mapping)
        first, *rest = config.sides
        before = config.channels(first)
        self.input = _Constant(before)
        self.conv1 = _Styled(before, before, size)
        self.to_rgb1 = _ToRGB(2 * before, size, doubles=False)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for side in rest:
            here = config.channels(side)
            self.convs.append(_Styled(2 * before, here, size, doubles=True))
            self.convs.append(_Styled(2 * here, here, size))
            self.to_rgbs.append(_ToRGB(2 * here, size))
            before = here

    def forward(self, code: Tensor, seen: list[Tensor]) -> Tensor:
        code = self.style(code)
        x = self.input.input.expand(len(code), -1, -1, -1)
        x = self.conv1(x, code, seen[0])
        image: Tensor = self.to_rgb1(x, code)
        for level, to_rgb in enumerate(self.to_rgbs):
            here = seen[level + 1]
            x = self.convs[2 * level](x, code, here)
            x = self.convs[2 * level + 1](x, code, here)
            image = to_rgb(x, code, image)
        return image


class GPEN(nn.Module):
    """The whole network, with random weights.

    Parameters
    ----------
    config
        Hyper-parameters; by default those of GPEN-BFR-512.
    """

    def __init__(self, config: GPENConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GPENConfig()
        sides = list(reversed(config.sides))
        first = nn.Sequential(
            _Convolution(3, config.channels(sides[0]), 1, 1), _Bias(config.channels(sides[0]))
        )
        self.encoders = len(sides)
        self.ecd0 = nn.Sequential(first)
        for index, side in enumerate(sides[1:], start=1):
            step = _Shrinking(config.channels(2 * side), config.channels(side))
            setattr(self, f"ecd{index}", nn.Sequential(step))
        smallest = config.channels(4) * 16
        self.final_linear = nn.Sequential(_Linear(smallest, config.style_size, active=True))
        self.generator = _Generator(config)

    def forward(self, faces: Tensor) -> Tensor:
        """Restore faces (B, 3, side, side), RGB in -1..1."""
        seen: list[Tensor] = []
        x = faces
        for index in range(self.encoders):
            x = getattr(self, f"ecd{index}")(x)
            seen.insert(0, x)
        code = self.final_linear(x.contiguous().flatten(1))
        image: Tensor = self.generator(code, seen)
        return image


def _detect(weights: Mapping[str, Tensor]) -> bool:
    return {"ecd0.0.0.weight", "generator.input.input"} <= weights.keys()


def _load(weights: Mapping[str, Tensor], asked: Asked) -> PlainStage:
    config = GPENConfig.of(weights)
    title = f"{TITLE} {config.side}"
    about = Descriptor(NAME, title, config.side, LICENCE, template="arcface", margin=MARGIN)
    about.check(asked.dtype)
    try:
        with torch.device("meta"):
            network = GPEN(config)
        network.load_state_dict(weights, assign=True)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"the weights do not fit the GPEN network: {reason}") from error
    network.to(device=asked.device, dtype=asked.dtype).eval().requires_grad_(False)
    return PlainStage(about, network, asked.dtype)


KIND = Kind(NAME, TITLE, LICENCE, _detect, _load, restricted=RESTRICTED[NAME])
