"""The fusion network: a degraded face and its person's references in, the face out.

Small and mostly at an eighth of the resolution. It aligns each reference (a residual flow on top
of the mesh warp), compares it with the degraded face and with the others, and mixes the octave
bands of all of them by a softmax per place and band over the references and "none", which keeps
the input's own band. A decoder adds what mixing cannot do (noise and blocks taken away, seams
closed). Untrained it is the frequency split: low frequencies of the input, high frequencies of
the references' mean.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F  # noqa: N812

from refrestore.errors import ModelError
from refrestore.restore.colour import LIGHT_BLOCK, collapse, match_light, pyramid
from refrestore.restore.warp import STRIDE, warp

CELL = 8
"""Crop pixels per cell of the feature maps."""

ALIGN_SCALE = 4
"""References are aligned at a quarter of the resolution."""

FLOW_LIMIT = 16.0
"""Furthest the residual flow can move, crop pixels at 512 (a mesh found at 24 px errs by 5-10)."""

NONE_START = -2.5
"""Starting logit of "none" in the fine bands: with five references it keeps 2 % of the input."""

COARSE_NONE_START = 1.0
"""The same in the coarsest band, where the frame's own expression and light live: 35 %."""

OUTSIDE_HULL = 6.0
"""Added to "none" outside the mesh hull, where the warp knows nothing; learnt logits may win."""


@dataclass(frozen=True, slots=True)
class FusionConfig:
    """Shape of the network; stored in the weights file.

    Parameters
    ----------
    channels
        Of the reference encoder.
    width
        Of the trunk and the decoder.
    bands
        Octaves that are mixed; the rest is the input's. Crops are multiples of 2 ** bands.
    encoder_blocks, trunk_blocks, decoder_blocks
        Residual blocks of each part.
    detail
        Channels at half resolution in the decoder.
    """

    channels: int = 64
    width: int = 96
    bands: int = 5
    encoder_blocks: int = 2
    trunk_blocks: int = 4
    decoder_blocks: int = 3
    detail: int = 32


@dataclass(frozen=True, slots=True)
class Fused:
    """What the network returns.

    Parameters
    ----------
    images : (B, 3, S, S) float32
        Restored faces, RGB, about 0..1 (not clamped).
    confidence : (B, 1, S, S) float32
        Share of the references in the fine bands, 0..1: high where they agree with each other and
        with the input, 0 without references.
    references : (B, K, 3, S, S) float32
        References warped, aligned and matched in light.
    attention : (B, K + 1, bands, S / 8, S / 8)
        Softmax over the references and, last, "none".
    """

    images: torch.Tensor
    confidence: torch.Tensor
    references: torch.Tensor
    attention: torch.Tensor


