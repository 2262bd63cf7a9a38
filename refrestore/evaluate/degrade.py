"""Every degradation of measuring, tuning and training: as published, drawn from a generator.

A new one is a line in the table of what is to know it: `DEGRADATIONS` and `VIDEO_DEGRADATIONS` for
`refrestore evaluate`, `TRAINING` for `training/`. Tapes are in `evaluate.tape`.

The still-picture chain is that of ReF-LDM (NeurIPS 2024, section 5.1), which follows GFPGAN:
Gaussian blur of sigma, shrinking by r, Gaussian noise of delta, JPEG of quality q, back to size.
Its ranges are `MODERATE` and `SEVERE`. Video is degraded as VFHQ (CVPR Workshops 2022) does it:
blur, shrinking, noise, and then a real H.264 or HEVC encode instead of JPEG, because blocks that
move with the picture are what tapes and streams look like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from types import MappingProxyType
from typing import Literal

import av
import cv2
import numpy as np

from refrestore.media.simple import write_pictures
from refrestore.types import ImageArray

Range = tuple[float, float]

Codec = Literal["libx264", "libx265"]
"""Encoders of degraded shots: H.264 and HEVC."""

_QUIET = {"libx265": {"x265-params": "log-level=none"}}
"""Options that keep an encoder from writing on stderr by itself."""


@dataclass(frozen=True, slots=True)
class Degradation:
    """One draw of the chain.

    Parameters
    ----------
    blur
        Standard deviation of the Gaussian, pixels of the clean picture.
    shrink
        Factor of shrinking, >= 1.
    noise
        Standard deviation of additive Gaussian noise in grey levels (0..255) of the shrunk picture.
    quality
        JPEG quality of the shrunk picture, or None for none.
    """

    blur: float = 0.0
    shrink: float = 1.0
    noise: float = 0.0
    quality: int | None = None

    def __post_init__(self) -> None:
        if self.shrink < 1:
            raise ValueError(f"shrink must be at least 1, got {self.shrink}")


@dataclass(frozen=True, slots=True)
class DegradationRange:
    """Ranges from which a `Degradation` is drawn evenly."""

    blur: Range
    shrink: Range
    noise: Range
    quality: Range

    def draw(self, random: np.random.Generator) -> Degradation:
        """Return one degradation."""
        return Degradation(
            blur=random.uniform(*self.blur),
            shrink=random.uniform(*self.shrink),
            noise=random.uniform(*self.noise),
            quality=round(random.uniform(*self.quality)),
        )


MODERATE = DegradationRange(blur=(0, 8), shrink=(1, 8), noise=(0, 15), quality=(60, 100))
SEVERE = DegradationRange(blur=(8, 16), shrink=(8, 32), noise=(0, 20), quality=(30, 100))
"""ReF-LDM's, of a 512-px FFHQ crop (sigma, r, delta and q of its section 5.1)."""

TO_64_PX = DegradationRange(blur=(4, 4), shrink=(8, 8), noise=(12, 12), quality=(65, 65))
TO_24_PX = DegradationRange(
    blur=(0, 0), shrink=(512 / 24, 512 / 24), noise=(6, 6), quality=(60, 60)
)
"""Two fixed points in these ranges, at which the lite weights are described (models/README.md)."""

DEGRADATIONS = {"moderate": MODERATE, "severe": SEVERE, "64px": TO_64_PX, "24px": TO_24_PX}
"""Degradations of stills by name."""


TRAINING: Mapping[str, DegradationRange] = MappingProxyType(
    {
        "clean": DegradationRange((0, 1.2), (1, 1.7), (0, 3), (80, 100)),
        "legible": DegradationRange((0, 3), (2.5, 6), (0, 8), (60, 96)),
        "moderate": DegradationRange((1, 7), (3, 10), (0, 15), (50, 100)),
        "severe": DegradationRange((2, 12), (8, 24), (0, 14), (35, 100)),
        "far": DegradationRange((0, 4), (12.8, 25.6), (1, 10), (45, 95)),
        "poor": DegradationRange((2, 6), (4, 9), (6, 15), (45, 80)),
        "video": DegradationRange((1, 7), (3, 10), (0, 15), (50, 100)),
    }
)
"""What networks are trained on, of a 512-px crop (`training/common/degrade.py` says what each is
for and how it is drawn)."""

