"""What the fusion network is built of: blocks, and ways to fold and weigh pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from refrestore.restore.light import filtered, gaussian, luma_of, shrunk, stretch

CELL = 4
"""Pixels of the working picture per cell of the feature maps: 8 of the 512-px crop."""

AROUND = gaussian(3.0, 5)
"""Weights of the cells around a cell in which its pattern is looked for, a row of them."""

RAISED = (1.0, 0.7, 0.5)
"""How far the octaves of a whole crop are raised, finest first, as exponents of the full factor.
Coarser ones show features, and where references disagree on those a clear mean is nobody's
(docs/decisions/033)."""

MOST_RAISED = 2.2
"""Most that a band of an attended mean is raised: the mean of five that have nothing in common has
the root of a fifth of their strength."""

FLAT = 1e-7
"""Energy of a band in which nothing is to be seen, luma 0..1: a twelfth of a grey level of 255."""


Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


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
        out: torch.Tensor = x + self.second(F.relu(self.first(F.relu(x))))
        return out


def zeroed(layer: Layer) -> Layer:
    """Let a layer start by giving zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def fed(x: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """Cast to what a layer computes in, channels last (AMX and tensor cores want both)."""
    return x.to(layer.weight.dtype, memory_format=torch.channels_last)


def folded(images: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """Fold (N, C, T, T) into (N, C * 16, T / 4, T / 4) as `layer` wants it, in one copy.

    Under autocast the layer's weights stay float32 and the layer casts by itself.
    """
    number, channels, height, width = images.shape
    blocks = images.reshape(number, channels, height // CELL, CELL, width // CELL, CELL)
    rows = blocks.permute(0, 2, 4, 1, 3, 5).to(layer.weight.dtype)
    return rows.reshape(number, height // CELL, width // CELL, -1).permute(0, 3, 1, 2)


def attended(pictures: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
    """Sum (B, K, 3, s, s) weighted by (B, K, h, w); a loop, since einsum would reorder copies."""
    weights = resized(attention, pictures.shape[-2:])
    total = pictures[:, 0] * weights[:, :1]
    for index in range(1, pictures.shape[1]):
        total = torch.addcmul(total, pictures[:, index], weights[:, index, None])
    return total


def raised(
    band: torch.Tensor, bands: torch.Tensor, attention: torch.Tensor, octave: int
) -> torch.Tensor:
    """Raise a band of an attended mean towards the strength the band has in what it is the mean of.

    Averaging keeps what references agree on and cancels texture: lashes, pores, beards. Cell by
    cell the energy of the brightness is brought to the references' own, weighted as they are.

    Parameters
    ----------
    band : (B, 3, s, s)
        Of the mean.
    bands : (B * K, 1, s, s)
        The same band of each reference's brightness.
    attention : (B, K, h, w)
        What the mean was weighted by.
    octave
        Which the band is of a whole crop's, 0 the finest.
    """
    if octave >= len(RAISED):
        return band
    size = attention.shape[-2:]
    with torch.no_grad():
        theirs = resized(bands.square(), size).reshape(attention.shape)
        wanted = (theirs * attention).sum(1, keepdim=True)
        left = resized(luma_of(band).square()[:, None], size)
        factor = ((wanted + FLAT) / (left + FLAT)).clamp(1, MOST_RAISED**2) ** (RAISED[octave] / 2)
        factor = resized(factor, band.shape[-2:])
    return band * factor


def resized(maps: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bring maps to as many rows and columns: bilinear up, mean down."""
    height, width = size
    if width < maps.shape[-1]:
        return shrunk(maps, maps.shape[-1] // width)
    return stretch(maps, height, width)


def without_cells(images: torch.Tensor) -> torch.Tensor:
    """Smooth (N, C, T, T) so that nothing is left of a pattern that repeats from cell to cell.

    What is drawn in cells shows them (a grid of 8 crop pixels on blurred eyes) where no detail
    hides it. The filter's response is zero at their period and its harmonic.
    """
    return filtered(images, torch.tensor([1.0, 2, 2, 2, 1]) / 8, border="replicate")


def cell_pattern(images: torch.Tensor, pitch: int) -> torch.Tensor:
    """Return what drawn octaves (N, C, S, S) have alike in one cell after the other, as large.

    A network that draws from cells leaves a grid of them on smooth skin. What a place of a cell has
    is averaged over the same place of the cells around: faces do not repeat from cell to cell.

    Parameters
    ----------
    pitch
        Pixels from cell to cell, of which S is a multiple.
    """
    places = F.pixel_unshuffle(images, pitch)
    alike = filtered(places, torch.tensor(AROUND), border="replicate")
    by_place = alike.reshape(len(alike), -1, pitch**2, *alike.shape[2:])
    by_place = by_place - by_place.mean(2, keepdim=True)
    return F.pixel_shuffle(by_place.flatten(1, 2), pitch)


def moments(pairs: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and mean absolute deviation over the valid references; zero where there is none."""
    weights = valid.to(pairs.dtype)
    weights = (weights / weights.sum(1, keepdim=True).clamp(min=1e-3))[:, :, None, None, None]
    mean = (pairs * weights).sum(1)
    return mean, ((pairs - mean[:, None]).abs() * weights).sum(1)


def by_face(x: torch.Tensor, batch: int) -> torch.Tensor:
    """Turn (B * K, ...) into (B, K, ...)."""
    return x.reshape(batch, -1, *x.shape[1:])
