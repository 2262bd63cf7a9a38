"""The GFPGAN network (GFPGANv1Clean, 1.2 to 1.4), split into `encode` and `decode`.

Wang et al., "Towards Real-World Blind Face Restoration with Generative Facial Prior", CVPR 2021.
Every parameter and buffer has the official name and shape, so that official weights load strictly.
Three things differ from the official forward pass, none in what it computes:

* A modulated convolution is one ordinary convolution for the whole batch: activations are scaled
  by the style, outputs by the demodulation (StyleGAN2, section 2.2). The grouped form makes one
  set of weights a face and does not batch.
* On a CPU its convolutions are done with fewer products, and large maps a face at a time, with the
  style in the weights (`restore.convolve`).
* The noise is always the stored one. Fresh noise a call is flicker in a video.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from refrestore.errors import ModelError
from refrestore.restore.convolve import convolve, convolve_enlarged, resize
from refrestore.restore.second.kind import Asked, Kind
from refrestore.restore.second.stage import Descriptor, PlainStage
from refrestore.restore.second.stylegan import SLOPE, SMALLEST, SynthesisNetwork
from refrestore.restore.weights import VERIFY, read_tensors

NAME, TITLE = "gfpgan", "GFPGAN"

LICENCE = "Apache-2.0, with non-commercial terms of NVIDIA StyleGAN2 and DFDNet in its LICENSE"

_BASE_CHANNELS = {4: 512, 8: 512, 16: 512, 32: 512}
_SCALED_CHANNELS = {64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}


@dataclass(frozen=True, slots=True)
class GFPGANConfig:
    """Hyper-parameters; the defaults are those of versions 1.2 to 1.4.

    Parameters
    ----------
    out_size
        Side of input and output in pixels, a power of two, 8..1024.
    style_size
        Length of a W+ code.
    channel_multiplier
        Factor of the channels at 64 px and above.
    narrow
        Factor of all channels.
    mapping_layers
        Layers of StyleGAN2's mapping network, which the weights carry and nothing uses.
    """

    out_size: int = 512
    style_size: int = 512
    channel_multiplier: float = 2
    narrow: float = 1.0
    mapping_layers: int = 8

    def __post_init__(self) -> None:
        if self.out_size not in (8, 16, 32, 64, 128, 256, 512, 1024):
            raise ValueError(f"out_size must be a power of two in 8..1024, got {self.out_size}")

    @property
    def levels(self) -> int:
        """Resolutions from 8 px to `out_size`."""
        return self.out_size.bit_length() - 3

    @property
    def codes(self) -> int:
        """W+ codes a face has."""
        return 2 * self.levels + 2

    def channels(self, narrow: float) -> dict[int, int]:
        """Return the channels at each resolution."""
        scaled = {side: base * self.channel_multiplier for side, base in _SCALED_CHANNELS.items()}
        return {
            side: int(base * narrow)
            for side, base in (_BASE_CHANNELS | scaled).items()
            if side <= self.out_size
        }

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> GFPGANConfig:
        """Deduce the hyper-parameters from a state dict.

        Raises
        ------
        ModelError
            If it is not one of GFPGANv1Clean with a code a layer and SFT on half the channels.
        """
        try:
            constant = weights["stylegan_decoder.constant_input.weight"].shape[1]
            style_size = weights["stylegan_decoder.style_mlp.1.weight"].shape[0]
            levels = sum(key.startswith("toRGB.") and key.endswith("weight") for key in weights)
            mapping = sum(key.startswith("stylegan_decoder.style_mlp.") for key in weights) // 2
            narrow = constant / _BASE_CHANNELS[4]
            multiplier = 2.0
            if levels > 3:
                at_64 = weights["stylegan_decoder.to_rgbs.3.modulated_conv.weight"].shape[2]
                multiplier = at_64 / (_SCALED_CHANNELS[64] * narrow)
            config = cls(2 ** (levels + 2), style_size, multiplier, narrow, mapping)
            if min(config.channels(narrow / 2).values()) < 1:
                raise ValueError("a layer without channels")
            rows, columns = weights["condition_scale.0.2.weight"].shape[:2]
            same = weights["final_linear.weight"].shape[0] == config.codes * style_size
        except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
            raise ModelError("the weights are not of a GFPGANv1Clean network.") from error
        if not same or rows != columns:
            raise ModelError("the weights are of an older GFPGAN; use version 1.2, 1.3 or 1.4.")
        return config


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """What the encoder says of B faces; all that the generator takes.

    Parameters
    ----------
    styles : (B, L, S)
        W+ codes, one a layer.
    scales, shifts
        SFT maps at 8, 16, … px: (B, C / 2, side, side) for C generator channels there.
    previews
        RGB (B, 3, side, side) at each of these resolutions, if asked for.
    """

    styles: Tensor
    scales: tuple[Tensor, ...]
    shifts: tuple[Tensor, ...]
    previews: tuple[Tensor, ...] = ()

    def __post_init__(self) -> None:
        batches = {len(part) for part in (self.styles, *self.scales, *self.shifts)}
        if len(batches) != 1 or len(self.scales) != len(self.shifts):
            raise ValueError(f"Codes of one batch expected, got lengths {sorted(batches)}")

    def __len__(self) -> int:
        return len(self.styles)

    def __repr__(self) -> str:
        sides = [scale.shape[-1] for scale in self.scales]
        return f"Codes(styles{list(self.styles.shape)}, SFT at {sides})"


class _ZeroPadded(nn.Conv2d):
    """3 x 3 over zero edges, by `convolve`."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, 1, 1)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  nn.Conv2d's name for it
        return convolve(input, self.weight, self.bias)