TUNING = (
    DegradationRange(blur=(1, 7), shrink=(3, 10), noise=(0, 15), quality=(50, 100)),
    DegradationRange(blur=(0, 4), shrink=(12, 26), noise=(1, 10), quality=(45, 95)),
)
"""What a profile is tuned on, near and far, half of the samples each: as the network was."""


@dataclass(frozen=True, slots=True)
class VideoDegradation:
    """What happens to a far shot before it is part of the film.

    Parameters
    ----------
    chain
        Of each picture.
    codec, crf
        Encoder and constant quality that the shot is sent through.
    """

    chain: Degradation
    codec: Codec
    crf: int


VIDEO_MODERATE = VideoDegradation(Degradation(blur=1.0, shrink=3.0, noise=5.0), "libx264", 30)
VIDEO_SEVERE = VideoDegradation(Degradation(blur=1.5, shrink=4.5, noise=6.0), "libx265", 30)
"""Faces of 110 px shrunk to 37 and to 24, the resolutions of ReF-LDM's ranges at their middle."""

VIDEO_DEGRADATIONS = {"moderate": VIDEO_MODERATE, "severe": VIDEO_SEVERE}
"""Degradations of films by name."""


def degrade(image: ImageArray, chain: Degradation, random: np.random.Generator) -> ImageArray:
    """Return a degraded copy of an (H, W, 3) RGB picture, at its size."""
    height, width = image.shape[:2]
    small = shrink(image, chain)
    if chain.noise > 0:
        noisy = small + random.normal(0, chain.noise, small.shape)
        small = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    if chain.quality is not None:
        small = np.ascontiguousarray(jpeg(small[..., ::-1], chain.quality)[..., ::-1])
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def shrink(image: ImageArray, chain: Degradation) -> ImageArray:
    """Return the blurred and shrunk picture, before noise and coding."""
    height, width = image.shape[:2]
    blurred = cv2.GaussianBlur(image, (0, 0), chain.blur) if chain.blur > 0 else image
    if chain.shrink == 1:
        return np.asarray(blurred, np.uint8)
    size = (max(1, round(width / chain.shrink)), max(1, round(height / chain.shrink)))
    return np.asarray(cv2.resize(blurred, size, interpolation=cv2.INTER_AREA), np.uint8)


def jpeg(image: ImageArray, quality: int) -> ImageArray:
    """Return an (H, W, 3) BGR picture as JPEG leaves it."""
    _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def motion_blur(image: ImageArray, length: int, angle: float) -> ImageArray:
    """Return an (H, W, 3) picture smeared over `length` pixels, `angle` degrees from level."""
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D(((length - 1) / 2,) * 2, angle, 1)
    kernel = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), np.float32)
    weights = kernel / max(float(kernel.sum()), 1e-3)
    return np.asarray(cv2.filter2D(image, -1, weights, borderType=cv2.BORDER_REFLECT), np.uint8)


def through_codec(
    images: Iterable[ImageArray], *, rate: Fraction, codec: Codec = "libx264", crf: int = 32
) -> Iterator[ImageArray]:
    """Yield the pictures after a real encode and decode, one out for each one in.

    The encoded stream is held in memory, so this is for clips of seconds.
    """
    sizes: list[tuple[int, int]] = []

    def measured() -> Iterator[ImageArray]:
        for image in images:
            sizes.append((image.shape[0], image.shape[1]))
            yield image

    buffer = BytesIO()
    options = {"crf": str(crf), "preset": "veryfast", **_QUIET.get(codec, {})}
    write_pictures(
        buffer, measured(), rate=rate, codec=codec, options=options, container="matroska"
    )
    if not sizes:
        return
    buffer.seek(0)
    with av.open(buffer, "r") as source:
        for (height, width), frame in zip(sizes, source.decode(video=0), strict=True):
            yield np.asarray(frame.to_ndarray(format="rgb24")[:height, :width], np.uint8)
