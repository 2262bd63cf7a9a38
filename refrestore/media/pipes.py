"""Films that come and go through pipes, as y4m or nut: pictures alone, once, in order."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO

import av

from refrestore.config import EncoderSettings, PipeFormat
from refrestore.errors import MediaError, UsageError
from refrestore.media.codecs import losses_between, nearest_format
from refrestore.media.encoder import Encoder
from refrestore.media.encoder_choice import nominal_rate, output_color
from refrestore.media.failures import reason
from refrestore.media.filtering import Timed, treat
from refrestore.media.layer import check_alpha, layer_info
from refrestore.media.open_film import film_stream
from refrestore.media.probe import VideoInfo, video_info
from refrestore.media.reader import FrameClock
from refrestore.types import Frame, Geometry

PIPE = Path("-")
"""What is typed in a file's place."""

FORMATS = MappingProxyType({"y4m": "yuv4mpegpipe", "nut": "nut"})
"""libav's names of what goes through pipes."""

Y4M_FORMATS = ("gray", "yuv411p", *(
    f"{name}{depth}"
    for name in ("gray", "yuv420p", "yuv422p", "yuv444p")
    for depth in ("", "10le", "12le", "16le")
    if name + depth != "gray"
))  # fmt: skip
"""Pixel formats that y4m has a name for."""

_GONE = {errno.EPIPE, errno.EINVAL}
"""What writing into a pipe that nobody reads any more says."""


class FilmFromPipe:
    """A film that is read from a pipe, once.

    Parameters
    ----------
    stream
        Its bytes; nothing but read is asked of it.

    Attributes
    ----------
    info : VideoInfo
        What it says of itself; it has neither size nor fingerprint.
    kind : str
        "y4m" or "nut".

    Raises
    ------
    MediaError
        It is something else, or has no picture.
    """

    def __init__(self, stream: BinaryIO) -> None:
        try:
            container: Any = av.open(_OnlyRead(stream), "r")
        except (av.FFmpegError, OSError, ValueError) as error:
            raise MediaError(
                f"What comes through the pipe is no film ({reason(error)}): write y4m or nut into "
                "it, as ffmpeg -i FILM -f nut -c:v rawvideo - does."
            ) from error
        kinds = [kind for kind, name in FORMATS.items() if name in container.format.name]
        if not kinds:
            raise MediaError(
                f"Through a pipe come y4m and nut, and this is {container.format.name}: pipe it "
                "through ffmpeg -i - -f nut -c:v rawvideo -."
            )
        self.kind: PipeFormat = "y4m" if kinds[0] == "y4m" else "nut"
        self._pictures = self._decoded(container)
        first = next(self._pictures, None)
        if first is None:
            raise MediaError("No picture came through the pipe.")
        self._first: av.VideoFrame | None = first
        film = film_stream(container, PIPE)
        start = (first.pts or 0) * (film.time_base or Fraction(1))
        self.info = video_info(container, film, first, PIPE, start=start)

    def frames(self, info: VideoInfo) -> Iterator[Frame]:
        """Yield the frames, treated as a film's are (`VideoInfo.treatment`).

        Raises
        ------
        MediaError
            A picture is of another size than the first.
        """
        for index, time, picture in treat(info.treatment, self._timed(), info.longest):
            yield Frame(index, time, picture, info.geometry)

    def _timed(self) -> Iterator[Timed]:
        clock, index = FrameClock(self.info), 0
        picture = self._first
        self._first = None
        size = self.info.geometry.width, self.info.geometry.height
        while picture is not None:
            if (picture.width, picture.height) != size:
                raise MediaError(
                    f"The pictures in the pipe change from {size[0]}x{size[1]} to "
                    f"{picture.width}x{picture.height} on the way: scale them to one size."
                )
            yield index, clock.time_of(picture), picture
            picture, index = next(self._pictures, None), index + 1

    def _decoded(self, container: Any) -> Iterator[av.VideoFrame]:
        stream = film_stream(container, PIPE)
        with suppress(av.EOFError):
            for packet in container.demux(stream):
                with suppress(av.InvalidDataError):
                    for picture in packet.decode():
                        picture.time_base = stream.time_base
                        yield picture


