"""The encoder of the output: resolved, probed and checked before the first frame."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from refrestore.config import EncoderSettings
from refrestore.errors import DiskError, MediaError, UsageError
from refrestore.media.codecs import (
    PROFILES,
    CodecProfile,
    choose_pixel_format,
    codec_options,
    find_codec,
)
from refrestore.media.colour import (
    FULL,
    LIMITED,
    UNSPECIFIED,
    ColorTags,
    is_rgb,
    matrix_for,
    swscale_arguments,
)
from refrestore.media.containers import enlarged_matrix, format_of
from refrestore.media.failures import reason, writing
from refrestore.media.hdr import HdrMetadata
from refrestore.media.planes import BICUBIC, EXACT, convert
from refrestore.media.preflight import Preflight, encoded_film
from refrestore.media.probe import VideoInfo
from refrestore.media.segments import SegmentWriter, open_segment
from refrestore.media.sound import SoundPlan
from refrestore.types import Geometry

PROBE_FRAMES = 3
"""Enough for an encoder to open, take pictures and hand out packets when flushed."""

IN_ORDER = {"libx264": {"bf": "0"}}
"""What keeps encoders from pictures out of order, whose times libav's MXF muxer does not keep."""

MAX_RATE_TERM = 60_000
"""MPEG-4 and its kin keep terms of the frame rate in 16 bits."""

COPIES = 2
"""The film is on the disk twice while it is joined: its segments and the output."""

_INTERLACED_FLAGS = 1 << 18 | 1 << 29
"""AV_CODEC_FLAG_INTERLACED_DCT and AV_CODEC_FLAG_INTERLACED_ME."""

_FIELDS_BY_PICTURE = ("ffv1",)
"""Encoders that mark each picture as it comes."""

_X264 = ("libx264", "libx264rgb")

_IN_SLICES = ("mpeg4", "mpeg2video", "mjpeg", "ffv1", "dnxhd", "prores_ks")
"""Encoders of libavcodec's own; the others choose threads in ways of theirs."""

_MOST_THREADS = 16

_INTERLACED_CODECS = ("libx264", "mpeg2video", "mpeg4", "prores_ks")


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
        if self.interlaced and self.codec in _INTERLACED_CODECS:
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


def resolve_encoder(
    settings: EncoderSettings,
    info: VideoInfo,
    *,
    scale: int,
    output: str | Path,
    work: Path | None = None,
) -> Encoder:
    """Choose and try the encoder, and check everything that would stop the render later.

    A few pictures are encoded beside the output, and a file of them and the first packets of every
    other stream is written, read again and thrown away.

    Parameters
    ----------
    settings
        What the user asked for.
    info
        The source.
    scale
        Whole factor by which the picture is enlarged.
    output
        Path of the output.
    work
        Folder for what is tried, on the output's disk; the output's own if there is none.

    Raises
    ------
    UsageError
        Settings that do not exist or contradict each other, an unknown suffix, or the output is
        the input.
    DiskError
        The output's folder is missing, may not be written to or has certainly too little room.
    MediaError
        The encoder does not work here, or the container cannot hold a stream.
    """
    output = Path(output)
    container = format_of(output)
    _check_place(output, info)
    codec = find_codec(settings.codec)
    geometry = info.geometry.scaled(scale)
    pixel_format, note = choose_pixel_format(
        codec, info.pixel_format, settings.pixel_format, (geometry.width, geometry.height)
    )
    notes = [] if note is None else [note]
    options, bitrate = codec_options(settings, codec, pixel_format)
    if info.hdr is not None:
        options = info.hdr.encoder_options(codec.name, options)
    if container == "mxf":
        options |= IN_ORDER.get(codec.name, {})
    if info.interlaced and codec.name not in (*_INTERLACED_CODECS, *_FIELDS_BY_PICTURE):
        notes.append(
            f"The source is interlaced, which {codec.name} does not mark: players show both fields "
            "of a picture at once."
        )
    color = _output_color(info, pixel_format, scale)
    encoder = Encoder(
        codec=codec.name,
        pixel_format=pixel_format,
        options=options,
        bitrate=bitrate,
        geometry=geometry,
        display_matrix=enlarged_matrix(info.display_matrix, scale),
        rate=nominal_rate(info.average_rate),
        time_base=info.time_base,
        color=color,
        interlaced=info.interlaced,
        container=container,
        hdr=info.hdr,
        notes=tuple(notes),
    )
    encoder = _try(encoder, info, output, work)
    _check_room(encoder, info, output)
    return encoder


