"""Hair, ears, neck and glasses from a reference, as far as it agrees with what the input shows.

Outside of the mesh nothing says where a pixel of a reference belongs. An affine motion of the
landmarks brings it near, a dense flow between both pictures, blurred alike, lays it over the head.
Where the two agree at the resolution that the input has, in colour and in structure, what is finer
than that comes from the reference; what is coarser stays the input's. Elsewhere (another collar,
the background behind a head that has moved) nothing does, nor anywhere from a photo of another day,
whose hair agrees in patches only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from refrestore.restore.burst import RINGS, SECTORS, spectra
from refrestore.restore.composite import head_masks
from refrestore.restore.flow import flow
from refrestore.restore.hull_mask import grown, hull_mask
from refrestore.restore.light import (
    as_tinted,
    averaged,
    filtered,
    luma_of,
    match_light,
    shrunk,
    stretch,
)
from refrestore.restore.warp import warp

GROWTH, EDGE = 2.0, 0.15
"""How many times larger than the mesh a head is in which a reference may show, and how it ends
there, shares of the side: all of the hair, as there is agreement to end it before."""

FINE, CELLS = 128, 64
"""Cells a side of any crop in which heads are laid over each other, and compared."""

ROUNDS = 3
"""Passes of the affine motion's fit: landmarks that move otherwise (a mouth that opens) count less
in each."""

LIGHT_CELLS = 8
"""Cells a side in which a reference gets the light of the input: a cheek, a tuft of hair. With 4
the gate finds less (docs/decisions/034)."""

MARGIN = 16
"""Mirrored cells around a crop that is blurred."""

COLOUR = 0.1
"""Root mean square difference of two places, 0..1, at which they count 1 / e."""

STRUCTURE = 0.4
"""The correlation of two places falls short of 1 by so much where they count 1 / e. It tells other
hair from the same better than colour does (docs/decisions/034)."""

FLAT = 0.01
"""Structure below this amplitude, 0..1, is none: two walls are alike."""

FAR = 0.06
"""Share of the crop by which a place may lie elsewhere than the landmarks say where it counts 1 /
e: what moves otherwise is behind the head."""

NEAR, AROUND = 2, 4
"""Cells to each side over which colours, and structure, are compared."""

LEAST, MOST = 0.1, 0.8
"""Agreement at which nothing and everything is the reference's."""

SAME_DAY = (0.5, 0.7)
"""Mean agreement around the face up to which a reference is of another day and shows nothing, and
from which it is of the same (76 faces and their clips: .67 and more, but for 6; 120 and photos of
other days: .56 at most). Patches of these agree too, where dark hair lies on a dark wall."""


