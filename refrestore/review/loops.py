"""Short films for the page's video element."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from refrestore.media.files import libav_url
from refrestore.types import ImageArray

CODEC, OPTIONS = "libx264", {"crf": "15", "preset": "veryfast"}
"""Browsers play H.264 at 4:2:0; at this rate what is seen is the restoration, not the encoder."""

BT709 = 1
"""Of H.273, for primaries, transfer and matrix: browsers guess where nothing is said."""

Muxed = {"movflags": "faststart"}


class LoopWriter:
    """Writes pictures as an MP4 that plays as it comes; a context manager.

    Parameters
    ----------
    path
        The file.
    rate
        Pictures a second.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self._output = av.open(libav_url(path), "w", format="mp4", options=Muxed)
        self._rate = rate.limit_denominator(60_000)
        self._stream: Any = None
        self.count = 0

    def __enter__(self) -> LoopWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._stream is not None and error is None:
                self._output.mux(self._stream.encode())
        finally:
            self._output.close()

    def write(self, picture: ImageArray) -> None:
        """Add a (H, W, 3) RGB picture; all are of one size."""
        height, width = picture.shape[:2]
        padded = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._stream is None:
            self._stream = self._opened(padded.shape[1], padded.shape[0])
        frame = av.VideoFrame.from_ndarray(padded, format="rgb24").reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
        )
        frame.pts, frame.time_base = self.count, 1 / self._rate
        self._output.mux(self._stream.encode(frame))
        self.count += 1

    def _opened(self, width: int, height: int) -> Any:
        stream: Any = self._output.add_stream(CODEC, rate=self._rate, options=OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = ColorRange.MPEG
        return stream
