"""Code values of planar pictures to RGB and back, with the picture's own matrix and range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from numpy.typing import NDArray

from refrestore.media.colour import LUMA_WEIGHTS, is_full_range, matrix_of
from refrestore.media.planes import Plane, planar, plane_views
from refrestore.types import DoubleArray, FloatArray

if TYPE_CHECKING:  # half of what imports this never holds a tensor, and torch takes a second
    from torch import Tensor


def read_region(
    picture: av.VideoFrame, left: int, top: int, width: int, height: int
) -> NDArray[np.float32]:
    """Return a rectangle as (height, width, 3) float32 RGB 0..1 at the source's full depth.

    Reads code values as `compose` adds to them; only the rectangle is converted.

    Raises
    ------
    ValueError
        The rectangle is empty or does not lie inside the picture.
    """
    if not (0 <= left < left + width <= picture.width):
        raise ValueError(f"columns {left}..{left + width} are not inside 0..{picture.width}")
    if not (0 <= top < top + height <= picture.height):
        raise ValueError(f"rows {top}..{top + height} are not inside 0..{picture.height}")
    source = planar(picture)
    coding = Coding.of(source)
    result = np.empty((height, width, 3), np.float32)
    for planes, parity, step in fields(source):
        first = -(-(top - parity) // step)  # first row of this field inside the rectangle
        rows = np.arange(first, -(-(top + height - parity) // step))
        if len(rows):
            region = _decode(planes, coding, rows, np.arange(left, left + width))
            result[rows[0] * step + parity - top :: step] = region
    return result


@dataclass(frozen=True, slots=True)
class Coding:
    """How a planar picture's code values follow from RGB (ITU-T H.273, section 8.3)."""

    rgb: bool
    planes: int
    bits: int
    full: bool
    red: float
    blue: float
    step_x: int
    step_y: int

    @classmethod
    def of(cls, picture: av.VideoFrame) -> Coding:
        """Return the coding of a planar picture."""
        pixel_format = picture.format
        red, blue = LUMA_WEIGHTS[matrix_of(picture)]
        return cls(
            rgb=pixel_format.is_rgb,
            planes=1 if len(pixel_format.components) < 3 else 3,
            bits=pixel_format.components[0].bits,
            full=is_full_range(picture),
            red=red,
            blue=blue,
            step_x=subsampling(pixel_format)[0],
            step_y=subsampling(pixel_format)[1],
        )

    @property
    def top(self) -> int:
        """Largest code value."""
        return (1 << self.bits) - 1

    @property
    def luma(self) -> tuple[float, float]:
        """Scale and offset of luma codes."""
        if self.full:
            return float(self.top), 0.0
        unit = 1 << (self.bits - 8)
        return 219.0 * unit, 16.0 * unit

    @property
    def chroma(self) -> tuple[float, float]:
        """Scale and offset of chroma codes."""
        unit = 1 << (self.bits - 8)
        return (float(self.top) if self.full else 224.0 * unit), 128.0 * unit

    @property
    def chroma_grid(self) -> DoubleArray:
        """Affine matrix (2, 3) from luma to chroma samples: `compose` says how they are sited."""
        x, y = 1 / self.step_x, 1 / self.step_y
        return np.array([[x, 0, 0], [0, y, (y - 1) / 2]])

    @property
    def chroma_weights(self) -> tuple[float, float, float, float]:
        """What Cr adds to R and to G, and Cb to G and to B; chroma in -1/2..1/2."""
        of_red, of_blue = 2 * (1 - self.red), 2 * (1 - self.blue)
        green = 1 - self.red - self.blue
        return of_red, -self.red * of_red / green, -self.blue * of_blue / green, of_blue

    def encode_difference(self, rgb: Tensor) -> list[Tensor]:
        """Return what an RGB difference, (h, w, 3), adds to the code values, one tensor a plane."""
        scale = self.luma[0]
        red, green, blue = rgb.unbind(2)
        if self.rgb:
            return [channel * scale for channel in (red, green, blue)]
        luma = red * self.red + green * (1 - self.red - self.blue) + blue * self.blue
        if self.planes == 1:
            return [luma * scale]
        of_red, *_, of_blue = self.chroma_weights
        span = self.chroma[0]
        return [luma * scale, (blue - luma) * (span / of_blue), (red - luma) * (span / of_red)]

    def decode(self, codes: list[FloatArray]) -> FloatArray:
        """Return (h, w, 3) RGB 0..1 of code values at full resolution."""
        scale, offset = (np.float32(value) for value in self.luma)
        values = [(code - offset) / scale for code in codes[:1]]
        if self.rgb:
            values = [code / scale for code in codes]
        elif self.planes == 1:
            values *= 3
        else:
            span, middle = (np.float32(value) for value in self.chroma)
            luma = values[0]
            blue = luma + (codes[1] - middle) * np.float32(2 * (1 - self.blue) / span)
            red = luma + (codes[2] - middle) * np.float32(2 * (1 - self.red) / span)
            green = (luma - np.float32(self.red) * red - np.float32(self.blue) * blue) / np.float32(
                1 - self.red - self.blue
            )
            values = [red, green, blue]
        return np.clip(np.stack(values, -1), 0, 1)


UNIT_RGB = Coding(rgb=True, planes=3, bits=1, full=True, red=0.299, blue=0.114, step_x=1, step_y=1)
"""RGB 0..1 as floating-point numbers: the largest "code" is 1."""


def subsampling(pixel_format: av.VideoFormat) -> tuple[int, int]:
    """Return luma samples per chroma sample across and down."""
    if pixel_format.is_rgb or len(pixel_format.components) < 3:
        return 1, 1
    # 16 is a multiple of every factor there is (1, 2, 4).
    return 16 // pixel_format.chroma_width(16), 16 // pixel_format.chroma_height(16)


def fields(picture: av.VideoFrame) -> Iterator[tuple[list[Plane], int, int]]:
    """Yield planes, first row and row step: the whole picture, or each of its two fields."""
    planes = plane_views(picture)
    if not picture.interlaced_frame:
        yield planes, 0, 1
        return
    for parity in (0, 1):
        rows = [plane[parity::2] for plane in planes]
        if all(len(plane) for plane in rows):
            yield rows, parity, 2


def _decode(
    planes: list[Plane], coding: Coding, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> FloatArray:
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    if coding.rgb:
        return coding.decode([plane[window].astype(np.float32) for plane in planes[:3]])
    codes = [planes[0][window].astype(np.float32)]
    if coding.planes == 3:
        y = (rows + 0.5) / coding.step_y - 0.5
        x = columns / coding.step_x
        codes += [_linear(_linear(plane, y, 0), x, 1) for plane in planes[1:3]]
    return coding.decode(codes)


def _linear(values: NDArray[Any], positions: NDArray[Any], axis: int) -> FloatArray:
    """Interpolate along an axis, the border repeated."""
    positions = np.clip(positions, 0, values.shape[axis] - 1)
    low = np.floor(positions).astype(np.int64)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    weight = (positions - low).astype(np.float32)
    weight = weight[:, None] if axis == 0 else weight[None, :]
    below = values.take(low, axis).astype(np.float32)
    above = values.take(high, axis).astype(np.float32)
    return np.asarray(below + weight * (above - below), np.float32)