class Residual(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.second.weight)
        self.second.weight.data *= 0.2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take and return (N, width, h, w)."""
        out: torch.Tensor = x + self.second(F.silu(self.first(F.silu(x))))
        return out


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Aligner(nn.Module):
    """Residual flow of one warped reference onto the face, both at a quarter of the resolution."""

    def __init__(self, width: int = 40) -> None:
        super().__init__()
        self.enter = nn.Conv2d(12 + 12 + 1, width, 3, padding=1)
        self.down = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.deep = nn.Sequential(Residual(width), Residual(width, 2), Residual(width, 4))
        self.leave = nn.Conv2d(2 * width, width, 3, padding=1)
        self.flow = _zero(nn.Conv2d(width, 2, 3, padding=1))

    def forward(
        self, face: torch.Tensor, reference: torch.Tensor, hull: torch.Tensor
    ) -> torch.Tensor:
        """Return (N, 2, S / 8, S / 8) crop pixels from (N, 3, S / 4, S / 4) pictures."""
        pair = torch.cat([F.pixel_unshuffle(face, 2), F.pixel_unshuffle(reference, 2), hull], 1)
        near = F.silu(self.enter(_feed(pair, self.enter)))
        far = self.deep(self.down(near))
        far = F.interpolate(far, size=near.shape[-2:], mode="nearest")
        flow = self.flow(F.silu(self.leave(torch.cat([near, far.to(near.dtype)], 1))))
        return FLOW_LIMIT * torch.tanh(flow.float() / FLOW_LIMIT)


def _feed(x: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """Cast to what a layer computes in, channels last (AMX and tensor cores want both)."""
    return x.to(layer.weight.dtype, memory_format=torch.channels_last)


class FusionNetwork(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: FusionConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FusionConfig()
        cell = 3 * CELL**2
        channels, width, bands = config.channels, config.width, config.bands
        self.align = Aligner()
        self.see_face = nn.Sequential(
            nn.Conv2d(cell + 1, channels, 3, padding=1), Residual(channels), Residual(channels)
        )
        self.see_reference = nn.Conv2d(cell, channels, 3, padding=1)
        self.compare = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.encoder = nn.Sequential(*(Residual(channels) for _ in range(config.encoder_blocks)))
        self.gather = nn.Conv2d(3 * channels + 2, width, 3, padding=1)
        self.trunk = nn.Sequential(
            *(Residual(width, 2 ** (block % 3)) for block in range(config.trunk_blocks))
        )
        self.rank = nn.Conv2d(channels, channels, 3, padding=1)
        self.rank_context = nn.Conv2d(width, channels, 3, padding=1)
        self.rank_out = _zero(nn.Conv2d(channels, bands, 1))
        self.mix = _zero(nn.Conv2d(width, 3 * bands, 3, padding=1))
        self.see_fused = nn.Conv2d(cell + width, width, 3, padding=1)
        self.decoder = nn.Sequential(*(Residual(width) for _ in range(config.decoder_blocks)))
        self.grow = nn.Conv2d(width, config.detail * 16, 1)
        self.fine = nn.Conv2d(config.detail + 24, config.detail, 3, padding=1)
        self.finest = nn.Conv2d(config.detail, config.detail, 3, padding=1)
        self.residual = _zero(nn.Conv2d(config.detail, 12, 3, padding=1))
        start = torch.full((3, bands), 0.0)
        start[0] = NONE_START
        start[0, -1] = COARSE_NONE_START
        self.mix.bias = nn.Parameter(start.flatten())
        self.to(memory_format=torch.channels_last)

    def forward(
        self,
        faces: torch.Tensor,
        references: torch.Tensor,
        offsets: torch.Tensor,
        valid: torch.Tensor,
        hull: torch.Tensor,
    ) -> Fused:
        """Restore B faces.

        Parameters
        ----------
        faces : (B, 3, S, S) float32
            Degraded crops, RGB 0..1, S a multiple of 32.
        references : (B, K, 3, R, R) uint8 or float32 in 0..1
            References as they are; K may be 0.
        offsets : (B, K, 2, S / 4, S / 4) float32
            Displacement of each onto its face (`warp.displacement`).
        valid : (B, K) bool
            False where a face has fewer than K references.
        hull : (B, 1, S / 8, S / 8) float32
            How much of each cell is inside the mesh hull, 0..1.
        """
        count = references.shape[1]
        cells = F.pixel_unshuffle(faces, CELL)
        seen = self.see_face(_feed(torch.cat([cells, hull], 1), self.see_reference))
        if count:
            references = self.aligned(faces, references, offsets, valid, hull)
            pairs = self._encode(seen, references)
            mean, spread = _moments(pairs, valid)
        else:
            references = faces.new_zeros((len(faces), 0, *faces.shape[1:]))
            pairs = seen.new_zeros((len(faces), 0, *seen.shape[1:]))
            mean = spread = torch.zeros_like(seen)
        number = valid.float().sum(1)[:, None, None, None] / 5
        extra = torch.cat([hull, number.expand_as(hull)], 1).to(seen.dtype)
        trunk = self.trunk(self.gather(torch.cat([seen, mean, spread, extra], 1)))
        attention, gains = self._attend(trunk, pairs, valid, hull)
        fused = self._mix(faces, references, attention, gains)
        images = fused + self._decode(trunk, fused, faces)
        share = 1 - attention[:, -1, 1:3].mean(1, keepdim=True)
        confidence = F.interpolate(share, scale_factor=CELL, mode="bilinear", align_corners=False)
        return Fused(images, confidence, references, attention)

    def aligned(
        self,
        faces: torch.Tensor,
        references: torch.Tensor,
        offsets: torch.Tensor,
        valid: torch.Tensor,
        hull: torch.Tensor,
    ) -> torch.Tensor:
        """Warp references onto faces, correct the mesh's error, match the light."""
        batch, count = references.shape[:2]
        small_face = F.avg_pool2d(faces, ALIGN_SCALE)
        flat = references.flatten(0, 1)
        pictures = flat.float() / 255 if flat.dtype == torch.uint8 else flat.float()
        coarse = offsets.flatten(0, 1)
        small = warp(F.avg_pool2d(pictures, ALIGN_SCALE), coarse / ALIGN_SCALE, stride=1)
        small = match_light(
            _by_face(small, batch), small_face, block=LIGHT_BLOCK // ALIGN_SCALE
        ).flatten(0, 1)
        flow = self.align(
            small_face.repeat_interleave(count, 0), small, hull.repeat_interleave(count, 0)
        )
        flow = F.interpolate(
            flow, scale_factor=CELL // STRIDE, mode="bilinear", align_corners=False
        )
        warped = _by_face(warp(pictures, coarse + flow), batch)
        return match_light(warped, faces) * valid[:, :, None, None, None]

    def _encode(self, seen: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
        batch, count = references.shape[:2]
        cells = F.pixel_unshuffle(references.flatten(0, 1), CELL)
        look = self.see_reference(_feed(cells, self.see_reference))
        pair = F.silu(torch.cat([look, seen.repeat_interleave(count, 0)], 1))
        return _by_face(self.encoder(self.compare(pair)), batch)

    def _attend(
        self,
        trunk: torch.Tensor,
        pairs: torch.Tensor,
        valid: torch.Tensor,
        hull: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return attention (B, K + 1, bands, h, w) and gains (B, 2, bands, h, w), float32."""
        batch, count = pairs.shape[:2]
        mixing = self.mix(F.silu(trunk)).float()
        none, gains = mixing.reshape(batch, 3, -1, *mixing.shape[-2:]).split([1, 2], 1)
        none = none + OUTSIDE_HULL * (1 - hull)[:, :, None]
        gains = 2 * torch.sigmoid(gains)
        if not count:
            return torch.ones_like(none), gains
        context = self.rank_context(trunk).repeat_interleave(count, 0)
        logits = self.rank_out(F.silu(self.rank(F.silu(pairs.flatten(0, 1))) + context))
        logits = _by_face(logits.float(), batch)
        logits = logits.masked_fill(~valid[:, :, None, None, None], -torch.inf)
        return torch.softmax(torch.cat([logits, none], 1), 1), gains

    def _mix(
        self,
        faces: torch.Tensor,
        references: torch.Tensor,
        attention: torch.Tensor,
        gains: torch.Tensor,
    ) -> torch.Tensor:
        batch, count = references.shape[:2]
        own, rest = pyramid(faces, self.config.bands)
        theirs, _ = pyramid(references.flatten(0, 1), self.config.bands)
        mixed = []
        for level, band in enumerate(own):
            share = _resize(attention[:, :, level], band.shape[-1])
            gain = _resize(gains[:, :, level], band.shape[-1])
            out = band * (share[:, -1:] * gain[:, 1:2])
            if count:
                details = _by_face(theirs[level], batch)
                out = out + gain[:, :1] * torch.einsum("bkchw,bkhw->bchw", details, share[:, :-1])
            mixed.append(out)
        return collapse(mixed, rest)

    def _decode(
        self, trunk: torch.Tensor, fused: torch.Tensor, faces: torch.Tensor
    ) -> torch.Tensor:
        cells = _feed(F.pixel_unshuffle(fused, CELL), self.see_fused)
        deep = self.decoder(self.see_fused(torch.cat([cells, trunk.to(cells.dtype)], 1)))
        half = F.pixel_shuffle(self.grow(F.silu(deep)), 4)
        pictures = torch.cat([F.pixel_unshuffle(fused, 2), F.pixel_unshuffle(faces, 2)], 1)
        half = self.fine(torch.cat([F.silu(half), _feed(pictures, self.fine)], 1))
        half = half + self.finest(F.silu(half))
        return F.pixel_shuffle(self.residual(F.silu(half)).float(), 2)


def _by_face(x: torch.Tensor, batch: int) -> torch.Tensor:
    """Turn (B * K, ...) into (B, K, ...)."""
    return x.reshape(batch, -1, *x.shape[1:])


def _resize(maps: torch.Tensor, size: int) -> torch.Tensor:
    """Bring square maps to `size` pixels a side: bilinear up, mean down."""
    if size == maps.shape[-1]:
        return maps
    if size < maps.shape[-1]:
        return F.avg_pool2d(maps, maps.shape[-1] // size)
    return F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)


def _moments(pairs: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and mean absolute deviation over the valid references; zero where there is none."""
    weights = valid.to(pairs.dtype)
    weights = (weights / weights.sum(1, keepdim=True).clamp(min=1))[:, :, None, None, None]
    mean = (pairs * weights).sum(1)
    return mean, ((pairs - mean[:, None]).abs() * weights).sum(1)


def save_fusion(network: FusionNetwork, path: Path) -> None:
    """Write half-precision weights and the configuration as safetensors."""
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, path, metadata={"config": json.dumps(asdict(network.config))})


def load_fusion(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> FusionNetwork:
    """Read a network that `save_fusion` wrote, ready for inference.

    Raises
    ------
    ModelError
        The file is missing, damaged or of another shape.
    """
    try:
        with safe_open(path, framework="pt") as file:
            config = FusionConfig(**json.loads((file.metadata() or {})["config"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network = FusionNetwork(config)
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"The fusion weights {path} cannot be used ({type(error).__name__}: {error}); "
            "put back models/lite/fusion.safetensors of this version."
        ) from error
    network = network.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)
    return network.eval().requires_grad_(False)