class _ResidualBlock(nn.Module):
    """Two convolutions with a bilinear change of size by `factor` between, and a skip."""

    def __init__(self, in_channels: int, out_channels: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.conv1 = _ZeroPadded(in_channels, in_channels)
        self.conv2 = _ZeroPadded(in_channels, out_channels)
        self.skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = functional.leaky_relu_(self.conv1(x), SLOPE)
        if self.factor > 1:
            out = convolve_enlarged(out, self.conv2.weight, self.conv2.bias)
        else:
            out = self.conv2(resize(out, self.factor))
        out = functional.leaky_relu_(out, SLOPE)
        # A 1x1 convolution without bias commutes with resizing: done where it is smaller.
        skip = resize(self.skip(x), self.factor) if self.factor > 1 else self.skip(resize(x, 0.5))
        return skip.add_(out)


class GFPGAN(nn.Module):
    """GFPGANv1Clean.

    Parameters
    ----------
    config
        Hyper-parameters; by default those of the official versions 1.2 to 1.4.

    Notes
    -----
    Made by the constructor it has random weights, for training; `from_file` opens published ones.
    """

    def __init__(self, config: GFPGANConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GFPGANConfig()
        channels = config.channels(config.narrow / 2)
        sides = [SMALLEST << (level + 1) for level in range(config.levels)]
        self.conv_body_first = nn.Conv2d(3, channels[config.out_size], 1)
        self.conv_body_down = nn.ModuleList(
            _ResidualBlock(channels[side], channels[side // 2], 0.5) for side in reversed(sides)
        )
        self.final_conv = _ZeroPadded(channels[SMALLEST], channels[SMALLEST])
        self.conv_body_up = nn.ModuleList(
            _ResidualBlock(channels[side // 2], channels[side], 2) for side in sides
        )
        self.toRGB = nn.ModuleList(nn.Conv2d(channels[side], 3, 1) for side in sides)
        self.final_linear = nn.Linear(
            channels[SMALLEST] * SMALLEST**2, config.codes * config.style_size
        )
        self.stylegan_decoder = SynthesisNetwork(
            config.channels(config.narrow), config.style_size, config.mapping_layers
        )
        self.condition_scale = nn.ModuleList(_condition(channels[side]) for side in sides)
        self.condition_shift = nn.ModuleList(_condition(channels[side]) for side in sides)

    @property
    def descriptor(self) -> Descriptor:
        """What callers must know. Not float16: activations of the generator leave its range."""
        return Descriptor(NAME, TITLE, self.config.out_size, LICENCE)

    @property
    def stage(self) -> PlainStage:
        """The network as a second stage."""
        return PlainStage(self.descriptor, self, self.conv_body_first.weight.dtype)

    @classmethod
    def from_file(
        cls,
        path: Path,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> GFPGAN:
        """Open published (`.pth`) or our own (`.safetensors`) weights, ready for inference.

        Parameters
        ----------
        path
            File, already verified; nothing in it is executed.
        device, dtype
            Where and in what to compute; `descriptor.precisions` says which types are allowed.

        Raises
        ------
        ModelError
            If the file is not of this network.
        """
        weights = read_tensors(path, f"{VERIFY}, `refrestore models fetch full` fetches it")
        try:
            return cls.from_weights(weights, device=device, dtype=dtype)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error

    @classmethod
    def from_weights(
        cls,
        weights: Mapping[str, Tensor],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> GFPGAN:
        """Make the network of a state dict, ready for inference; it may keep those tensors.

        Raises
        ------
        ModelError
            If the state dict is not of this network.
        """
        config = GFPGANConfig.of(weights)
        try:
            with torch.device("meta"):  # no random weights that are overwritten at once
                network = cls(config)
            network.load_state_dict(weights, assign=True)
        except (RuntimeError, ValueError, ZeroDivisionError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise ModelError(f"the weights do not fit the GFPGAN network: {reason}") from error
        return network.for_inference(device, dtype)

    def for_inference(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> GFPGAN:
        """Move to a device and precision, lay weights out channels last, stop gradients.

        Raises
        ------
        ModelError
            If the network does not stand the precision.
        """
        self.descriptor.check(dtype)
        self.to(device=device, dtype=dtype).eval().requires_grad_(False)
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
            elif parameter.ndim == 5:  # a modulated convolution's, (1, out, in, k, k)
                parameter.data = parameter.data[0].contiguous(memory_format=torch.channels_last)[
                    None
                ]
        return self

    def encode(self, x: Tensor, *, previews: bool = False) -> Codes:
        """Say what the generator shall make.

        Parameters
        ----------
        x : (B, 3, size, size)
            Aligned faces, RGB in -1..1, of the network's precision.
        previews
            Also the encoder's own RGB at each resolution, which training supervises.

        Raises
        ------
        ValueError
            Another size.
        """
        side = self.config.out_size
        if x.shape[1:] != (3, side, side):
            raise ValueError(f"x must be (B, 3, {side}, {side}), got {tuple(x.shape)}")
        x = x.contiguous(memory_format=torch.channels_last)
        x = functional.leaky_relu_(self.conv_body_first(x), SLOPE)
        skips = []
        for down in self.conv_body_down:
            x = down(x)
            skips.append(x)
        x = functional.leaky_relu_(self.final_conv(x), SLOPE)
        # contiguous(): the linear layer was trained on channels-first order
        styles = self.final_linear(x.contiguous().flatten(1))
        scales, shifts, rgbs = [], [], []
        for level, up in enumerate(self.conv_body_up):
            x = up(x + skips.pop())
            scales.append(self.condition_scale[level](x))
            shifts.append(self.condition_shift[level](x))
            if previews:
                rgbs.append(self.toRGB[level](x))
        return Codes(
            styles.unflatten(1, (self.config.codes, self.config.style_size)),
            tuple(scales),
            tuple(shifts),
            tuple(rgbs),
        )

    def decode(self, codes: Codes) -> Tensor:
        """Make faces, (B, 3, size, size), RGB about -1..1 (not clipped)."""
        image: Tensor = self.stylegan_decoder(codes.styles, codes.scales, codes.shifts)
        return image

    def forward(self, x: Tensor) -> Tensor:
        """Restore faces: `decode(encode(x))`."""
        return self.decode(self.encode(x))


def _condition(channels: int) -> nn.Sequential:
    return nn.Sequential(
        _ZeroPadded(channels, channels),
        nn.LeakyReLU(SLOPE, inplace=True),
        _ZeroPadded(channels, channels),
    )


def _detect(weights: Mapping[str, Tensor]) -> bool:
    return "toRGB.0.weight" in weights and "stylegan_decoder.constant_input.weight" in weights


def _load(weights: Mapping[str, Tensor], asked: Asked) -> PlainStage:
    return GFPGAN.from_weights(weights, device=asked.device, dtype=asked.dtype).stage


KIND = Kind(NAME, TITLE, LICENCE, _detect, _load)
