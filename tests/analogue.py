"""Films as tapes are captured: interlaced, in DV and MPEG-2, with sound as samples."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = Fraction(25)
STEP = 3
"""Samples that the scene moves from one field to the next."""


def scene(size: tuple[int, int], moment: int, *, noise: float = 0, seed: int = 0) -> np.ndarray:
    """A textured picture in the middle of a still one, (H, W) uint8, at a field's moment."""
    width, height = size
    rng = np.random.default_rng(5)
    texture = np.kron(rng.integers(40, 216, (height // 8 + 1, width // 8 + 1)), np.ones((8, 8)))
    still = np.full((height, width), 110.0)
    moved = np.roll(texture[:height, :width], moment * STEP, axis=1)
    rows = slice(height // 4, height - height // 4)
    still[rows] = moved[rows]
    # Another seed for every moment: grain does not stay.
    grain = np.random.default_rng(seed * 10_000 + moment).normal(0, 1, still.shape) * noise
    return np.clip(np.rint(still + grain), 0, 255).astype(np.uint8)


def luma(size: tuple[int, int], number: int, order: str, *, noise: float = 0) -> np.ndarray:
    """Picture `number` of a film whose fields come in an order: "top", "bottom", "progressive"."""
    if order == "progressive":
        return scene(size, 2 * number, noise=noise)
    first, second = (scene(size, 2 * number + each, noise=noise) for each in (0, 1))
    top, bottom = (first, second) if order == "top" else (second, first)
    picture = top.copy()
    picture[1::2] = bottom[1::2]
    return picture


def write_tape(
    path: Path,
    order: str = "top",
    *,
    codec: str = "mpeg2video",
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (192, 304),
    frames: int = 40,
    rate: Fraction = RATE,
    aspect: Fraction = Fraction(16, 15),
    flagged: bool = True,
    noise: float = 0,
    sound: str | None = None,
    gop: int = 12,
) -> Path:
    """Write a film of the scene."""
    with av.open(str(path), "w") as output:
        film: Any = output.add_stream(codec, rate=rate)
        film.width, film.height = size
        film.pix_fmt = pixel_format
        context = film.codec_context
        context.sample_aspect_ratio = aspect
        if codec == "mpeg2video":
            context.gop_size = gop
            context.bit_rate = 8_000_000
            if flagged:
                context.flags |= 1 << 18 | 1 << 29
        track: Any = None
        if sound is not None:
            track = output.add_stream(sound, rate=48_000)
            track.layout = "stereo"
        for number in range(frames):
            gray = av.VideoFrame.from_ndarray(luma(size, number, order, noise=noise), "gray")
            gray.color_range = 2
            frame = gray.reformat(format=pixel_format, dst_color_range=1)
            frame.pts, frame.time_base = number, 1 / rate
            output.mux(film.encode(frame))
            if track is not None:
                output.mux(_sound(track, number, rate))
        output.mux(film.encode(None))
        if track is not None:
            output.mux(track.encode(None))
    return path


def _sound(track: Any, number: int, rate: Fraction) -> list[Any]:
    """The sound of a picture's duration."""
    count = round(48_000 / rate)
    phase = np.arange(number * count, (number + 1) * count) / 48_000 * 2 * np.pi * 440
    wave = (np.sin(phase) * 9000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], "s16", "stereo")
    frame.sample_rate = 48_000
    frame.pts, frame.time_base = number * count, Fraction(1, 48_000)
    return list(track.encode(frame))
