"""What a video file holds, before it is decoded."""

from __future__ import annotations

import hashlib
import math
import re
import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal

import av

from refrestore.errors import MediaError, UsageError
from refrestore.media.colour import FULL, ColorTags
from refrestore.media.hdr import HdrMetadata, shown_differently, side_data_of
from refrestore.media.open_film import film_stream, films_in, open_film
from refrestore.media.sequences import (
    ASSUMED_RATE,
    is_pattern,
    read_sequence,
    sequence_path,
)
from refrestore.media.streams import StreamInfo, chapters_of, stream_infos
from refrestore.media.timecode import timecode_in
from refrestore.media.treatment import UNTREATED, Treatment
from refrestore.moment import Timecode
from refrestore.types import Geometry

FINGERPRINT_BYTES = 1 << 20
"""Bytes hashed at either end of a file; with its size they tell files apart in milliseconds."""

FALLBACK_RATE = Fraction(25)
"""Frames per second assumed where a file tells none (elementary streams)."""

MAX_RATE = 1000
"""Frames per second above which a file's average is its clock and not its pictures: raw DV."""

TURNED = {
    90: (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30),
    180: (-(1 << 16), 0, 0, 0, -(1 << 16), 0, 0, 0, 1 << 30),
    270: (0, -(1 << 16), 0, 1 << 16, 0, 0, 0, 0, 1 << 30),
}
"""Display matrices by degrees clockwise, for pictures whose own cannot be read beside EXIF."""

PROBE_PACKETS = 500
"""Packets read in search of a first picture."""

UNTIMED_PACKETS = 4096
"""Packets read in search of a first time. Matroska stores times before 0, which libav does not
tell, as 16-bit milliseconds: 33 seconds at most, 3,932 pictures at 120 a second."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """A video file and its film stream.

    Parameters
    ----------
    path
        The file, or the pattern of numbered pictures (`sequences`).
    container
        libav's name of the format, such as "mov,mp4,m4a,3gp,3g2,mj2".
    stream
        Index of the film stream in the file.
    geometry
        Storage size, sample aspect ratio and rotation.
    display_matrix
        The nine integers of the container's display matrix, or None.
    codec, pixel_format, bit_depth
        Of the film stream.
    time_base
        Unit of its frames' times, seconds.
    start
        Presentation time of the first picture, seconds; counted back from the first time that is
        known, at the frame rate, where pictures without one come first.
    duration
        Of the film stream, seconds; None if the file does not tell.
    average_rate
        Frames per second; twice the file's, where a frame is made of each field.
    frames
        Number of frames; an estimate, None if the file does not tell.
    color
        Colour tags.
    interlaced
        Whether pictures are flagged as two fields, and left so.
    streams
        All streams, the film's among them.
    chapters
        Number of chapters.
    size
        Bytes.
    fingerprint
        Identifies the content: size and SHA-256 of the first and last MiB.
    timecode
        Of the first picture, where the file carries one.
    hdr
        HDR10 metadata of the first picture, or None.
    side_data
        Which side data of `hdr.NAMES` it has.
    treatment
        What is done to every picture that is read (`source.py`); nothing, as probed.
    chosen
        `stream`, where it is not the one that is taken unasked.
    fps
        Frames per second at which numbered pictures are read; None for a file.
    """

    path: Path
    container: str
    stream: int
    geometry: Geometry
    display_matrix: tuple[int, ...] | None
    codec: str
    pixel_format: str
    bit_depth: int
    time_base: Fraction
    start: Fraction
    duration: Fraction | None
    average_rate: Fraction
    frames: int | None
    color: ColorTags
    interlaced: bool
    streams: tuple[StreamInfo, ...]
    chapters: int
    size: int
    fingerprint: str
    timecode: Timecode | None = None
    hdr: HdrMetadata | None = None
    side_data: frozenset[str] = frozenset()
    treatment: Treatment = UNTREATED
    chosen: int | None = None
    fps: Fraction | None = None

    @property
    def file_tick(self) -> Fraction:
        """Unit of the file's own timestamps, seconds."""
        return self.time_base * self.treatment.frames

    @property
    def file_rate(self) -> Fraction:
        """The file's pictures per second."""
        return self.average_rate / self.treatment.frames

    @property
    def longest(self) -> Fraction:
        """What one of the file's pictures is shown for, seconds, up to its next tick."""
        return math.ceil(1 / (self.file_rate * self.file_tick)) * self.file_tick

    @property
    def films(self) -> tuple[StreamInfo, ...]:
        """The video streams that may be the film: all but covers."""
        return tuple(each for each in self.streams if each.kind == "video" and not each.cover)

    @property
    def foreign(self) -> tuple[int, ...]:
        """Indices of a multiplex's streams that do not belong to the film's programme."""
        own = set(self.streams[self.stream].programmes)
        every = {each for stream in self.streams for each in stream.programmes}
        if not own or own == every:
            return ()
        return tuple(each.index for each in self.streams if own.isdisjoint(each.programmes))


