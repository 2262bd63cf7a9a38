"""What the fusion network does without having learnt it: align references, weigh and mix bands."""

from __future__ import annotations

import math

import torch

from refrestore.restore.blocks import CELL, attended, by_face, raised, resized
from refrestore.restore.light import (
    collapse,
    filtered,
    gaussian,
    light_gain,
    lit,
    luma_of,
    match_light,
    pyramid,
    shrunk,
)
from refrestore.restore.register import register
from refrestore.restore.warp import warp

WORKING = 2
"""Crop pixels per working pixel."""

FULL = 512
"""Side of a crop that has all octaves."""

REGISTERED = 64
"""Cells a side of a crop in which references are registered."""

FINE_BANDS = 2
"""Octaves finer than a cell; one attention serves them all, another the coarser ones."""

RATIO_LIMITS = (-2.0, 0.3)
"""Limits of those logarithms."""

FAINT = 0.002
"""Strength of a band that is as good as none: half a grey level of 255."""


LIGHT, PLACE = 1 / 8, 1 / 32
"""Where a mouth is compared with the references', deviations of what is taken off as light and of
the place that is looked at, over the crop's side."""

UNLIKE, UNLIKE_FROM, UNLIKE_MOST = 2.0, 1.5, 6.0
"""What "none" gains in a mouth for each time that it differs more from the best reference than the
face does on the mean, from which time on, and the most that counts (docs/decisions/047)."""


def missing_octaves(side: int) -> int:
    """Return how many of the octaves of a whole crop a crop of a side lacks."""
    return max(0, round(math.log2(FULL / side)))


