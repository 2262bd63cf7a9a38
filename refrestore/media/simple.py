"""Videos that are made here: pictures (and a sound) in, a file out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from refrestore.media.files import libav_url
from refrestore.types import ImageArray

SOUND_BLOCK = 1024
"""Samples an AAC frame holds."""


def write_pictures(
    target: Path | BinaryIO,
    pictures: Iterable[ImageArray],
    *,
    rate: Fraction,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    sound: NDArray[np.float32] | None = None,
    sound_rate: int = 48_000,
    container: str | None = None,
) -> int:
    """Encode pictures at a constant rate and return how many there were.

    Parameters
    ----------
    target
        File name, or an open binary file (then `container` must be named).
    pictures
        (H, W, 3) uint8 RGB, all of one size; odd sizes are padded for codecs that need it.
    rate
        Pictures a second.
    sound : (channels, samples) float32, optional
        -1..1, encoded as AAC.
    """
    count = 0
    where: str | BinaryIO = libav_url(target) if isinstance(target, Path) else target
    with av.open(where, "w", format=container) as output:
        video: av.VideoStream | None = None
        audio = None if sound is None else output.add_stream("aac", rate=sound_rate)
        assert audio is None or isinstance(audio, av.AudioStream)
        heard = 0
        for picture in pictures:
            height, width = picture.shape[:2]
            if video is None:
                added = output.add_stream(codec, rate=rate, options=dict(options or {}))
                assert isinstance(added, av.VideoStream)
                video = added
                video.width, video.height = width + width % 2, height + height % 2
                video.pix_fmt = pixel_format
            padded = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            output.mux(video.encode(av.VideoFrame.from_ndarray(padded, format="rgb24")))
            count += 1
            if audio is not None and sound is not None:
                until = min(sound.shape[1], int(count / rate * sound_rate))
                heard = _write_sound(output, audio, sound, heard, until)
        if video is not None:
            output.mux(video.encode())
        if audio is not None and sound is not None:
            output.mux(audio.encode())
    return count


def _write_sound(
    output: av.container.OutputContainer,
    stream: av.AudioStream,
    sound: NDArray[np.float32],
    start: int,
    until: int,
) -> int:
    """Encode whole blocks from `start` up to `until` and return where it stopped."""
    while start + SOUND_BLOCK <= until:
        block = np.ascontiguousarray(sound[:, start : start + SOUND_BLOCK])
        layout = "mono" if len(sound) == 1 else "stereo"
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate = stream.rate
        frame.pts = start
        frame.time_base = Fraction(1, stream.rate)
        output.mux(stream.encode(frame))
        start += SOUND_BLOCK
    return start