def probe(path: str | Path, stream: int | None = None, fps: Fraction | None = None) -> VideoInfo:
    """Open a video and return what it holds; one picture is decoded for what only pictures tell.

    Parameters
    ----------
    path
        The video; or numbered pictures, by their pattern or their folder.
    stream
        Index of the film stream, if it is not to be the one that libav takes for the best.
    fps
        Frames per second of numbered pictures, by default `ASSUMED_RATE`.

    Raises
    ------
    MediaError
        The file is missing, empty, not a video, or has no video stream, not the one that is asked
        for, or no picture.
    UsageError
        `fps` for a film that has times of its own.
    """
    path = sequence_path(Path(path))
    pictures = is_pattern(path)
    if fps is not None and not pictures:
        raise UsageError(f"--fps is for numbered pictures; {path} has times of its own.")
    fps = (fps or ASSUMED_RATE) if pictures else None
    with open_film(path, fps) as container:
        film = film_stream(container, path, stream)
        picture = _first_picture(container, film, path)
        rate, time_base = _rate(film), film.time_base or 1 / FALLBACK_RATE
        start = (film.start_time or 0) * time_base
        if picture.pts is not None:
            start = picture.pts * time_base
        elif (counted := _counted_back(path, fps, film.index, rate)) is not None:
            start = counted
        return replace(
            video_info(container, film, picture, path, start=start),
            size=read_sequence(path).size if pictures else path.stat().st_size,
            fingerprint=fingerprint(path),
            fps=fps,
        )


def video_info(
    container: av.container.InputContainer,
    film: av.VideoStream,
    picture: av.VideoFrame,
    path: Path,
    *,
    start: Fraction,
) -> VideoInfo:
    """Return what an open film says, without the size and the fingerprint of its file.

    Parameters
    ----------
    picture
        Its first.
    path
        What it is called.
    start
        Presentation time of the first picture, seconds.
    """
    context, rate = film.codec_context, _rate(film)
    duration = _duration(container, film, start)
    full = picture.format.name.startswith("yuvj")
    return VideoInfo(
        path=path,
        container=container.format.name,
        stream=film.index,
        geometry=Geometry(
            picture.width,
            picture.height,
            film.sample_aspect_ratio or Fraction(1),
            _clockwise(picture.rotation),
        ),
        display_matrix=_display_matrix(picture),
        codec=context.name,
        pixel_format=picture.format.name,
        bit_depth=bit_depth(picture.format),
        time_base=film.time_base or 1 / FALLBACK_RATE,
        start=start,
        duration=duration,
        average_rate=rate,
        frames=film.frames or (None if duration is None else max(1, round(duration * rate))),
        color=ColorTags(
            int(context.color_primaries),
            int(context.color_trc),
            int(picture.colorspace),
            FULL if full else int(picture.color_range),
        ),
        interlaced=bool(picture.interlaced_frame),
        streams=stream_infos(container, path),
        chapters=len(chapters_of(container)),
        size=0,
        fingerprint="",
        timecode=_timecode(container, film, rate),
        hdr=HdrMetadata.of(picture),
        side_data=shown_differently(picture),
        chosen=None if film.index == films_in(container, path)[1].index else film.index,
    )