@torch.no_grad()
def aligned(
    faces: torch.Tensor,
    references: torch.Tensor,
    offsets: torch.Tensor,
    valid: torch.Tensor,
    hull: torch.Tensor,
    *,
    side: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Warp references onto faces, correct the mesh's error, match the light.

    Parameters
    ----------
    faces, references, offsets, valid, hull, side
        As in `FusionNetwork.think`.

    Returns
    -------
    tuple
        The references, (B, K, 3, T, T), where each lies, (B, K, 2, g, g), and what their light was
        multiplied by, (B, K, 3, 4, 4) of a whole crop.
    """
    batch, grid = len(faces), offsets.shape[-1]
    cell = max(1, round(side / WORKING / REGISTERED))
    light = side // 4 // WORKING
    pictures = references.flatten(0, 1)
    # The warp of the registration runs at half its working size, if that is more than enough.
    reduced = max(1, cell // 2)
    small, small_face = (shrunk(one, reduced) for one in (pictures, faces))
    rough = warp(small, offsets.flatten(0, 1) / reduced, size=small_face.shape[-2:])
    placed = match_light(by_face(rough, batch), small_face, block=light // reduced)
    half = cell // reduced
    cells = by_face(shrunk(placed.flatten(0, 1), half), batch)
    where = resized(hull, cells.shape[-2:])
    with torch.autocast(faces.device.type, enabled=False):
        moved = register(shrunk(small_face, half), cells, valid, where)
    field = (offsets + (resized(moved, (grid, grid)) * cell)[:, None]).flatten(0, 1)
    warped = by_face(warp(pictures, field, size=faces.shape[-2:], cubic=side < FULL), batch)
    gain = light_gain(warped, faces, block=light)
    there = (valid > 0)[:, :, None, None, None]
    warped.mul_(lit(gain * there, *faces.shape[-2:]))
    return warped, by_face(field, batch), gain


@torch.no_grad()
def strengths(
    faces: torch.Tensor,
    nearest: torch.Tensor,
    hull: torch.Tensor,
    edge: torch.Tensor | None,
    *,
    bands: int,
    missing: int,
) -> torch.Tensor:
    """Return how strong the faces' bands are beside the nearest reference's, (B, bands, 1, 1).

    Of octaves that the crop lacks the face has as little as of its finest.
    """
    own, _ = pyramid(faces, bands - missing)
    theirs, _ = pyramid(nearest, bands - missing)
    ratios = [strength_of(*pair, hull) for pair in zip(own, theirs, strict=True)]
    finest = ratios[0] if edge is None else edge
    return torch.stack([*[finest] * missing, *ratios], 1)[:, :, None, None]


@torch.no_grad()
def unshown(
    faces: torch.Tensor,
    references: torch.Tensor,
    valid: torch.Tensor,
    hull: torch.Tensor,
    mouth: torch.Tensor,
) -> torch.Tensor:
    """Return what "none" gains in mouths that no reference shows, (B, 1, h, w).

    An open mouth among references of closed ones stays the frame's: softer rather than wrong.

    Parameters
    ----------
    faces, references : (B, 3, T, T), (B, K, 3, T, T)
        Whole crops at the working resolution, references aligned.
    valid, hull
        As in `FusionNetwork.think`.
    mouth : (B, 1, h, w)
        How much of each cell of the hull is mouth, 0..1.
    """
    batch, size = len(faces), hull.shape[-2:]
    own = shrunk(luma_of(faces)[:, None], 2)
    theirs = by_face(shrunk(luma_of(references.flatten(0, 1))[:, None], 2), batch)
    apart = (theirs - own[:, None]).flatten(0, 1)
    light, place = (torch.tensor(gaussian(share * own.shape[-1])) for share in (LIGHT, PLACE))
    apart = apart - filtered(apart, light, border="replicate")
    energy = filtered(apart.square(), place, border="replicate")
    energy = by_face(resized(energy, size), batch).masked_fill(
        (valid <= 0)[:, :, None, None, None], math.inf
    )
    least = energy.amin(1)
    usual = (least * hull).sum((2, 3), keepdim=True) / hull.sum((2, 3), keepdim=True).clamp(min=1)
    times = least / (usual + FAINT**2)
    gain = UNLIKE * (times - UNLIKE_FROM).clamp(0, UNLIKE_MOST) * mouth
    return torch.where((valid > 0).any(1)[:, None, None, None], gain, torch.zeros_like(gain))


@torch.no_grad()
def strength_of(own: torch.Tensor, theirs: torch.Tensor, hull: torch.Tensor) -> torch.Tensor:
    """Return how strong a band of faces is beside one of references, both (B, C, s, s), in a hull.

    Logarithm of the ratio inside, (B,): 0 for a sharp face, far below for a blurred one.
    """
    where = resized(hull, own.shape[-2:])
    area = where.sum((1, 2, 3)).clamp(min=1e-3) * own.shape[1]
    one, other = (
        ((band.square() * where).sum((1, 2, 3)) / area).sqrt() + FAINT for band in (own, theirs)
    )
    return (one / other).log().clamp(*RATIO_LIMITS)


def mixed(
    faces: torch.Tensor,
    references: torch.Tensor,
    attention: torch.Tensor,
    shares: torch.Tensor,
    gains: torch.Tensor,
    *,
    bands: int,
    missing: int,
    raises: bool,
) -> torch.Tensor:
    """Mix the bands: of the input by 1 - share, of the attended references by share."""
    own, rest = pyramid(faces, bands - missing)
    theirs = own
    if references.shape[1]:
        fine = attended(references, attention[:, :, 0])
        cells = by_face(shrunk(references.flatten(0, 1), CELL), len(faces))
        coarse = attended(cells, attention[:, :, 1])
        theirs = pyramid(fine, FINE_BANDS)[0]
        if raises:
            lumas = luma_of(references.flatten(0, 1))[:, None]
            each = pyramid(lumas, FINE_BANDS)[0]
            theirs = [
                raised(band, bands, attention[:, :, 0], octave)
                for octave, (band, bands) in enumerate(zip(theirs, each, strict=True), missing + 1)
            ]
        theirs += pyramid(coarse, bands - missing - FINE_BANDS)[0]
    mixed = []
    for level, (mine, their) in enumerate(zip(own, theirs, strict=True), missing):
        share = resized(shares[:, level, None], mine.shape[-2:])
        ours = mine * resized(gains[:, 1, level, None], mine.shape[-2:])
        detail = their * resized(gains[:, 0, level, None], mine.shape[-2:])
        mixed.append(torch.lerp(ours, detail, share))
    return collapse(mixed, rest)
