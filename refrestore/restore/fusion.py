"""The fusion network: a degraded face and its person's references in, the face out.

Small and mostly at an eighth of the resolution. It aligns each reference (a residual flow on top
of the mesh warp), compares it with the degraded face and with the others, and mixes the octave
bands of all of them by a softmax per place and band over the references and "none", which keeps
the input's own band. A decoder adds what mixing cannot do (noise and blocks taken away, seams
closed). Untrained it is a frequency split: where the input has lost a band, the references' mean
stands in; what it still has stays its own.
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
from refrestore.restore.blocks import (
    CELL,
    Aligner,
    Residual,
    attended,
    by_face,
    fed,
    folded,
    moments,
    resized,
    zeroed,
)
from refrestore.restore.colour import LIGHT_BLOCK, collapse, match_light, pyramid, stretch
from refrestore.restore.register import register
from refrestore.restore.warp import STRIDE, warp

ALIGN_SCALE = 4
"""References are aligned at a quarter of the resolution."""

FINE_BANDS = 3
"""Octaves finer than a cell; one attention serves them all, another the coarser ones."""

NONE_SHARP = 1.5
"""Logit of "none" where the input's band is as strong as the references': five share it with the
input about evenly."""

NONE_SLOPE = 5.0
"""How fast it falls with the logarithm of that ratio: a band of half its strength is replaced."""

RATIO_LIMITS = (-0.9, 0.0)
"""Limits of the logarithm; at the lower one five references have 99 % of the band."""

FAINT = 0.002
"""Strength of a band that is as good as none: half a grey level of 255."""

LEARNT_LIMIT = 3.0
"""Furthest the learnt part can move the logit: beyond, gradients would die in the sigmoid."""

NEVER = -30.0
"""Logit of a reference that is not there: finite, or a face without any would divide 0 by 0."""

OUTSIDE_HULL = 9.0
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
        References warped, aligned and matched in light. No gradient passes through them.
    previews : (B, K, 3, S / 4, S / 4) float32
        The same at a quarter of the resolution, with a gradient to the aligner; only in training.
    attention : (B, K, 2, S / 8, S / 8)
        Softmax over the references, for the fine and for the coarse bands.
    shares : (B, bands, S / 8, S / 8)
        What the references have of each band, 0..1; the rest is the input's.
    """

    images: torch.Tensor
    confidence: torch.Tensor
    references: torch.Tensor
    previews: torch.Tensor | None
    attention: torch.Tensor
    shares: torch.Tensor


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
        self.rank_out = zeroed(nn.Conv2d(channels, 2, 1))
        self.mix = zeroed(nn.Conv2d(width, 3 * bands, 3, padding=1))
        self.see_fused = nn.Conv2d(cell + width, width, 3, padding=1)
        self.decoder = nn.Sequential(*(Residual(width) for _ in range(config.decoder_blocks)))
        self.grow = nn.Conv2d(width, config.detail * 16, 1)
        self.fine = nn.Conv2d(config.detail + 24, config.detail, 3, padding=1)
        self.finest = nn.Conv2d(config.detail, config.detail, 3, padding=1)
        self.residual = zeroed(nn.Conv2d(config.detail, 12, 3, padding=1))
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
        cells = torch.cat([folded(faces, self.see_reference), fed(hull, self.see_reference)], 1)
        seen = self.see_face(cells)
        previews = None
        if count:
            references, previews = self._align(faces, references, offsets, valid, hull)
            pairs = self._encode(seen, references)
            mean, spread = moments(pairs, valid)
        else:
            references = faces.new_zeros((len(faces), 0, *faces.shape[1:]))
            pairs = seen.new_zeros((len(faces), 0, *seen.shape[1:]))
            mean = spread = torch.zeros_like(seen)
        number = valid.float().sum(1)[:, None, None, None] / 5
        extra = torch.cat([hull, number.expand_as(hull)], 1).to(seen.dtype)
        trunk = self.trunk(self.gather(torch.cat([seen, mean, spread, extra], 1)))
        strength = self._strength(faces, references, hull) if count else None
        attention, shares, gains = self._attend(trunk, pairs, valid, hull, strength)
        fused = self._mix(faces, references, attention, shares, gains)
        images = fused + self._decode(trunk, fused, faces)
        trust = shares[:, 1:FINE_BANDS].mean(1, keepdim=True)
        confidence = stretch(trust, *faces.shape[-2:])
        return Fused(images, confidence, references, previews, attention, shares)

    def _align(
        self,
        faces: torch.Tensor,
        references: torch.Tensor,
        offsets: torch.Tensor,
        valid: torch.Tensor,
        hull: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Warp references onto faces, correct the mesh's error, match the light.

        The correction is `register`'s, then a learnt residual flow. The aligner learns from the
        previews alone: a gradient through the full-size samples would double the cost of training
        and teach it little that a quarter does not show.
        """
        batch, count = references.shape[:2]
        keep = valid[:, :, None, None, None]
        with torch.no_grad():
            small_face = F.avg_pool2d(faces, ALIGN_SCALE)
            flat = references.flatten(0, 1)
            # Bytes stay 0..255 until the light is matched: one pass over all pixels less.
            pictures = flat.float()
            unit = 1 / 255 if flat.dtype == torch.uint8 else 1.0
            small = F.avg_pool2d(pictures, ALIGN_SCALE) * unit

        def preview(field: torch.Tensor) -> torch.Tensor:
            placed = by_face(warp(small, field / ALIGN_SCALE, stride=1), batch)
            return match_light(placed, small_face, block=LIGHT_BLOCK // ALIGN_SCALE)

        half = CELL // ALIGN_SCALE
        with torch.no_grad():
            cells = F.avg_pool2d(preview(offsets.flatten(0, 1)).flatten(0, 1), half)
            with torch.autocast(faces.device.type, enabled=False):
                face_cells = F.avg_pool2d(small_face, half)
                moved = register(face_cells, by_face(cells, batch), valid, hull)
            moved = stretch(moved, *offsets.shape[-2:]) * CELL
            coarse = (offsets + moved[:, None]).flatten(0, 1)
        flow = self.align(
            small_face.repeat_interleave(count, 0),
            preview(coarse).flatten(0, 1),
            hull.repeat_interleave(count, 0),
        )
        field = coarse + F.interpolate(
            flow, scale_factor=CELL // STRIDE, mode="bilinear", align_corners=False
        )
        with torch.no_grad():
            warped = by_face(warp(pictures, field), batch)
            matched = match_light(warped, faces, unit=unit) * keep
        return matched, preview(field) * keep if torch.is_grad_enabled() else None

    def _encode(self, seen: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
        batch, count = references.shape[:2]
        look = self.see_reference(folded(references.flatten(0, 1), self.see_reference))
        pair = F.silu(torch.cat([look, seen.repeat_interleave(count, 0)], 1))
        return by_face(self.encoder(self.compare(pair)), batch)

    @torch.no_grad()
    def _strength(
        self, faces: torch.Tensor, references: torch.Tensor, hull: torch.Tensor
    ) -> torch.Tensor:
        """Return how strong the faces' bands are beside the nearest reference's.

        Logarithm of the ratio inside the hull, (B, bands, 1, 1): 0 for a sharp face, far below
        for a blurred one.
        """
        ratios = []
        own, _ = pyramid(faces, self.config.bands)
        theirs, _ = pyramid(references[:, 0], self.config.bands)
        for mine, their in zip(own, theirs, strict=True):
            where = resized(hull, mine.shape[-1])
            area = where.sum((1, 2, 3)).clamp(min=1e-3) * mine.shape[1]
            one, other = (
                ((band.square() * where).sum((1, 2, 3)) / area).sqrt() + FAINT
                for band in (mine, their)
            )
            ratios.append((one / other).log().clamp(*RATIO_LIMITS))
        return torch.stack(ratios, 1)[:, :, None, None]

    def _attend(
        self,
        trunk: torch.Tensor,
        pairs: torch.Tensor,
        valid: torch.Tensor,
        hull: torch.Tensor,
        strength: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return attention (B, K, 2, h, w), shares (B, bands, h, w), gains (B, 2, bands, h, w)."""
        batch, count = pairs.shape[:2]
        mixing = self.mix(F.silu(trunk)).float()
        mixing = mixing.reshape(batch, 3, -1, *mixing.shape[-2:])
        none = LEARNT_LIMIT * torch.tanh(mixing[:, 0] / LEARNT_LIMIT)
        none = none + NONE_SHARP + OUTSIDE_HULL * (1 - hull)
        if strength is not None:
            none = none + NONE_SLOPE * strength
        gains = 2 * torch.sigmoid(mixing[:, 1:])
        if not count:
            return mixing.new_zeros((batch, 0, 2, *none.shape[-2:])), none * 0, gains
        context = self.rank_context(trunk).repeat_interleave(count, 0)
        logits = self.rank_out(F.silu(self.rank(F.silu(pairs.flatten(0, 1))) + context))
        logits = by_face(logits.float(), batch)
        logits = logits.masked_fill(~valid[:, :, None, None, None], NEVER)
        mass = torch.logsumexp(logits, 1)
        levels = [0 if level < FINE_BANDS else 1 for level in range(self.config.bands)]
        return torch.softmax(logits, 1), torch.sigmoid(mass[:, levels] - none), gains

    def _mix(
        self,
        faces: torch.Tensor,
        references: torch.Tensor,
        attention: torch.Tensor,
        shares: torch.Tensor,
        gains: torch.Tensor,
    ) -> torch.Tensor:
        """Mix the bands: of the input by 1 - share, of the attended references by share."""
        own, rest = pyramid(faces, self.config.bands)
        theirs = own
        if references.shape[1]:
            fine = attended(references, attention[:, :, 0])
            cells = by_face(F.avg_pool2d(references.flatten(0, 1), CELL), len(faces))
            coarse = attended(cells, attention[:, :, 1])
            theirs = pyramid(fine, FINE_BANDS)[0]
            theirs += pyramid(coarse, self.config.bands - FINE_BANDS)[0]
        mixed = []
        for level, (mine, their) in enumerate(zip(own, theirs, strict=True)):
            share = resized(shares[:, level, None], mine.shape[-1])
            ours = mine * resized(gains[:, 1, level, None], mine.shape[-1])
            detail = their * resized(gains[:, 0, level, None], mine.shape[-1])
            mixed.append(torch.lerp(ours, detail, share))
        return collapse(mixed, rest)

    def _decode(
        self, trunk: torch.Tensor, fused: torch.Tensor, faces: torch.Tensor
    ) -> torch.Tensor:
        cells = folded(fused, self.see_fused)
        deep = self.decoder(self.see_fused(torch.cat([cells, trunk.to(cells.dtype)], 1)))
        half = F.pixel_shuffle(self.grow(F.silu(deep)), 4)
        pictures = torch.cat([F.pixel_unshuffle(fused, 2), F.pixel_unshuffle(faces, 2)], 1)
        half = self.fine(torch.cat([F.silu(half), fed(pictures, self.fine)], 1))
        half = half + self.finest(F.silu(half))
        return F.pixel_shuffle(self.residual(F.silu(half)).float(), 2)


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
