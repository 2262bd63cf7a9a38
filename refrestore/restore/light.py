"""Light and colour of a reference matched to the face it helps, and band splitting."""

from __future__ import annotations

import math
from functools import cache
from typing import Literal, TypeAlias

import cv2
import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from refrestore.media.tensors import sent
from refrestore.restore.resize import Window, nobody
from refrestore.types import FloatArray

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601."""

LIGHT_BLOCK = 128
"""Crop pixels per cell of the light map: colour and the direction of the light. Finer cells (32 px)
take features for shading, which cost 0.04 of identity."""

DARKEST = 0.06
"""Added to both sides of the ratio, so that black hair does not become a division by zero."""

GREY, COLOURED = 0.003, 0.009
"""How much of a face's colour, 0..1, does not follow from its brightness: up to the first in black
and white or sepia (a grey film that was compressed has .0015), from the second in colour (183
photos, .017 and more; .009 and more on simulated tapes of grey photos, by their noise)."""

TINT_CELLS = 32
"""Cells a side of a crop whose colours are compared: finer ones show noise."""

GAIN_LIMITS = (0.45, 2.2)
"""Beyond these a reference's own noise and compression would show."""

Border: TypeAlias = Literal["replicate", "reflect"]
_BORDERS = {"replicate": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT_101}

LARGE = 16
"""Factor from which maps are enlarged as products of matrices: OpenCV is slower there."""


def luma_of(images: torch.Tensor) -> torch.Tensor:
    """Return the brightness, (N, H, W), of RGB (N, 3 or more, H, W)."""
    red, green, blue = LUMA
    luma = images[:, 0] * red
    return luma.add_(images[:, 1], alpha=green).add_(images[:, 2], alpha=blue)


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
    return references * lit(light_gain(references, target, block=block), *references.shape[-2:])


def light_gain(
    references: torch.Tensor, target: torch.Tensor, *, block: int = LIGHT_BLOCK
) -> torch.Tensor:
    """Return what `match_light` multiplies by, (B, K, 3, H / block, W / block)."""
    wanted = shrunk(target, block)[:, None]
    present = shrunk(references.flatten(0, 1), block)
    present = present.reshape(*references.shape[:3], *wanted.shape[-2:])
    return ((wanted + DARKEST) / (present + DARKEST)).clamp(*GAIN_LIMITS)


def lit(gain: torch.Tensor, height: int, width: int, within: Window | None = None) -> torch.Tensor:
    """Return a light map (B, K, 3, h, w) for pictures of a size, or for a window of them."""
    wide = stretch(gain.flatten(0, 1), height, width, within)
    return wide.reshape(*gain.shape[:3], *wide.shape[-2:])


