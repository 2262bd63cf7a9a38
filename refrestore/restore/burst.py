"""A face as the frames around it show it together, with the film's blur taken back.

A tape shows the same face in every frame, each time with other noise. Frames of a track are laid
over each other along the flow and averaged where they agree; what differs between them says how
much of the picture is noise, by frequency. What is left of a face's power beside what sharp faces
have says how blurred it is, along the lines and across them. A Wiener filter of that blur and that
noise draws the face as sharp as its frames together show it: nothing is invented, and a face that
is sharp stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from refrestore.media.tensors import sent, stacked
from refrestore.restore.flow import flow
from refrestore.restore.light import averaged, filtered, luma_of, shrunk, stretch
from refrestore.restore.steady import CELLS, at_side
from refrestore.restore.warp import warp
from refrestore.types import DoubleArray, FloatArray

REACH, STEP = 8, 2
"""Frames before and after that are laid over a face, and how far they are apart: a codec repeats
its noise from one frame to the next (docs/decisions/030 has the table)."""

FLOW_SIDE = 128
"""Pixels a side of a crop on which they are laid over each other."""

SOFT = 1.5
"""Sigma of the blur before, in these: of a noisy picture the flow would follow the noise."""

AGREEMENT = 0.04
"""Difference of two cells, 0..1, at which a neighbour counts 1 / e."""

SPECTRUM_SIDE = 128
"""Pixels a side at which power is measured: what needs sharpening shows nothing finer."""

RINGS = np.geomspace(3, 56, 15)
"""Edges of rings of frequencies, cycles a crop."""

SECTORS = 3
"""Directions told apart: along the lines, between, and across them."""

LOW = 6.0
"""Cycles a crop below which every face shows all there is."""

FACE_POWER = (2.47, -0.632, -0.088, 0.366)
"""Log power of sharp faces beside that below `LOW`, by r, the log of squared frequency, and t, -1
along the lines to 1 across: a + b r + c r^2 + d t. Fitted (rms .29) on 183 photos of 24 people;
single faces differ by .65 (benchmarks/burst.py)."""

NOISE = 5.0
"""How much more noise there is than differs between frames, in power: what a codec leaves out is
missing in all of them alike."""

LEVEL_PRIOR = 1.0
"""How strongly a face's fine detail is expected to be a sharp face's, beside what is measured."""

OWN_ERROR, PHOTOS_ERROR = 0.03, 0.1
"""Power of a restored face's error beside a sharp face's, without references and from photos of
other days. From the film's own close-ups it is less than what a codec does to all frames alike."""

EYES_ERROR = 0.03
"""The same of eyes at least, from any references: a gaze that none of them has."""

MOST = 3.0
"""Times that a frequency is raised at most."""

SHARP, BLURRED = 0.0025, 0.0045
"""Mean of both blurs up to which a face is as it is, and from which it is all drawn anew: about 50
and 40 px a crop are resolved, of which a face has two thirds."""

FEWEST = 3
"""Neighbours that a face must have to be drawn from: fewer say nothing of its noise."""

CODED, ANALOGUE = 0.8, 1.0
"""Amplitude of a single frame's noise in `MIDDLE` (of faces of 0..1 in a spectrum of
`SPECTRUM_SIDE`) up to which a codec may have taken it away, and its like is left in all frames
together, and from which it is the film's own. Tapes have .8 to 1.4, far shots that were compressed
.4 to 1."""

MIDDLE = (8.0, 20.0)
"""Cycles a crop."""

TERMS = 6
"""Numbers that say what a film does to a face, see `blur_of`."""


@dataclass(frozen=True, eq=False)
class Burst:
    """Faces as their frames show them together.

    Parameters
    ----------
    images : (B, 3, S, S)
        RGB.
    power, noise : (B, bins)
        Power of the faces' luma by frequency, and how much of it is noise.
    count : (B,)
        Frames that agree, about.
    """

    images: Tensor
    power: Tensor
    noise: Tensor
    count: Tensor

    def blur(self) -> FloatArray:
        """Return `blur_of` its faces; waits for the device."""
        return blur_of(*(one.cpu().numpy() for one in (self.power, self.noise, self.count)))


def together(
    faces: Tensor,
    near: Sequence[Sequence[Tensor]],
    soft: Sequence[Sequence[Tensor]] | None = None,
) -> Tensor:
    """Lay frames of the same face over each other and average them where they agree.

    Parameters and result as for `measured`, without what is measured.
    """
    images, _ = _laid(faces, near, soft)
    return images