def from_references(
    faces: Tensor, restored: Tensor, meshes: Tensor, pictures: Tensor, theirs: Tensor
) -> tuple[Tensor, Tensor]:
    """Return heads with the fine detail of a reference, and how far it belongs where it lies.

    Parameters
    ----------
    faces, restored : (B, 3, S, S)
        RGB 0..1 before and after the restorer: what the first still shows of the second is the
        resolution it has.
    meshes : (B, 468, 2)
        In pixels of the crops.
    pictures : (B, 3, S, S)
        One reference each, RGB 0..1.
    theirs : (B, 468, 2)
        Their meshes.

    Returns
    -------
    heads : (B, 3, S, S)
        RGB 0..1.
    agreement : (B, S, S)
        0..1; 0 outside of `composite.head_masks` of `GROWTH` and `EDGE`.
    """
    side = faces.shape[-1]
    sigma = lost(faces, restored)
    mine = blurred(_fine(faces), sigma)
    offsets, moved = _laid(mine, meshes, pictures, theirs, sigma)
    placed = warp(pictures, offsets, cubic=True).clamp_(0, 1)
    placed = match_light(placed[:, None], faces, block=side // LIGHT_CELLS)[:, 0]
    other = blurred(_fine(placed), sigma)
    detail = (placed - faces) - stretch(other - mine, side, side)
    heads = as_tinted((faces + detail).clamp_(0, 1), faces)
    agreed = agreement(mine, other, moved / side) * _within(offsets, side)
    share = ((_mean(agreed, NEAR) - LEAST) / (MOST - LEAST)).clamp(0, 1)
    share = share * _of_the_same_day(share, meshes, side)
    return heads, stretch(share, side, side)[:, 0] * head_masks(meshes, side, GROWTH, EDGE)


def lost(faces: Tensor, restored: Tensor) -> Tensor:
    """Return the blur that makes the restored faces resolve what the given ones do.

    The regression of each frequency on what was made of it, so that noise does not count.

    Parameters
    ----------
    faces, restored : (B, 3, S, S)
        RGB 0..1.

    Returns
    -------
    (B,)
        Standard deviation in cells of `FINE` a crop.
    """
    small, sharp = _fine(faces), _fine(restored)
    power = spectra(torch.cat([small, sharp, small - sharp]))
    own, made, apart = power.reshape(3, len(faces), len(RINGS) - 1, SECTORS).sum(3)
    left = ((own + made - apart) / (2 * made + 1e-12)).clamp(0, 1)
    widths = torch.tensor(RINGS[1:] - RINGS[:-1], dtype=left.dtype, device=left.device)
    cutoff = float(RINGS[0]) + left @ widths  # of a Gaussian this is its integral
    sigma: Tensor = FINE / (math.sqrt(8 * math.pi) * cutoff)
    return sigma


def affine_offsets(meshes: Tensor, theirs: Tensor, side: int) -> Tensor:
    """Return the affine motion from meshes to others, (B, 2, `FINE`, `FINE`), pixels.

    Robust least squares (weights of Cauchy).

    Parameters
    ----------
    meshes, theirs : (B, 468, 2)
        In pixels of crops of `side`.
    """
    points, targets = (one / side - 0.5 for one in (meshes, theirs))
    known = F.pad(points, (0, 1), value=1.0)
    weights = torch.ones_like(known[..., :1])
    for _ in range(ROUNDS):
        turned = (known * weights).mT
        matrices = torch.linalg.solve(turned @ known, turned @ targets)
        off = (known @ matrices - targets).square().sum(2, keepdim=True)
        weights = 1 / (1 + off / (off.mean(1, keepdim=True) + 1e-9))
    at = (torch.arange(FINE, device=meshes.device) + 0.5) / FINE - 0.5 / side - 0.5
    grid = torch.stack([at.expand(FINE, -1), at[:, None].expand(-1, FINE)], -1).reshape(-1, 2)
    moved: Tensor = F.pad(grid, (0, 1), value=1.0) @ matrices - grid
    return moved.mT.reshape(-1, 2, FINE, FINE) * side


def _laid(
    mine: Tensor, meshes: Tensor, pictures: Tensor, theirs: Tensor, sigma: Tensor
) -> tuple[Tensor, Tensor]:
    """Return where each cell of heads is in their references, and how far from the landmarks' word.

    Both (B, 2, `FINE`, `FINE`), pixels.
    """
    side = pictures.shape[-1]
    affine = affine_offsets(meshes, theirs, side)
    near = blurred(warp(_fine(pictures), affine * (FINE / side)), sigma)
    near = match_light(near[:, None], mine, block=2 * FINE // LIGHT_CELLS)[:, 0]
    motion = flow(*(_bytes(luma_of(one)) for one in (mine, near)))
    offsets = warp(affine, motion) + motion * (side / FINE)
    return offsets, offsets - affine


def agreement(mine: Tensor, other: Tensor, moved: Tensor) -> Tensor:
    """Return how far two pictures of a head show the same, (B, 1, `CELLS`, `CELLS`), 0..1.

    Parameters
    ----------
    mine, other : (B, 3, `FINE`, `FINE`)
        RGB, blurred alike.
    moved : (B, 2, `FINE`, `FINE`)
        How far each place was moved from where the landmarks say, shares of the crop.
    """
    mine, other, moved = (shrunk(one, FINE // CELLS) for one in (mine, other, moved))
    colour = _mean((mine - other).square().mean(1, keepdim=True), NEAR)
    both = torch.stack([luma_of(mine), luma_of(other)], 1)
    first, second = (both - _mean(both, AROUND)).chunk(2, 1)
    products = torch.cat([first * second, first.square(), second.square()], 1)
    shared, one, two = (_mean(products, AROUND) + FLAT**2).chunk(3, 1)
    apart = (1 - shared / (one * two).sqrt()).clamp(min=0)
    far = moved.square().sum(1, keepdim=True)
    return torch.exp(-colour / COLOUR**2 - (apart / STRUCTURE) ** 2 - (far / FAR**2) ** 2)


def _of_the_same_day(share: Tensor, meshes: Tensor, side: int) -> Tensor:
    """Return how far heads agree as wholes, (B, 1, 1, 1), 0..1."""
    points = (meshes + 0.5) * (CELLS / side) - 0.5
    around = head_masks(points, CELLS) * (1 - hull_mask(grown(points), CELLS))
    mean = (share[:, 0] * around).sum((1, 2)) / around.sum((1, 2)).clamp(min=1)
    low, high = SAME_DAY
    return ((mean - low) / (high - low)).clamp(0, 1)[:, None, None, None]


def _within(offsets: Tensor, side: int) -> Tensor:
    """Return what of the cells lies in the reference's crop, (B, 1, `CELLS`, `CELLS`)."""
    at = (torch.arange(FINE, device=offsets.device) + 0.5) * (side / FINE) - 0.5
    x, y = offsets[:, :1] + at, offsets[:, 1:] + at[:, None]
    there = (torch.minimum(x, y) > 0) & (torch.maximum(x, y) < side - 1)
    return shrunk(there.float(), FINE // CELLS)


def blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Return images (B, C, h, w) blurred by a Gaussian each, (B,) pixels; borders are mirrored."""
    wide = F.pad(images, [MARGIN] * 4, mode="reflect")
    height, width = wide.shape[-2:]
    down = torch.fft.fftfreq(height, device=images.device)[:, None]
    along = torch.fft.rfftfreq(width, device=images.device)
    fall = (down**2 + along**2) * (-2 * math.pi**2)
    kept = torch.exp(fall * sigma.square()[:, None, None, None])
    whole: Tensor = torch.fft.irfft2(torch.fft.rfft2(wide) * kept, s=(height, width))
    return whole[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def _fine(images: Tensor) -> Tensor:
    """Return crops (B, C, S, S) at `FINE` cells a side."""
    return averaged(images, FINE)


def _bytes(planes: Tensor) -> Tensor:
    return (planes * 255).round().clamp(0, 255).to(torch.uint8)


def _mean(planes: Tensor, reach: int) -> Tensor:
    """Return the mean of so many cells to each side, (B, C, h, w); beyond the border it goes on."""
    window = 2 * reach + 1
    return filtered(planes, torch.full((window,), 1 / window), border="replicate")