def _try(encoder: Encoder, info: VideoInfo, output: Path, work: Path | None) -> Encoder:
    """Encode a few dark pictures and try them in the container with the other streams."""
    with (
        writing(output),
        tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=work or output.parent) as folder,
    ):
        path = Path(folder) / "probe.mkv"
        try:
            with SegmentWriter(path, encoder) as writer:
                for time in _trial_times(encoder, info):
                    writer.write(_black(encoder), time)
        except DiskError:
            raise
        except (MediaError, av.FFmpegError, ValueError, MemoryError) as error:
            cause = error.__cause__ or error
            raise MediaError(
                f"Encoder {encoder.codec} cannot encode {encoder.geometry.width}x"
                f"{encoder.geometry.height} {encoder.pixel_format} here ({reason(cause)}); "
                "try another --codec, --preset or --pix-fmt."
            ) from error
        with open_segment(path) as (_, stream):
            film = encoded_film(path, stream, info, encoder.container)
            said = f"encoded with {encoder.codec}"
            return Preflight(info, film, said, Path(folder)).fitted(encoder)


def _trial_times(encoder: Encoder, info: VideoInfo) -> list[Fraction]:
    """Return times of pictures at the beginning of the film, at its rate or slower."""
    first = round(info.start / encoder.time_base)
    step = max(1, round(1 / (encoder.rate * encoder.time_base)))
    return [(first + index * step) * encoder.time_base for index in range(PROBE_FRAMES)]


def _black(encoder: Encoder) -> av.VideoFrame:
    picture = av.VideoFrame(encoder.geometry.width, encoder.geometry.height, encoder.pixel_format)
    for plane in picture.planes:
        plane.update(bytes(plane.buffer_size))
    return picture


def _check_place(output: Path, info: VideoInfo) -> None:
    if output.is_dir():
        raise UsageError(f"{output} is a folder; give the name of a file in it.")
    same = output.exists() and output.samefile(info.path)
    if same or output.resolve() == info.path.resolve():
        raise UsageError(f"The output {output} is the input; give it another name.")
    if not output.parent.is_dir():
        raise DiskError(f"There is no folder {output.parent}; create it first.")


def _check_room(encoder: Encoder, info: VideoInfo, output: Path) -> None:
    seconds = info.duration or Fraction(0)
    if encoder.bitrate:
        film = encoder.bitrate / 8 * float(seconds)
    else:
        profile = PROFILES.get(encoder.codec, CodecProfile())
        pixels = encoder.geometry.width * encoder.geometry.height * (info.frames or 0)
        film = pixels * profile.bits_per_pixel / 8
    needed = int(film * COPIES)
    free = shutil.disk_usage(output.parent).free
    if free < needed:
        raise DiskError(
            f"Writing {output} needs at least {needed / 1e6:.1f} MB, "
            f"its disk has {free / 1e6:.1f} MB free; free some space or write elsewhere."
        )


def nominal_rate(rate: Fraction) -> Fraction:
    """Return frames per second as encoders take them."""
    limited = rate.limit_denominator(1001)
    if limited <= 0 or limited.numerator > MAX_RATE_TERM:
        limited = Fraction(min(max(1, round(rate)), MAX_RATE_TERM))
    return limited


def _output_color(info: VideoInfo, pixel_format: str, scale: int) -> ColorTags:
    """Return the source's tags, made explicit where keeping silent would change the colours."""
    color = info.color
    was, becomes = (is_rgb(av.VideoFormat(name)) for name in (info.pixel_format, pixel_format))
    matrix = matrix_for(color.matrix, info.geometry.height)
    if was and not becomes:
        return replace(color, matrix=matrix, range=LIMITED)
    if becomes:
        return replace(color, matrix=0 if not was else color.matrix, range=FULL)
    if scale != 1 and color.matrix == UNSPECIFIED:
        color = replace(color, matrix=matrix)  # players guess the matrix from the height
    return color