def measured(
    faces: Tensor,
    near: Sequence[Sequence[Tensor]],
    soft: Sequence[Sequence[Tensor]] | None = None,
) -> Burst:
    """Do so, and measure how much of them is noise.

    Parameters
    ----------
    faces : (B, 3, S, S)
        RGB 0..1.
    near
        Of each, the same face at other times, (3, s, s), in crops of any side. Where there is none
        nothing can be told of noise: it has none.
    soft
        `softened` of each and of those near it, in this order, where it was made before.
    """
    images, laid = _laid(faces, near, soft)
    noise, number = spectra(faces - images), torch.ones(len(faces), device=faces.device)
    window = sent(torch.from_numpy(_window()), faces.device)
    for placed, weight in laid:
        noise = noise + spectra((placed - images) * weight)
        cells = averaged(weight, SPECTRUM_SIDE)[:, 0]
        number = number + (cells * window).sum((1, 2)) / window.sum()
    noise = noise / (number * (number - 1).clamp(min=1))[:, None]
    return Burst(images, spectra(images), noise, number)


def _laid(
    faces: Tensor,
    near: Sequence[Sequence[Tensor]],
    soft: Sequence[Sequence[Tensor]] | None,
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Return the mean of faces and what agrees of others; these laid over them, and weights."""
    side = faces.shape[-1]
    others, there = _slots(faces, near)
    mine = shrunk(faces, side // CELLS)
    if soft is None:
        this, *smaller = (softened(one) for one in (faces, *others))
    else:
        this, *smaller = (
            stacked([own[min(slot, len(own) - 1)] for own in soft])
            for slot in range(1 + len(others))
        )
    total, weights = faces.clone(), torch.ones_like(faces[:, :1])
    laid = []
    for other, small, counts in zip(others, smaller, there, strict=True):
        motion = flow(this, small)
        motion = stretch(motion * (side / FLOW_SIDE), side, side)
        placed = warp(other, motion)
        apart = (shrunk(placed, side // CELLS) - mine).abs().mean(1, keepdim=True)
        weight = torch.exp(-((apart / AGREEMENT) ** 2)) * counts[:, None, None, None]
        weight = stretch(F.avg_pool2d(weight, 3, 1, 1, count_include_pad=False), side, side)
        total.addcmul_(placed, weight)
        weights += weight
        laid.append((placed, weight))
    return total / weights, laid


def _slots(faces: Tensor, near: Sequence[Sequence[Tensor]]) -> tuple[list[Tensor], Tensor]:
    """Return K times (B, 3, S, S), and (K, B): 1 where there is a face, 0 where one stands in."""
    count, side = max(map(len, near), default=0), faces.shape[-1]
    slots = [
        stacked(
            [
                at_side(others[slot], side) if slot < len(others) else face
                for face, others in zip(faces, near, strict=True)
            ]
        )
        for slot in range(count)
    ]
    there = np.array([[slot < len(others) for others in near] for slot in range(count)], np.float32)
    return slots, sent(torch.from_numpy(there.reshape(count, len(faces))), faces.device)


def softened(faces: Tensor) -> Tensor:
    """Return what the flow of crops (B, 3, S, S) is found on, (B, s, s) uint8."""
    small = shrunk(luma_of(faces)[:, None], faces.shape[-1] // FLOW_SIDE)
    radius = int(3 * SOFT)
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / SOFT) ** 2)
    small = filtered(small, taps / taps.sum(), border="reflect")
    return (small[:, 0] * 255).round_().clamp_(0, 255).to(torch.uint8)


def spectra(images: Tensor) -> Tensor:
    """Return mean power of luma by frequency, (B, bins): rings, each in its directions.

    Parameters
    ----------
    images : (B, 3, S, S)
        Crops, or what two crops differ by.
    """
    luma = averaged(luma_of(images)[:, None], SPECTRUM_SIDE)[:, 0].float()
    window, bins = (sent(torch.from_numpy(one), luma.device) for one in (_window(), _bins()))
    luma = (luma - (luma * window).sum((1, 2), keepdim=True) / window.sum()) * window
    power: Tensor = torch.fft.fft2(luma).abs().square().flatten(1) @ bins
    return power


@cache
def _window() -> FloatArray:
    """Return a raised cosine over where an aligned crop shows a face, (s, s)."""
    rows, columns = np.mgrid[:SPECTRUM_SIDE, :SPECTRUM_SIDE] / SPECTRUM_SIDE - 0.5
    radius = np.hypot(columns / 0.42, (rows - 0.04) / 0.46).clip(0, 1)
    return np.asarray(np.cos(np.pi / 2 * radius) ** 2, np.float32)


def _frequencies() -> tuple[DoubleArray, DoubleArray]:
    """Return the frequencies of a spectrum's pixels along the lines and across, cycles a crop."""
    steps = np.fft.fftfreq(SPECTRUM_SIDE) * SPECTRUM_SIDE
    across, along = np.meshgrid(steps, steps, indexing="ij")
    return along.ravel(), across.ravel()


@cache
def _bins() -> FloatArray:
    """Return weights (pixels of a spectrum, bins) of the mean over each bin."""
    along, across = _frequencies()
    ring = np.searchsorted(RINGS, np.hypot(along, across), side="right") - 1
    turn = np.arctan2(np.abs(across), np.abs(along)) / (np.pi / 2)
    sector = np.minimum((turn * SECTORS).astype(np.int64), SECTORS - 1)
    inside = np.flatnonzero((ring >= 0) & (ring < len(RINGS) - 1))
    bins = np.zeros((len(along), (len(RINGS) - 1) * SECTORS), np.float32)
    bins[inside, (ring * SECTORS + sector)[inside]] = 1
    return np.asarray(bins / bins.sum(0), np.float32)


@cache
def _places() -> tuple[DoubleArray, DoubleArray]:
    """Return each bin's mean squared frequency along the lines and across, cycles a crop."""
    weights = _bins().astype(np.float64)
    along, across = (one**2 @ weights for one in _frequencies())
    return along, across


def face_power(along: DoubleArray, across: DoubleArray) -> DoubleArray:
    """Return the log power of sharp faces at squared frequencies, beside that below `LOW`."""
    level, slope, bend, turned = FACE_POWER
    both = along + across
    ring = np.log(both)
    result: DoubleArray = level + slope * ring + bend * ring**2 + turned * (across - along) / both
    return result


def blur_of(power: FloatArray, noise: FloatArray, count: FloatArray) -> FloatArray:
    """Return what a film does to faces, (B, `TERMS`).

    First how blurred they are along the lines and across, b: a frequency of f cycles a crop keeps
    exp(-b f^2 / 2) of its amplitude. Then their noise beside a sharp face's power: its log is a
    parabola over the log of frequency (in units of the first ring), constant term first. Last the
    amplitude of a single frame's noise in `MIDDLE`. All of them can be averaged over time.

    Parameters
    ----------
    power, noise, count
        As in `Burst`.
    """
    along, across = _places()
    radius = np.sqrt(along + across)
    middle = (radius > MIDDLE[0]) & (radius < MIDDLE[1])
    amplitude = np.sqrt((noise * count[:, None])[:, middle].mean(1))
    noise = np.maximum(NOISE * noise.astype(np.float64), 1e-12)
    power = np.maximum(power.astype(np.float64), 1e-12)
    expected = face_power(along, across)
    low = along + across < LOW**2
    expected = expected + (np.log(power) - expected)[:, low].mean(1, keepdims=True)
    seen = np.clip(1 - 2 * noise / power, 0, 1)
    left = np.log(np.maximum(power - noise, 1e-12)) - expected
    falls = np.stack([np.ones_like(along), -along, -across], 1)
    ring = np.log(np.sqrt(along + across) / RINGS[0])
    parabola = np.stack([np.ones_like(ring), ring, ring**2], 1)
    result: FloatArray = np.zeros((len(power), TERMS), np.float32)
    for row, weight in enumerate(seen):
        normal = falls.T @ (weight[:, None] * falls)
        normal[0, 0] += LEVEL_PRIOR * weight.sum()
        normal += np.eye(3) * 1e-6  # of a face that is all noise nothing is said
        level, *blurs = np.linalg.solve(normal, falls.T @ (weight * left[row]))
        beside = np.log(noise[row]) - expected[row] - level
        result[row, :2] = np.maximum(blurs, 0)
        result[row, 2:5] = np.linalg.lstsq(parabola, beside, rcond=None)[0]
    result[:, 5] = amplitude
    return result


def analogue(blur: FloatArray) -> FloatArray:
    """Return how far the noise of faces is their film's own, and not a codec's, (B,), 0..1."""
    result: FloatArray = ((blur[:, 5] - CODED) / (ANALOGUE - CODED)).clip(0, 1).astype(np.float32)
    return result


def share(blur: FloatArray) -> FloatArray:
    """Return how much of faces is drawn from their frames together, (B,), 0..1."""
    mean = blur[:, :2].mean(1)
    result: FloatArray = ((mean - SHARP) / (BLURRED - SHARP)).clip(0, 1).astype(np.float32)
    return result


def sharpened(faces: Tensor, images: Tensor, blur: FloatArray) -> Tensor:
    """Take the blur back of faces in their frames together, (B, 3, S, S), in luma.

    Parameters
    ----------
    faces, images : (B, 3, S, S)
        RGB 0..1 as they are, and of `together`.
    blur : (B, TERMS)
        From `blur_of`.
    """
    observed = _Spectrum.of(images, blur)
    raised = observed.values * observed.gain().clamp(min=1)
    sharp = images + (observed.picture(raised) - luma_of(images).float())[:, None]
    weights = sent(torch.from_numpy(share(blur)), images.device)[:, None, None, None]
    return torch.lerp(faces, sharp, weights).clamp(0, 1)


def agreeing(
    restored: Tensor,
    images: Tensor,
    blur: FloatArray,
    error: NDArray[np.floating],
    eyes: Tensor | None = None,
) -> Tensor:
    """Return restored faces that look, once blurred as the film is, as their frames show them.

    A restorer gets some of a sharp face's power wrong: where blur and noise have left anything of a
    frequency, the frames correct it (a Wiener filter of the difference). Lids that were opened
    close, glasses that only a reference has fade. Where a codec took the noise away only in eyes:
    what it left out with it is missing in all frames alike, and would be believed.

    Parameters
    ----------
    restored : (B, 3, S, S)
        RGB 0..1.
    images, blur
        As for `sharpened`.
    error : (B,)
        How much power of a restored face is wrong, beside a sharp face's (`OWN_ERROR`); 0 believes
        it.
    eyes : (B, S, S), optional
        Where `EYES_ERROR` is expected at least, whatever the noise, and how far.
    """
    observed = _Spectrum.of(images, blur)
    wrong = observed.values - observed.left * _by_frequency(restored, observed.margin)
    weights = sent(torch.from_numpy(share(blur)), images.device)[:, None, None, None]

    def correct(expected: NDArray[np.floating]) -> Tensor:
        power = sent(torch.from_numpy(expected.astype(np.float32)), images.device)
        return observed.picture(wrong * observed.gain(power[:, None, None]))[:, None]

    correction = correct(error * analogue(blur))
    if eyes is not None:
        of_eyes = correct(np.maximum(error, EYES_ERROR))
        correction = torch.lerp(correction, of_eyes, eyes[:, None])
    return torch.where(weights > 0, (restored + weights * correction).clamp(0, 1), restored)


def _by_frequency(images: Tensor, margin: int) -> Tensor:
    """Return the luma of crops with a mirrored margin by frequency."""
    wide = F.pad(luma_of(images).float()[:, None], [margin] * 4, mode="reflect")[:, 0]
    values: Tensor = torch.fft.rfft2(wide)
    return values


@dataclass(frozen=True, eq=False)
class _Spectrum:
    """Luma of crops of one side by frequency, and what their film left of it.

    Parameters
    ----------
    values : (B, W, W / 2 + 1) complex64
        Of the crops with a mirrored margin.
    radius : (W, W / 2 + 1)
        Cycles a crop.
    left, noise : (B, W, W / 2 + 1)
        Share of amplitude that is left, and the noise's power beside a sharp face's.
    margin
        Pixels a side.
    """

    values: Tensor
    radius: Tensor
    left: Tensor
    noise: Tensor
    margin: int

    @classmethod
    def of(cls, images: Tensor, blur: FloatArray) -> _Spectrum:
        """Return that of crops (B, 3, S, S) with (B, `TERMS`) from `blur_of`."""
        side, device = images.shape[-1], images.device
        margin = side // 8
        size = side + 2 * margin
        along = (torch.fft.rfftfreq(size, device=device) * side) ** 2
        across = (torch.fft.fftfreq(size, device=device)[:, None] * side) ** 2
        b = sent(torch.from_numpy(blur), device)[:, :, None, None]
        radius = (along + across).sqrt().clamp(min=1)
        ring = (radius / RINGS[0]).log()
        left = torch.exp(-0.5 * (b[:, 0] * along + b[:, 1] * across))
        noise = torch.exp((b[:, 2] + b[:, 3] * ring + b[:, 4] * ring**2).clamp(-20, 20))
        return cls(_by_frequency(images, margin), radius, left, noise, margin)

    def gain(self, power: Tensor | float = 1.0) -> Tensor:
        """Return a Wiener filter for what has so much of a sharp face's power.

        Below the first rings all is there; past the last one nothing was measured.
        """
        wiener = (self.left / (self.left**2 + self.noise / power)).clamp(max=MOST)
        known = ((self.radius - 2) / 4).clamp(0, 1) * (1 - (self.radius - RINGS[-1]) / 8).clamp(
            0, 1
        )
        return torch.lerp(wiener.clamp(max=1), wiener, known)

    def picture(self, values: Tensor) -> Tensor:
        """Return the luma of other values, (B, S, S)."""
        size = self.values.shape[-2]
        inside = slice(self.margin, size - self.margin)
        picture: Tensor = torch.fft.irfft2(values, s=(size, size))[:, inside, inside]
        return picture
