"""The fusion network: a degraded face and its person's references in, the face out.

It thinks at half the crop's resolution (256 px of 512; a recogniser sees 142) in cells of eight
crop pixels. It aligns each reference (a registration on top of the mesh warp), compares it with
the degraded face, and mixes the octave bands of all of them by a softmax per
place over the references and a share per place and band that stays the input's own. The fine
bands of their mean are raised towards the references' own strength, or texture that they do not
share would be averaged away. A decoder adds what mixing cannot do (noise and blocks taken away,
seams closed, what neither shows). The finest octave, which only the full crop has, is mixed by the
shares of the next one.

Crops come in several sides (`restore.sides`). An octave is the same part of a face at each of them:
a smaller crop lacks the finest ones, and what is coarser than a sixteenth of a crop is never mixed.
Half of a crop of 256 is thought about, and a small head draws on its finest octave too: there it is
what a viewer sees. Small references are warped by cubic samples: bilinear ones lose some of the
octaves that are all there is.

Untrained it is a frequency split: where the input has lost a band, the references' mean stands
in; what it still has stays its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from refrestore.restore.blocks import (
    CELL,
    Residual,
    attended,
    by_face,
    cell_pattern,
    fed,
    folded,
    moments,
    raised,
    resized,
    without_cells,
    zeroed,
)
from refrestore.restore.colours import recoloured
from refrestore.restore.fusion_bands import (
    FINE_BANDS,
    FULL,
    WORKING,
    aligned,
    missing_octaves,
    mixed,
    strength_of,
    strengths,
    unshown,
)
from refrestore.restore.fusion_types import Fused, FusionConfig, Mixture, WorkingFaces
from refrestore.restore.light import (
    enlarge,
    lit,
    luma_of,
    shrunk,
    stretch,
)
from refrestore.restore.resize import Window
from refrestore.restore.warp import warp
from refrestore.restore.weights import load_weights, save_weights

BALANCE = (
    (7.0, 0.0, 0.0, 0.0),
    (0.0, 8.5, 0.0, 0.0),
    (0.0, 2.65, 2.65, 0.0),
    (0.0, 3.7, 3.7, 0.0),
)
NONE = (3.0, 3.2, 4.0, 7.8)
"""What "none" weighs in each band (finest first) to start with: NONE where all of the face's bands
are as strong as the references', and BALANCE times the logarithms of the ratios on top. Fine bands
that are gone are replaced, coarse ones only where the ones between them are gone too: what a
moderately blurred face still has of its middle bands is its own expression."""

LEARNT_LIMIT = 2.0
"""Furthest a place can move the logit from what the whole face's strengths say."""

NEVER = -30.0
"""Logit of a reference that is not there: finite, or a face without any would divide 0 by 0."""

FADED = 1e-4
"""Least weight of a reference in the attention."""

OUTSIDE_HULL = 20.0
"""Added to "none" outside the mesh hull, where the warp knows nothing."""