def stretch(
    maps: torch.Tensor, height: int, width: int, within: Window | None = None
) -> torch.Tensor:
    """Enlarge (N, C, h, w) bilinearly, as `interpolate` with align_corners=False does.

    All of it, or a window of what it becomes.

    On a CPU by OpenCV, two to seven times as fast, or where that is slower or a gradient is wanted
    as two products of matrices.
    """
    rows, columns = maps.shape[-2:]
    seen = (..., *(within or (slice(height), slice(width))))
    if (rows, columns) == (height, width):
        return maps[seen]
    if maps.device.type != "cpu":
        wide = F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)
        return wide[seen]
    if _opencv_reads(maps) and height < LARGE * rows:
        larger = torch.empty(*maps.shape[:2], height, width)
        pairs = zip(maps.flatten(0, 1).numpy(), larger.flatten(0, 1).numpy(), strict=True)
        for plane, target in pairs:
            cv2.resize(plane, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
        return larger[seen]
    down, across = (
        torch.from_numpy(_spread(*ends)[lines]).to(maps.dtype)
        for *ends, lines in ((rows, height, seen[1]), (columns, width, seen[2]))
    )
    with torch.autocast("cpu", enabled=False):  # it would compute positions in bf16
        return down @ maps @ across.T


@cache
def _spread(length: int, size: int) -> FloatArray:
    """Return what enlarges a line bilinearly, (size, length)."""
    at = ((np.arange(size) + 0.5) * (length / size) - 0.5).clip(0, length - 1)
    weights: FloatArray = (1 - np.abs(at[:, None] - np.arange(length))).clip(0).astype(np.float32)
    return weights


def _opencv_reads(images: torch.Tensor) -> bool:
    """Return whether OpenCV may do the work: of plain pictures in the CPU's memory."""
    plain = type(images) is torch.Tensor and images.dtype == torch.float32
    return plain and images.device.type == "cpu" and not images.requires_grad


def shrunk(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Average blocks of `factor` x `factor` pixels of (N, C, H, W), H and W multiples of it.

    On a CPU by OpenCV, halved again and again where it can be: a fifteenth of the time that
    `avg_pool2d` takes to halve, a third for a factor of 8.
    """
    if factor == 1:
        return images
    if not _opencv_reads(images) or not images.numel():
        return F.avg_pool2d(images, factor)
    # All planes are one picture: no block reaches from one into the next.
    lines = images.reshape(-1, images.shape[-1]).numpy()
    left = factor
    while left > 1:
        step = 2 if left % 2 == 0 else left
        size = lines.shape[1] // step, lines.shape[0] // step
        lines, left = cv2.resize(lines, size, interpolation=cv2.INTER_AREA), left // step
    height, width = (length // factor for length in images.shape[-2:])
    return torch.from_numpy(lines).view(*images.shape[:2], height, width)


def filtered(images: torch.Tensor, taps: torch.Tensor, *, border: Border) -> torch.Tensor:
    """Filter (N, C, H, W) along rows and columns by an odd number of taps on the CPU.

    Beyond the border its pixels go on ("replicate") or are mirrored about it ("reflect").
    """
    reach = len(taps) // 2
    if _opencv_reads(images):
        result, kernel = torch.empty(images.shape), taps.numpy()
        pairs = zip(images.flatten(0, 1).numpy(), result.flatten(0, 1).numpy(), strict=True)
        for plane, target in pairs:
            cv2.sepFilter2D(plane, -1, kernel, kernel, dst=target, borderType=_BORDERS[border])
        return result
    weights = sent(taps, images.device).to(images.dtype)
    flat = F.pad(images, [reach] * 4, mode=border).flatten(0, 1)[:, None]
    with torch.autocast(images.device.type, enabled=False):  # it would return bf16 for float32
        rows = F.conv2d(flat, weights[None, None, None])
        return F.conv2d(rows, weights[None, None, :, None]).reshape(images.shape)


@cache
def gaussian(sigma: float, reach: int | None = None) -> tuple[float, ...]:
    """Return the taps of a Gaussian of a deviation in pixels, for `filtered`.

    So many to either side of the middle one; default two and a half deviations.
    """
    reach = round(2.5 * sigma) if reach is None else reach
    taps = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(-reach, reach + 1)]
    return tuple(tap / sum(taps) for tap in taps)


def averaged(images: torch.Tensor, side: int) -> torch.Tensor:
    """Bring square pictures (N, C, S, S) to a smaller side, averaged over areas."""
    if images.shape[-1] % side == 0:
        return shrunk(images, images.shape[-1] // side)
    return F.interpolate(images, size=side, mode="area")


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
        smaller = shrunk(images, 2)
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
    return stretch(images, 2 * images.shape[-2], 2 * images.shape[-1])


def as_tinted(restored: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Take colour out of restored faces as far as their source has none, by its own tint.

    In a grey or sepia film colour is a straight line over brightness. There the restored face's is
    put on that line: references in colour would make eyes blue and lips red.

    Parameters
    ----------
    restored, source : (B, 3, S, S)
        RGB 0..1.
    """
    small = shrunk(source, source.shape[-1] // TINT_CELLS)
    edge = TINT_CELLS // 8
    small = small[..., edge:-edge, edge:-edge]
    luma = luma_of(small)[:, None]
    colour = small - luma
    light = luma - luma.mean((2, 3), keepdim=True)
    shift = colour.mean((2, 3), keepdim=True)
    power = light.square().mean((2, 3), keepdim=True)
    slope = (light * colour).mean((2, 3), keepdim=True) / (power + 1e-6)
    left = (colour - shift - slope * light).square().mean((1, 2, 3), keepdim=True).sqrt()
    share = ((left - GREY) / (COLOURED - GREY)).clamp(0, 1)
    if nobody(share < 1):
        return restored
    bright = luma_of(restored)[:, None]
    tinted = bright + shift + slope * (bright - luma.mean((2, 3), keepdim=True))
    return torch.where(share < 1, torch.lerp(tinted, restored, share).clamp(0, 1), restored)
