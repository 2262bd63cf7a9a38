"""Light and colour of a reference matched to the face it helps, and band splitting."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812

LIGHT_BLOCK = 32
"""Crop pixels per cell of the light map (16 cells a side at 512): shading, no features."""

DARKEST = 0.06
"""Added to both sides of the ratio, so that black hair does not become a division by zero."""

GAIN_LIMITS = (0.45, 2.2)
"""Beyond these a reference's own noise and compression would show."""


def match_light(
    references: torch.Tensor, target: torch.Tensor, *, block: int = LIGHT_BLOCK
) -> torch.Tensor:
    """Give references the target's light and colour, multiplicatively.

    Skin detail is reflectance times light, so a reference taken in brighter light has stronger
    detail in proportion; scaling by the ratio of low frequencies corrects both at once.

    Parameters
    ----------
    references : (B, K, 3, H, W)
        Warped references, RGB 0..1.
    target : (B, 3, H, W)
        The degraded face, RGB 0..1; H and W multiples of `block`.
    block
        Pixels per cell of the light map.

    Returns
    -------
    (B, K, 3, H, W)
        Matched references, dtype of `references`; may slightly leave 0..1.
    """
    faces, count, channels, height, width = references.shape
    wanted = F.avg_pool2d(target, block)[:, None]
    flat = references.reshape(faces * count, channels, height, width)
    present = F.avg_pool2d(flat, block).reshape(faces, count, channels, *wanted.shape[-2:])
    gain = ((wanted + DARKEST) / (present + DARKEST)).clamp(*GAIN_LIMITS)
    gain = F.interpolate(
        gain.flatten(0, 1), size=(height, width), mode="bilinear", align_corners=False
    )
    return (flat * gain).reshape(references.shape)


def pyramid(images: torch.Tensor, bands: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Split images into octave bands and a rest (Laplacian pyramid, box down, bilinear up).

    Parameters
    ----------
    images : (N, C, H, W)
        H and W multiples of 2 ** bands.
    bands
        Number of octaves.

    Returns
    -------
    bands : list of (N, C, H / 2 ** i, W / 2 ** i)
        Finest first.
    rest : (N, C, H / 2 ** bands, W / 2 ** bands)
        What is left; `collapse` of both gives the images back.
    """
    split = []
    for _ in range(bands):
        smaller = F.avg_pool2d(images, 2)
        split.append(images - enlarge(smaller))
        images = smaller
    return split, images


def collapse(bands: list[torch.Tensor], rest: torch.Tensor) -> torch.Tensor:
    """Add the bands of `pyramid` up again."""
    for band in reversed(bands):
        rest = enlarge(rest) + band
    return rest


def enlarge(images: torch.Tensor) -> torch.Tensor:
    """Double height and width, bilinear."""
    return F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