class FusionNetwork(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: FusionConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FusionConfig()
        cell = 3 * CELL**2
        channels, width, bands = config.channels, config.width, config.bands
        context = config.context
        self.see_face = nn.Sequential(
            nn.Conv2d(cell + 1, channels, 3, padding=1), Residual(channels)
        )
        self.see_reference = nn.Conv2d(cell, channels, 3, padding=1)
        self.compare = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.encoder = nn.Sequential(*(Residual(channels) for _ in range(config.encoder_blocks)))
        self.gather = nn.Conv2d(3 * channels + 2 + bands, context, 4, stride=2, padding=1)
        self.trunk = nn.Sequential(
            *(Residual(context, 2 ** (block % 3)) for block in range(config.trunk_blocks))
        )
        self.spread = nn.Conv2d(context, width, 1)
        self.join = nn.Conv2d(2 * channels, width, 3, padding=1)
        self.rank = nn.Conv2d(channels, channels, 3, padding=1)
        self.rank_context = nn.Conv2d(width, channels, 3, padding=1)
        self.rank_out = zeroed(nn.Conv2d(channels, 2, 1))
        self.balance = nn.Linear(bands, bands)
        self.balance.weight.data = torch.tensor(BALANCE)
        self.balance.bias.data = torch.tensor(NONE)
        self.mix = zeroed(nn.Conv2d(width, 3 * bands, 3, padding=1))
        self.see_fused = nn.Conv2d(2 * cell + width, width, 3, padding=1)
        self.decoder = nn.Sequential(*(Residual(width) for _ in range(config.decoder_blocks)))
        self.grow = nn.Conv2d(width, config.detail * 4, 1)
        self.fine = nn.Conv2d(config.detail + 24, config.detail, 3, padding=1)
        self.finest = nn.Conv2d(config.detail, config.detail, 3, padding=1)
        self.residual = zeroed(nn.Conv2d(config.detail, 12, 3, padding=1))
        self.raises = self.recolours = True
        self.several = config.sides != (FULL,)
        if self.several:
            self.sized_trunk = zeroed(nn.Linear(2, context))
            self.sized_decoder = zeroed(nn.Linear(2, width))
            self.finish = nn.Conv2d(24 + config.detail // 4, config.finish, 3, padding=1)
            self.finished = zeroed(nn.Conv2d(config.finish, 12, 3, padding=1))
        self.to(memory_format=torch.channels_last)

    def forward(
        self,
        faces: torch.Tensor,
        references: torch.Tensor,
        offsets: torch.Tensor,
        valid: torch.Tensor,
        hull: torch.Tensor,
        *,
        mouth: torch.Tensor | None = None,
        lids: torch.Tensor | None = None,
        within: Window | None = None,
    ) -> Fused:
        """Restore B faces.

        Parameters
        ----------
        faces : (B, 3, S, S) float32
            Degraded crops, RGB 0..1, S a multiple of 64.
        references : (B, K, 3, S, S) uint8 or float32 in 0..1
            References as they are; K may be 0.
        offsets : (B, K, 2, g, g) float32
            Displacement of each onto its face, crop pixels (`warp.displacement`).
        valid : (B, K) bool or float32
            How much each reference counts, 0..1; 0 where a face has fewer than K.
        hull : (B, 1, S / 8, S / 8) float32
            How much of each cell is inside the mesh hull, 0..1.
        mouth : (B, 1, S / 8, S / 8) float32, optional
            How much of each cell is mouth: there the frame counts where no reference shows it.
        lids : (B, K, S / 8, S / 8) float32, optional
            What each reference loses in each cell, logits (`lids.unlike`).
        within
            Window of whole cells of eight crop pixels, with one cell or more around all
            that is inside a hull: where the finest octave is looked for in references. Default
            all of the crop, which gives the same but for how far the hull's rim is raised.
        """
        # Bytes stay 0..255 until the light is matched: one pass over all pixels less.
        pictures = references.flatten(0, 1).float()
        unit = 1 / 255 if references.dtype == torch.uint8 else 1.0
        side, size = faces.shape[-1], faces.shape[-2:]
        small = shrunk(faces, WORKING)
        little = shrunk(pictures, WORKING).mul_(unit) if len(pictures) else pictures
        little = little.reshape(*references.shape[:3], *small.shape[-2:])
        own = faces - enlarge(small)
        all_of_it = slice(0, side), slice(0, side)
        within = within or all_of_it
        seen = (..., *within)
        edge = None
        if missing_octaves(side) and references.shape[1]:
            nearest = references[:, 0][seen].float() * unit
            theirs = nearest - enlarge(little[:, 0][_part(little, within, side)])
            edge = strength_of(own[seen], theirs, hull[_part(hull, within, side)])
        given = small, little, offsets / WORKING, valid, hull
        working = self.think(*given, mouth=mouth, lids=lids, side=side, edge=edge)
        slot = max(0, missing_octaves(side) - 1)
        finest = own * stretch(working.gains[:, 1, slot, None], *size)
        # Outside the hull it is the face's own.
        units = (valid > 0) * unit
        inside = self._finest(
            own[seen],
            finest[seen],
            pictures,
            working,
            units=units,
            hull=hull,
            within=within,
            side=side,
        )
        if within == all_of_it:
            finest = inside
        else:
            finest[seen] = inside
        images = enlarge(working.images) + finest
        return Fused(images, stretch(_trust(working.shares, side), *size))

    def _finest(
        self,
        own: torch.Tensor,
        kept: torch.Tensor,
        pictures: torch.Tensor,
        working: WorkingFaces,
        *,
        units: torch.Tensor,
        hull: torch.Tensor,
        within: Window,
        side: int,
    ) -> torch.Tensor:
        """Return the finest octave of windows, (B, 3, n, n).

        Parameters
        ----------
        own, kept : (B, 3, n, n)
            Of the faces, as it is and as much as is kept where references show nothing.
        pictures : (B * K, 3, S, S)
            Whole references.
        units : (B, K)
            What to multiply them by to have 0..1; 0 where there is none.
        hull, within, side
            As in `forward`; of the crops.
        """
        missing, size = missing_octaves(side), own.shape[-2:]
        theirs = torch.zeros_like(own)
        if len(pictures):
            field = working.field[_part(working.field, within, side)].flatten(0, 1) * WORKING
            corner = field.new_tensor([within[1].start, within[0].start])[:, None, None]
            warped = warp(pictures, field + corner, size=size, cubic=side < FULL)
            light = working.light * units[:, :, None, None, None]
            matched = by_face(warped, len(own)).mul_(lit(light, side, side, within))
            attention = working.attention[_part(working.attention, within, side)][:, :, 0]
            mean = attended(matched, attention)
            theirs = mean - enlarge(shrunk(mean, WORKING))
            if self.raises:
                lumas = luma_of(matched.flatten(0, 1))[:, None]
                each = lumas - enlarge(shrunk(lumas, WORKING))
                theirs = raised(theirs, each, attention, missing)
            slot = max(0, missing - 1)
            cells = _part(working.shares, within, side)
            gain, share = (
                working.gains[:, 0, slot, None][cells],
                working.shares[:, slot, None][cells],
            )
            kept = torch.lerp(kept, theirs * stretch(gain, *size), stretch(share, *size))
        if missing and self.several:
            # Outside the hull it has learnt little, and draws a grid.
            drawn = self._finish(own, theirs, working.detail[_part(working.detail, within, side)])
            kept = kept + drawn * stretch(hull[_part(hull, within, side)], *size)
        return kept

    def think(
        self,
        faces: torch.Tensor,
        references: torch.Tensor,
        offsets: torch.Tensor,
        valid: torch.Tensor,
        hull: torch.Tensor,
        *,
        mouth: torch.Tensor | None = None,
        lids: torch.Tensor | None = None,
        side: int = FULL,
        edge: torch.Tensor | None = None,
    ) -> WorkingFaces:
        """Restore B faces at the working resolution: all that is learnt.

        Parameters
        ----------
        faces : (B, 3, T, T) float32
            Degraded crops, RGB 0..1.
        references : (B, K, 3, R, R) float32
            References as they are, RGB 0..1.
        offsets : (B, K, 2, g, g) float32
            Displacement of each onto its face, working pixels; a face that is a window of its crop
            has the window's corner added to them.
        valid, hull, mouth, lids
            As in `forward`; with the last two faces must be whole crops.
        side
            Of crops that the faces would be the half of, or windows of the half.
        edge : (B,)
            `strength_of` the crops' finest octave, if the side has fewer octaves than a whole one.
        """
        given = faces, references, offsets, valid, hull
        seen = self.look(*given, mouth=mouth, lids=lids, side=side, edge=edge)
        return self.draw(seen)

    def look(
        self,
        faces: torch.Tensor,
        references: torch.Tensor,
        offsets: torch.Tensor,
        valid: torch.Tensor,
        hull: torch.Tensor,
        *,
        mouth: torch.Tensor | None = None,
        lids: torch.Tensor | None = None,
        side: int = FULL,
        edge: torch.Tensor | None = None,
    ) -> Mixture:
        """Align, compare, weigh and mix: all of `think` but the drawing, which adapters change."""
        count = references.shape[1]
        missing = missing_octaves(side)
        cells = torch.cat([folded(faces, self.see_reference), fed(hull, self.see_reference)], 1)
        seen = self.see_face(cells)
        field = offsets
        if count:
            references, field, light = aligned(faces, references, offsets, valid, hull, side=side)
            pairs = self._encode(seen, references)
            mean, spread = moments(pairs, valid)
            strength = strengths(
                faces, references[:, 0], hull, edge, bands=self.config.bands, missing=missing
            )
            strength = strength * _any(valid)
        else:
            pairs = seen.new_zeros((len(faces), 0, *seen.shape[1:]))
            mean = spread = torch.zeros_like(seen)
            strength = faces.new_zeros((len(faces), self.config.bands, 1, 1))
            light = faces.new_zeros((len(faces), 0, 3, 1, 1))
        number = (valid > 0).float().sum(1)[:, None, None, None] / 5
        extra = torch.cat([number, strength], 1).expand(-1, -1, *hull.shape[-2:])
        extra = torch.cat([hull, extra], 1).to(seen.dtype)
        near = torch.cat([seen, mean, spread, extra], 1)
        gathered = self.gather(near)
        if self.several:
            told = self.sized_trunk(_told(side, near))
            gathered = gathered + told[None, :, None, None]
        trunk = enlarge(self.spread(self.trunk(gathered)))
        trunk = trunk + self.join(near[:, : 2 * self.config.channels])
        own = None
        if count and mouth is not None:
            own = unshown(faces, references, valid, hull, mouth)
        given = trunk, pairs, valid, hull, strength
        attention, shares, gains = self._attend(*given, own=own, lids=lids)
        fused = mixed(
            faces,
            references,
            attention,
            shares,
            gains,
            bands=self.config.bands,
            missing=missing,
            raises=self.raises,
        )
        if count and self.recolours:
            change = recoloured(fused, references, light, attention[:, :, 1], hull)
            fused = fused + change * _any(valid)
        return Mixture(faces, hull, trunk, fused, field, light, attention, shares, gains, side)

    def draw(self, seen: Mixture) -> WorkingFaces:
        """Add to the mixture what mixing cannot do: the last step of `think`."""
        drawn, detail = self._decode(seen)
        shown = resized(_trust(seen.shares, seen.side), drawn.shape[-2:])
        images = seen.fused + torch.lerp(without_cells(drawn), drawn, shown)
        return WorkingFaces(
            images, seen.field, seen.light, seen.attention, seen.shares, seen.gains, detail
        )

    def _encode(self, seen: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
        batch, count = references.shape[:2]
        look = self.see_reference(folded(references.flatten(0, 1), self.see_reference))
        # As the convolution of both laid together, but what is the face's is done once for all.
        weight, bias = self.compare.weight, self.compare.bias
        theirs, own = weight[:, : self.config.channels], weight[:, self.config.channels :]
        pair = F.conv2d(F.relu(look), theirs, bias, padding=1)
        pair = pair + F.conv2d(F.relu(seen), own, padding=1).repeat_interleave(count, 0)
        return by_face(self.encoder(pair), batch)

    def _attend(
        self,
        trunk: torch.Tensor,
        pairs: torch.Tensor,
        valid: torch.Tensor,
        hull: torch.Tensor,
        strength: torch.Tensor,
        *,
        own: torch.Tensor | None,
        lids: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return attention (B, K, 2, h, w), shares (B, bands, h, w), gains (B, 2, bands, h, w)."""
        batch, count = pairs.shape[:2]
        mixing = self.mix(F.relu(trunk)).float()
        mixing = mixing.reshape(batch, 3, -1, *mixing.shape[-2:])
        gains = 2 * torch.sigmoid(mixing[:, 1:])
        if not count:
            empty = mixing.new_zeros((batch, 0, 2, *hull.shape[-2:]))
            return empty, mixing[:, 0] * 0, gains
        learnt = LEARNT_LIMIT * torch.tanh(mixing[:, 0] / LEARNT_LIMIT)
        # Places move against each other, not all together: that the whole face's strengths say.
        inside = hull.float()
        area = inside.sum((2, 3), keepdim=True).clamp(min=1)
        learnt = learnt - (learnt * inside).sum((2, 3), keepdim=True) / area
        # A band is judged by all of them: a face that has lost its fine ones has less of the
        # person in the coarse ones too.
        level = self.balance(strength[..., 0, 0].to(self.balance.weight.dtype)).float()
        none = learnt + OUTSIDE_HULL * (1 - hull) + level[..., None, None]
        if own is not None:
            none = none + own
        context = self.rank_context(trunk).repeat_interleave(count, 0)
        logits = self.rank_out(F.relu(self.rank(F.relu(pairs.flatten(0, 1))) + context))
        there = (valid > 0)[:, :, None, None, None]
        logits = by_face(logits.float(), batch).masked_fill(~there, 0)
        # They rank and no more: without the mean they cannot sink together against "none".
        number = there.float().sum(1, keepdim=True).clamp(min=1)
        logits = logits - logits.sum(1, keepdim=True) / number
        if lids is not None:
            logits = logits - lids[:, :, None]
        logits = (
            logits + valid.float().clamp(min=FADED).log()[:, :, None, None, None]
        ).masked_fill(~there, NEVER)
        mass = number[:, 0].log() + NEVER * (~there.any(1))
        return torch.softmax(logits, 1), torch.sigmoid(mass - none), gains

    def _decode(self, seen: Mixture) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what is drawn, (B, 3, T, T), and the features it is drawn from, half as large."""
        fused, faces = seen.fused, seen.faces
        cells = torch.cat([folded(x, self.see_fused) for x in (fused, faces)], 1)
        joined = self.see_fused(torch.cat([cells, seen.trunk.to(cells.dtype)], 1))
        if self.several:
            told = self.sized_decoder(_told(seen.side, joined))
            joined = joined + told[None, :, None, None]
        deep = self.decoder(joined)
        half = F.pixel_shuffle(self.grow(F.relu(deep)), 2)
        pictures = torch.cat([F.pixel_unshuffle(fused, 2), F.pixel_unshuffle(faces, 2)], 1)
        half = self.fine(torch.cat([F.relu(half), fed(pictures, self.fine)], 1))
        half = F.relu(half + self.finest(F.relu(half)))
        drawn = F.pixel_shuffle(self.residual(half).float(), 2)
        return drawn - cell_pattern(drawn - without_cells(drawn), CELL), half

    def _finish(
        self, own: torch.Tensor, theirs: torch.Tensor, detail: torch.Tensor
    ) -> torch.Tensor:
        """Return what is drawn on the crop's finest octave, (B, 3, S, S)."""
        octaves = torch.cat([F.pixel_unshuffle(one, 2) for one in (own, theirs)], 1)
        seen = torch.cat([fed(octaves, self.finish), F.pixel_shuffle(detail, 2)], 1)
        drawn = F.pixel_shuffle(self.finished(F.relu(self.finish(seen))).float(), 2)
        return drawn - cell_pattern(drawn, WORKING * CELL)


def _told(side: int, like: torch.Tensor) -> torch.Tensor:
    """Return what the network is told about the side of its crops, (2,)."""
    fewer = math.log2(FULL / side)
    return torch.tensor([fewer, fewer**2], dtype=like.dtype, device=like.device)


def _trust(shares: torch.Tensor, side: int) -> torch.Tensor:
    """Return what references have of the finest octaves a crop of a side has, (B, 1, h, w)."""
    first = max(0, missing_octaves(side) - 1)
    return shares[:, first : first + FINE_BANDS].mean(1, keepdim=True)


def _part(maps: torch.Tensor, within: Window, side: int) -> tuple[Any, ...]:
    """Return the index of a window of crops of a side in maps of whole crops (..., h, w)."""
    pitch = side // maps.shape[-1]
    return (..., *(slice(one.start // pitch, one.stop // pitch) for one in within))


def _any(valid: torch.Tensor) -> torch.Tensor:
    """Return 1 for faces that have a reference, else 0, (B, 1, 1, 1)."""
    return (valid > 0).any(1)[:, None, None, None].float()


def config_of(stored: Mapping[str, Any]) -> FusionConfig:
    """Return the configuration in a weights file; JSON has lists for tuples."""
    sides = tuple(int(side) for side in stored.get("sides", (FULL,)))
    return FusionConfig(**{**stored, "sides": sides})


def save_fusion(network: FusionNetwork, path: Path) -> None:
    """Write half-precision weights and the configuration as safetensors."""
    save_weights(network, path, {"config": asdict(network.config)})


def load_fusion(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> FusionNetwork:
    """Read a network that `save_fusion` wrote, ready for inference.

    Raises
    ------
    ModelError
        The file is missing, damaged or of another shape.
    """
    network = load_weights(
        path,
        lambda settings: FusionNetwork(config_of(settings["config"])),
        what="fusion",
    )
    network = network.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)
    return network.eval().requires_grad_(False)
