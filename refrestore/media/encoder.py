"""The encoder of the output: one that works, and the file it works for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import av

from refrestore.media.colour import (
    FULL,
    LIMITED,
    ColorTags,
    is_rgb,
    swscale_arguments,
)
from refrestore.media.hdr import HdrMetadata
from refrestore.media.planes import BICUBIC, EXACT, convert
from refrestore.media.sound import SoundPlan
from refrestore.types import Geometry

_INTERLACED_FLAGS = 1 << 18 | 1 << 29
"""AV_CODEC_FLAG_INTERLACED_DCT and AV_CODEC_FLAG_INTERLACED_ME."""

_X264 = ("libx264", "libx264rgb")

_IN_SLICES = ("mpeg4", "mpeg2video", "mjpeg", "ffv1", "dnxhd", "prores_ks")
"""Encoders of libavcodec's own; the others choose threads in ways of theirs."""

_MOST_THREADS = 16

INTERLACED_CODECS = ("libx264", "mpeg2video", "mpeg4", "prores_ks")
"""Encoders that code two fields when they are told so."""


@dataclass(frozen=True)
class Encoder:
    """An encoder that has proved to work, and the file it works for. Picklable.

    Parameters
    ----------
    codec, pixel_format, options, bitrate
        As libav takes them; bit rate 0 for constant quality.
    geometry
        Of the output picture.
    display_matrix
        The container's nine integers, or None.
    rate
        Frames per second, nominal; times are exact apart from it.
    time_base
        Of the source's timestamps, which are the output's.
    color
        Tags of the output.
    interlaced
        Whether pictures are encoded as two fields.
    container
        libav's name of the output format.
    left_out
        Indices of source streams that the container cannot hold.
    sounds
        Source streams that are converted, because the container cannot hold them as they are.
    timecode
        Of the source's first picture, or None.
    hdr
        HDR10 metadata, or None.
    pictures
        Pattern of the names, where the output is numbered pictures.
    notes
        What is lost or changed, one sentence each, for the user to hear before the first frame.
    """

    codec: str
    pixel_format: str
    options: Mapping[str, str]
    bitrate: int
    geometry: Geometry
    display_matrix: tuple[int, ...] | None
    rate: Fraction
    time_base: Fraction
    color: ColorTags
    interlaced: bool
    container: str
    left_out: tuple[int, ...] = ()
    sounds: tuple[SoundPlan, ...] = ()
    timecode: str | None = None
    hdr: HdrMetadata | None = None
    pictures: str | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    def add_stream(self, container: av.container.OutputContainer) -> av.VideoStream:
        """Add a stream with a fresh instance of this encoder."""
        stream: Any = container.add_stream(self.codec, rate=self.rate, options=dict(self.options))
        context = stream.codec_context
        context.width, context.height = self.geometry.width, self.geometry.height
        context.pix_fmt = self.pixel_format
        context.time_base = 1 / self.rate
        if self.bitrate:
            context.bit_rate = self.bitrate
        if self.interlaced and self.codec in INTERLACED_CODECS:
            context.flags |= _INTERLACED_FLAGS
        self.tag(context)
        assert isinstance(stream, av.VideoStream)
        return stream

    def in_threads(self, asked: int, here: int) -> Encoder:
        """Return what writes the same bytes on a machine of `here` CPUs as this does on `asked`.

        Those that cut a picture into slices cut it into as many as there are threads.
        """
        if asked == here or self.codec not in (*_X264, *_IN_SLICES):
            return self
        threads = asked
        if self.codec in _IN_SLICES:  # libavcodec's own rule (pthread_slice.c)
            rows = min(asked, -(-self.geometry.height // 16))
            threads = min(rows + 1, _MOST_THREADS) if rows > 1 else 1
        return replace(self, options={**self.options, "threads": str(threads)})

    def tag(self, context: Any) -> None:
        """Set sample aspect ratio and colour tags of a codec context."""
        context.sample_aspect_ratio = self.geometry.sample_aspect
        context.color_primaries = self.color.primaries
        context.color_trc = self.color.transfer
        context.colorspace = self.color.matrix
        context.color_range = self.color.range

    def fit(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return the picture in the encoder's pixel format; itself if it is in it already.

        Raises
        ------
        ValueError
            It is of another size.
        """
        size = self.geometry.width, self.geometry.height
        if (picture.width, picture.height) != size:
            raise ValueError(f"picture is {picture.width}x{picture.height}, encoder {size}")
        if picture.format.name == self.pixel_format:
            return picture
        source = swscale_arguments(picture)
        target = source["src_color_range"]
        if is_rgb(picture.format) and not av.VideoFormat(self.pixel_format).is_rgb:
            target = LIMITED
        elif len(picture.format.components) < 3:
            # swscale takes every gray for full range; full to full copies the codes.
            target = source["src_color_range"] = FULL
        result = convert(
            picture,
            format=self.pixel_format,
            interpolation=BICUBIC | EXACT,
            dst_colorspace=source["src_colorspace"],
            dst_color_range=target,
            **source,
        )
        result.colorspace, result.color_range = self.color.matrix, self.color.range
        return result
