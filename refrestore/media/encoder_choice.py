"""The encoder is resolved, probed and checked before the first frame."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av

from refrestore.config import EncoderSettings
from refrestore.errors import DiskError, MediaError, UsageError
from refrestore.media import frame_files
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
    LUMA_WEIGHTS,
    UNSPECIFIED,
    ColorTags,
    is_rgb,
    matrix_for,
)
from refrestore.media.containers import enlarged_matrix, format_of
from refrestore.media.encoder import INTERLACED_CODECS, Encoder
from refrestore.media.failures import reason, writing
from refrestore.media.layer import NOTE, check_alpha, layer_info, layer_settings
from refrestore.media.preflight import Preflight, encoded_film
from refrestore.media.probe import VideoInfo
from refrestore.media.segments import SegmentWriter, open_segment

PROBE_FRAMES = 3
"""Enough for an encoder to open, take pictures and hand out packets when flushed."""

IN_ORDER = {"libx264": {"bf": "0"}}
"""What keeps encoders from pictures out of order, whose times libav's MXF muxer does not keep."""

MAX_RATE_TERM = 60_000
"""MPEG-4 and its kin keep terms of the frame rate in 16 bits."""

COPIES = 2
"""The film is on the disk twice while it is joined: its segments and the output."""

_FIELDS_BY_PICTURE = ("ffv1",)
"""Encoders that mark each picture as it comes."""


def resolve_encoder(
    settings: EncoderSettings,
    info: VideoInfo,
    *,
    scale: int,
    output: str | Path,
    work: Path | None = None,
    layer: bool = False,
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
    layer
        Whether the output is a layer (`media.layer`): with alpha, and without the other streams.

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
    pictures = settings.pictures
    container = format_of(output) if pictures is None else frame_files.CONTAINER
    _check_place(output, info, pictures)
    if layer:
        settings, info = layer_settings(settings, container), layer_info(info)
    codec = find_codec(settings.codec if pictures is None else frame_files.picture_codec(settings))
    geometry = info.geometry.scaled(scale)
    pixel_format, note = choose_pixel_format(
        codec, info.pixel_format, settings.pixel_format, (geometry.width, geometry.height)
    )
    notes = [] if note is None else [note]
    if layer:
        check_alpha(pixel_format, codec.name)
        notes = [NOTE.format(scaled="" if scale == 1 else f" enlarged {scale} times")]
    options, bitrate = codec_options(settings, codec, pixel_format)
    if info.hdr is not None:
        options = info.hdr.encoder_options(codec.name, options)
    if container == "mxf":
        options |= IN_ORDER.get(codec.name, {})
    if info.interlaced and codec.name not in (*INTERLACED_CODECS, *_FIELDS_BY_PICTURE):
        notes.append(
            f"The source is interlaced, which {codec.name} does not mark: players show both fields "
            "of a picture at once."
        )
    color = output_color(info, pixel_format, scale)
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
        pictures=pictures,
        notes=tuple(notes),
    )
    encoder = _try(encoder, info, output, work, alone=layer)
    _check_room(encoder, info, output)
    return encoder


def _try(
    encoder: Encoder, info: VideoInfo, output: Path, work: Path | None, *, alone: bool
) -> Encoder:
    """Encode a few dark pictures and try them in the container, alone or with other streams."""
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
        if encoder.pictures is not None:
            lost = [] if alone else frame_files.losses(encoder, info)
            return replace(encoder, notes=(*encoder.notes, *lost))
        with open_segment(path) as (_, stream):
            film = encoded_film(path, stream, info, encoder.container)
            said = f"encoded with {encoder.codec}"
            return Preflight(info, film, said, Path(folder), alone=alone).fitted(encoder)


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


def _check_place(output: Path, info: VideoInfo, pictures: str | None) -> None:
    if pictures is not None:
        frame_files.check_folder(output)
    elif output.is_dir():
        raise UsageError(f"{output} is a folder; give the name of a file in it.")
    same = output.exists() and info.path.exists() and output.samefile(info.path)
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


def output_color(info: VideoInfo, pixel_format: str, scale: int) -> ColorTags:
    """Return the source's tags, made explicit where keeping silent would change the colours."""
    color = info.color
    was, becomes = (is_rgb(av.VideoFormat(name)) for name in (info.pixel_format, pixel_format))
    matrix = matrix_for(color.matrix, info.geometry.height)
    if was and not becomes:
        return replace(color, matrix=matrix, range=LIMITED)
    if becomes:
        known = was and color.matrix not in LUMA_WEIGHTS  # RGB of a YUV film's layer has its tags
        return replace(color, matrix=color.matrix if known else 0, range=FULL)
    if scale != 1 and color.matrix == UNSPECIFIED:
        color = replace(color, matrix=matrix)  # players guess the matrix from the height
    return color
