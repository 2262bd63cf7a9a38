"""A face has its person's colours: what a film's coarse chroma spoils comes from references."""

from __future__ import annotations

import torch

from refrestore.restore.blocks import CELL, attended, by_face, resized
from refrestore.restore.light import filtered, gaussian, lit, luma_of, shrunk, stretch

SMOOTH = 0.02
"""Deviation, over the crop's side, to which colours are corrected: finer ones are mixed."""

APART = 0.02
"""Spread of the references' colours, 0..1, at which they count half: make-up, another camera."""

MOST = 0.08
"""Correction, 0..1, at which half of it is made: so much is no codec's, but a coloured light."""

STIFF = 0.01
"""What keeps a slope from following one cell, as a variance of places over the crop's side."""


@torch.no_grad()
def recoloured(
    mixture: torch.Tensor,
    references: torch.Tensor,
    light: torch.Tensor,
    attention: torch.Tensor,
    hull: torch.Tensor,
) -> torch.Tensor:
    """Return what gives faces their references' colours, (B, 3, T, T), to be added.

    The frame's light tints a face evenly, or more to one side. How else its colours differ from
    those of the references in that light is blotches. Brightness stays.

    Parameters
    ----------
    mixture : (B, 3, T, T)
        Faces, RGB 0..1, at the working resolution.
    references : (B, K, 3, T, T)
        Laid onto them, in their light.
    light : (B, K, 3, l, l)
        What they were multiplied by for it (`light.light_gain`).
    attention : (B, K, T / 4, T / 4)
        How much each counts.
    hull : (B, 1, T / 4, T / 4)
        How much of each cell is face.
    """
    batch, size = len(mixture), hull.shape[-2:]
    cells = by_face(shrunk(references.flatten(0, 1), CELL), batch)
    logs = light.log()
    bright = logs.mean(2, keepdim=True)
    even = bright + _even(logs - bright, resized(hull, light.shape[-2:])[:, None])
    cells = cells / lit(light, *size) * lit(even.exp(), *size)
    theirs = torch.stack([_colour(one) for one in cells.unbind(1)], 1)
    wanted = attended(theirs, attention)
    spread = (theirs - wanted[:, None]).square().sum(2).mul(attention).sum(1, keepdim=True)
    change = wanted - _colour(shrunk(mixture, CELL))
    change = change - _even(change, hull)
    taps = torch.tensor(gaussian(SMOOTH * size[-1]))
    area = filtered(hull, taps, border="replicate") + 1e-3
    smooth = filtered(torch.cat([change, spread], 1) * hull, taps, border="replicate") / area
    change, spread = smooth[:, :3], smooth[:, 3:]
    much = change.square().sum(1, keepdim=True)
    sure = hull / (1 + spread / APART**2) / (1 + (much / MOST**2).square())
    return stretch(change * sure, *mixture.shape[-2:])


def _colour(pictures: torch.Tensor) -> torch.Tensor:
    """Return how RGB pictures differ from grey ones as bright, (N, 3, h, w)."""
    return pictures - luma_of(pictures)[:, None]


def _even(maps: torch.Tensor, hull: torch.Tensor) -> torch.Tensor:
    """Return what of maps (..., h, w) is the same all over the hull, or changes evenly over it."""
    weights = hull + 1e-4
    weights = weights / weights.sum((-2, -1), keepdim=True)
    even = (maps * weights).sum((-2, -1), keepdim=True).expand_as(maps)
    for axis in (-2, -1):
        place = torch.arange(maps.shape[axis], device=maps.device) / maps.shape[axis]
        place = place[:, None] if axis == -2 else place[None]
        place = place - (place * weights).sum((-2, -1), keepdim=True)
        power = (place.square() * weights).sum((-2, -1), keepdim=True)
        slope = (place * maps * weights).sum((-2, -1), keepdim=True) / (power + STIFF)
        even = even + slope * place
    return even