def _rate(film: av.VideoStream) -> Fraction:
    """Return a film's frames per second."""
    rate = film.average_rate or film.guessed_rate or FALLBACK_RATE
    return film.guessed_rate if rate > MAX_RATE and film.guessed_rate else rate


def fingerprint(path: Path) -> str:
    """Return what identifies a file's content: its size and a digest of its two ends."""
    if is_pattern(path):
        return read_sequence(path).fingerprint()
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(FINGERPRINT_BYTES))
        file.seek(max(0, size - FINGERPRINT_BYTES))
        digest.update(file.read(FINGERPRINT_BYTES))
    return f"{size}-{digest.hexdigest()}"


def bit_depth(pixel_format: av.VideoFormat) -> int:
    """Return the bits of the deepest component."""
    return max((component.bits for component in pixel_format.components), default=8)


def _first_picture(
    container: av.container.InputContainer, stream: av.VideoStream, path: Path
) -> av.VideoFrame:
    """Decode until the first picture, over packets that cannot be decoded."""
    with suppress(av.FFmpegError):
        for count, packet in enumerate(container.demux(stream)):
            with suppress(av.InvalidDataError):
                for picture in packet.decode():
                    return picture
            if count > PROBE_PACKETS:
                break
    raise MediaError(f"{path} has a video stream, but no picture in it can be decoded.")


def _counted_back(path: Path, fps: Fraction | None, index: int, rate: Fraction) -> Fraction | None:
    """Return the first picture's time, counted back from the first that is known; None if none is.

    What pictures are given, and in which order, only the decoder says; but it is asked only if a
    packet promises a time (elementary streams have none at all).
    """
    with open_film(path, fps) as container:
        packets = islice(container.demux(film_stream(container, path, index)), UNTIMED_PACKETS)
        with suppress(av.FFmpegError):
            if all(packet.pts is None for packet in packets):
                return None
    with open_film(path, fps) as container:
        stream = film_stream(container, path, index)
        stream.thread_type = "AUTO"
        time_base, untimed = stream.time_base or 1 / FALLBACK_RATE, 0
        with suppress(av.FFmpegError):
            for packet in islice(container.demux(stream), UNTIMED_PACKETS):
                with suppress(av.InvalidDataError):
                    for picture in packet.decode():
                        if picture.pts is not None:
                            ticks = picture.pts - round(untimed / (rate * time_base))
                            return ticks * time_base
                        untimed += 1
    return None


def _duration(
    container: av.container.InputContainer, stream: av.VideoStream, start: Fraction
) -> Fraction | None:
    if stream.duration is not None and stream.time_base is not None:
        return stream.duration * stream.time_base
    if "matroska" not in container.format.name:
        known = container.duration
        return None if known is None else Fraction(known, av.time_base)
    # Matroska tells ends, not durations: the stream's by a tag, the file's in its header.
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    end = Fraction(0)
    if tag is not None:
        end = int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])
    elif container.duration is not None:
        end = Fraction(container.duration, av.time_base)
    return end - start if end > start else None


def _timecode(
    container: av.container.InputContainer, film: av.VideoStream, rate: Fraction
) -> Timecode | None:
    """Return the timecode at which a film starts: its own, the file's, or that of a track."""
    others = [stream.metadata for stream in container.streams if stream is not film]
    for metadata in (film.metadata, container.metadata, *others):
        if (found := timecode_in(metadata)) is not None:
            with suppress(ValueError):  # none of this rate
                found.count(max(1, round(rate)), drop=found.drop)
                return found
    return None


def _clockwise(counterclockwise: float) -> Literal[0, 90, 180, 270]:
    turns: tuple[Literal[0, 90, 180, 270], ...] = (0, 90, 180, 270)
    return turns[round(-counterclockwise / 90) % 4]


def _display_matrix(picture: av.VideoFrame) -> tuple[int, ...] | None:
    for name, data in side_data_of(picture):
        if name == "DISPLAYMATRIX":
            return struct.unpack("=9i", bytes(data)[:36])
    return TURNED.get(_clockwise(picture.rotation))
