"""Tapes: what analogue recording does to a whole film, and the encode that keeps it.

A video recorder keeps luma of a few hundred lines and chroma of a few dozen; noise moves in every
field and is smeared along the lines, as it goes through the same filters; each line starts a little
early or late; peaking draws a bright rim beside every edge, and a copy of a copy does it all again.
Resolution is told in television lines: as many light and dark lines as can be told apart across a
length of one picture height.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import cv2
import numpy as np

from refrestore.types import FloatArray, ImageArray

LEFT = 0.3
"""Contrast that is left of the finest lines that count as told apart."""

PEAKING = 0.3
"""How much of what a filter took away a recorder's peaking adds again, at the filter's edge."""

UPRIGHT = 0.9
"""Blur across the lines as a share of that along them: fields are a raster, not a filter."""


@dataclass(frozen=True, slots=True)
class Tape:
    """A recorder, its tape, and the encoder of whoever digitised it.

    Parameters
    ----------
    luma_lines, chroma_lines
        Television lines.
    noise, chroma_noise
        Standard deviations in grey levels before filtering.
    jitter
        Standard deviation of where a line starts, pixels.
    generations
        1 for the first recording, 2 for a copy of it.
    codec, options
        Of the file.
    """

    luma_lines: float
    chroma_lines: float
    noise: float
    chroma_noise: float
    jitter: float = 0.2
    generations: int = 1
    codec: str = "libx264"
    options: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({"crf": "22", "preset": "veryfast"})
    )


TAPES: Mapping[str, Tape] = MappingProxyType(
    {
        "tape": Tape(luma_lines=175, chroma_lines=60, noise=10, chroma_noise=25, generations=2),
        "worn tape": Tape(
            luma_lines=100,
            chroma_lines=45,
            noise=12,
            chroma_noise=30,
            jitter=0.4,
            generations=2,
            codec="mpeg2video",
            options=MappingProxyType({"b": "3500000", "bf": "2", "g": "15"}),
        ),
    }
)
"""Tapes by name. Faces of 65 to 120 px in a picture of 480 lines keep about as much of who they are
as sharp ones of 28 and of 18 px do: cosines to the truth of .63 and .3, by MobileFaceNet."""


def on_tape(
    pictures: Iterable[ImageArray], tape: Tape, random: np.random.Generator
) -> Iterator[ImageArray]:
    """Yield (H, W, 3) RGB pictures as they come back from a tape, before they are encoded."""
    for picture in pictures:
        bands = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb).astype(np.float32)
        for _ in range(tape.generations):
            bands = _recorded(bands, tape, random)
        levels = np.clip(np.rint(bands), 0, 255).astype(np.uint8)
        yield np.asarray(cv2.cvtColor(levels, cv2.COLOR_YCrCb2RGB), np.uint8)


def _recorded(bands: FloatArray, tape: Tape, random: np.random.Generator) -> FloatArray:
    """Return a picture's luma and chroma, (H, W, 3), after one generation."""
    height, width = bands.shape[:2]
    noisy = bands + random.standard_normal(bands.shape, np.float32) * np.array(
        [tape.noise, tape.chroma_noise, tape.chroma_noise], np.float32
    )
    luma = _blurred(noisy[..., :1], _spread(tape.luma_lines, height))
    wider = _blurred(luma, _spread(tape.luma_lines, height))
    luma = luma + PEAKING * (luma - wider)
    chroma = _blurred(noisy[..., 1:], _spread(tape.chroma_lines, height))
    starts = np.cumsum(random.normal(0, tape.jitter, height))
    starts -= cv2.GaussianBlur(starts[:, None], (1, 0), 0, sigmaY=4)[:, 0]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    columns += starts[:, None].astype(np.float32)
    moved = cv2.remap(
        np.concatenate([luma, chroma], 2),
        columns,
        rows,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.float32)


def _spread(lines: float, height: int) -> float:
    """Return the Gaussian's sigma in pixels at which `LEFT` is left of so many lines."""
    cycles = lines / (2 * height)
    return float(np.sqrt(-np.log(LEFT) / 2) / (np.pi * cycles))


def _blurred(bands: FloatArray, sigma: float) -> FloatArray:
    soft = cv2.GaussianBlur(bands, (0, 0), sigma, sigmaY=UPRIGHT * sigma)
    return np.asarray(soft, np.float32).reshape(bands.shape)


__all__ = ["TAPES", "Tape", "on_tape"]