class FilmToPipe:
    """Writes pictures into a pipe; a context manager.

    Parameters
    ----------
    stream
        Takes the bytes; nothing but write is asked of it.
    kind
        y4m or nut.
    encoder
        From `pipe_encoder`.

    Raises
    ------
    MediaError
        Nobody reads it any more, or the format cannot hold such pictures.
    """

    def __init__(self, stream: BinaryIO, kind: PipeFormat, encoder: Encoder) -> None:
        self._encoder, self._stream, self._count = encoder, stream, 0
        self._constant = kind == "y4m"
        aspect = encoder.geometry.sample_aspect
        said = b" A%d:%d " % (aspect.numerator, aspect.denominator) if self._constant else b""
        self._container = av.open(
            _OnlyWrite(stream, said),
            "w",
            format=FORMATS[kind],
            container_options={"strict": "-1", "fflags": "+bitexact"},
        )
        self._film = encoder.add_stream(self._container)
        unit = 1 / encoder.rate if self._constant else encoder.time_base
        self._film.codec_context.time_base = self._unit = unit

    def __enter__(self) -> FilmToPipe:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            with _readers():
                self._container.mux(self._film.encode(None))
                self._container.close()
                self._stream.flush()
        else:
            with suppress(Exception):  # what was read of it is not whole, and whoever reads sees it
                self._container.close()

    def write(self, picture: av.VideoFrame, time: Fraction) -> None:
        """Write a picture that is shown at a time, seconds; y4m has one rate instead."""
        fitted = self._encoder.fit(picture)
        kept = fitted.pts, fitted.time_base
        fitted.pts = self._count if self._constant else round(time / self._unit)
        fitted.time_base = self._unit
        try:
            with _readers():
                self._container.mux(self._film.encode(fitted))
        finally:
            fitted.pts = kept[0]
            if kept[1] is not None:
                fitted.time_base = kept[1]
        self._count += 1


def pipe_encoder(
    settings: EncoderSettings, info: VideoInfo, kind: PipeFormat, *, scale: int, layer: bool
) -> Encoder:
    """Return what makes a film's pictures fit for a pipe, having tried it.

    Raises
    ------
    UsageError
        An encoder was asked for, or a pixel format that the pipe does not carry.
    MediaError
        The format cannot hold such pictures.
    """
    if settings.model_fields_set - {"pixel_format"}:
        raise UsageError(
            "Pictures go through a pipe as they are: of the encoder's options, it takes --pix-fmt "
            "alone."
        )
    source = layer_info(info) if layer else info
    pixel_format = settings.pixel_format or source.pixel_format
    if kind == "y4m":
        if layer:
            raise UsageError("y4m has no alpha, which a --layer needs: give --pipe nut.")
        if settings.pixel_format is None:
            pixel_format = nearest_format(pixel_format, Y4M_FORMATS)
        elif pixel_format not in Y4M_FORMATS:
            raise UsageError(f"y4m has no {pixel_format} (--pix-fmt): give --pipe nut.")
    if layer:
        check_alpha(pixel_format, "rawvideo")
    lost = losses_between(source.pixel_format, pixel_format, "rawvideo")
    notes = [f"Through the pipe go {pixel_format} pictures: {lost}."] if lost else []
    if info.interlaced:
        notes.append(f"The source is interlaced, which {kind} is not told.")
    if kind == "nut" and info.geometry.sample_aspect != 1:
        notes.append(
            f"The pixels' aspect ratio {info.geometry.sample_aspect} is not told through nut."
        )
    encoder = Encoder(
        codec="rawvideo",
        pixel_format=pixel_format,
        options={},
        bitrate=0,
        geometry=info.geometry.scaled(scale),
        display_matrix=None,
        rate=nominal_rate(info.average_rate),
        time_base=info.time_base,
        color=output_color(source, pixel_format, scale),
        interlaced=False,
        container=FORMATS[kind],
        notes=tuple(notes),
    )
    _try(encoder, kind)
    return encoder


def _try(encoder: Encoder, kind: PipeFormat) -> None:
    small = replace(encoder, geometry=Geometry(16, 16))
    picture = av.VideoFrame(16, 16, encoder.pixel_format)
    try:
        with FilmToPipe(io.BytesIO(), kind, small) as pipe:
            pipe.write(picture, Fraction(0))
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"{kind} cannot hold {encoder.pixel_format} pictures ({reason(error)}): give another "
            "--pix-fmt."
        ) from error


class _readers:  # noqa: N801  reads as a with-statement
    """Says in a sentence that nobody reads a pipe any more."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno in _GONE:
            raise MediaError(
                "Nobody reads the pipe any more, so the render was broken off: see what the "
                "program behind it says."
            ) from error


class _OnlyRead:
    """What libav may ask of a pipe."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        return self._stream.read(size)


class _OnlyWrite:
    """What libav may ask of a pipe; y4m's pixel aspect, which PyAV cannot say, is put in."""

    def __init__(self, stream: BinaryIO, aspect: bytes) -> None:
        self._stream, self._aspect = stream, aspect

    def write(self, data: bytes) -> int:
        written = bytes(data)
        if self._aspect:
            written, self._aspect = written.replace(b" A0:0 ", self._aspect, 1), b""
        self._stream.write(written)
        return len(data)
