"""Output containers: which streams they hold, and files in them with all streams declared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from refrestore.errors import MediaError, UsageError
from refrestore.media.encoder import Encoder
from refrestore.media.failures import reason
from refrestore.media.files import libav_url
from refrestore.media.matroska import PLACEHOLDER
from refrestore.media.probe import VideoInfo
from refrestore.media.streams import StreamInfo, chapters_of
from refrestore.media.timecode import TAG, without_timecode

FORMATS: Mapping[str, str] = {
    ".mkv": "matroska",
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".webm": "webm",
    ".mxf": "mxf",
}
"""Suffixes written; all of them but MXF keep variable frame rates and any start."""

MAX_TIMESCALE = 2**31 - 1
"""QuickTime keeps the movie's time unit in 32 bits; libav's option is signed."""

_QUICKTIME = ("mp4", "mov")
_MATROSKA = ("matroska", "webm")

STALE_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
"""Metadata that describes the source's file and not its content."""

STALE_VIDEO_TAGS = {"BPS", "NUMBER_OF_BYTES", "NUMBER_OF_FRAMES", "DURATION", "ENCODER", "encoder"}
"""Statistics of the source's film stream, without their language suffix."""

_ITUNES_TAGS = {
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre",
    "copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network",
    "keywords", "track", "disc", "creation_time", "location", "rating", "media_type",
}  # fmt: skip
"""What the QuickTime muxer writes without being asked for more (libavformat/movenc.c)."""


def format_of(output: Path) -> str:
    """Return libav's name of the container that a suffix means.

    Raises
    ------
    UsageError
        It means none of those written here.
    """
    name = FORMATS.get(output.suffix.lower())
    if name is None:
        raise UsageError(
            f"{output} needs a name that ends in {', '.join(FORMATS)}, or for pictures one as "
            f"%06d.png; {output.suffix or 'no suffix'!r} is none of these."
        )
    return name


class OutputFile:
    """An output container with a source's streams declared, ready for packets.

    Parameters
    ----------
    target
        Where it is written.
    source, info
        The opened source and what it holds.
    film
        Stream of a segment, from which the film's codec set-up is copied.
    encoder
        The encoder; it says which streams are left out, and which are converted.
    only
        Indices of the streams to declare, when trying; default all that are not left out.
    timecode
        Of the first picture, or None.
    """

    def __init__(
        self,
        target: Path,
        source: av.container.InputContainer,
        info: VideoInfo,
        film: av.VideoStream,
        encoder: Encoder,
        *,
        only: Sequence[int] | None = None,
        chapters: Sequence[dict[str, Any]] = (),
        timecode: str | None = None,
    ) -> None:
        tags = without_timecode(source.metadata)
        metadata = {key: each for key, each in tags.items() if key not in STALE_TAGS}
        options = _muxer_options(encoder.container, metadata) | _movie_timescale(source, encoder)
        self.container = av.open(
            libav_url(target), "w", format=encoder.container, container_options=options
        )
        self.container.metadata.update(metadata)
        self.streams: dict[int, Any] = {}
        plans = {plan.index: plan for plan in encoder.sounds}
        for stream in source.streams:
            if stream.index == info.stream:
                self.film = self._add_film(film, stream, info, encoder, timecode)
            elif stream.index in encoder.left_out or (
                only is not None and stream.index not in only
            ):
                continue
            elif stream.index in plans:
                added = plans[stream.index].add_stream(self.container)
                added.metadata.update(stream.metadata)
                added.disposition = stream.disposition.value
                self.streams[stream.index] = added
            else:
                self.streams[stream.index] = self._add(stream, info.streams[stream.index])
        if chapters:
            self.container.set_chapters(list(chapters))  # type: ignore[arg-type]

    def write_header(self) -> None:
        """Write the header, which fails for what the container cannot hold."""
        self.container.start_encoding()

    def _add(self, stream: Any, info: StreamInfo) -> Any:
        try:
            added = self.container.add_stream_from_template(stream, opaque=True)
        except (ValueError, av.FFmpegError) as error:
            name = self.container.format.name
            raise MediaError(
                f"{str(info).capitalize()} cannot be stored in {name}: {reason(error)}."
            ) from error
        added.metadata.update(stream.metadata)
        added.disposition = stream.disposition.value
        return added

    def _add_film(
        self,
        film: av.VideoStream,
        source: Any,
        info: VideoInfo,
        encoder: Encoder,
        timecode: str | None,
    ) -> av.VideoStream:
        added = self.container.add_stream_from_template(film, opaque=True)
        added.time_base = info.time_base
        context = added.codec_context
        encoder.tag(context)
        context.framerate = encoder.rate
        if encoder.container in _QUICKTIME and film.codec_context.name == "hevc":
            context.codec_tag = "hvc1"  # the only name of HEVC that Apple's players open
        if film.codec_context.name == "prores":
            context.codec_tag = film.codec_context.codec_tag  # which of ProRes' kinds it is
        tags = {
            key: value
            for key, value in without_timecode(source.metadata).items()
            if key.split("-")[0] not in STALE_VIDEO_TAGS
        }
        if timecode is not None:
            tags[TAG] = timecode  # from which muxers write a timecode track
        if needs_display_size(encoder):
            tags["title"] = tags.get("title", "") + PLACEHOLDER
        added.metadata.update(tags)
        added.disposition = source.disposition.value
        if encoder.display_matrix is not None:
            set_display_matrix(added, encoder.display_matrix)
        return added


def begins_at_zero(container: str) -> bool:
    """Return whether a container has no start of its own: its first picture is at 0."""
    return container == "mxf"


def keeps_times_before_zero(container: str) -> bool:
    """Return whether a container shows pictures of times before 0; QuickTime's edit lists cut."""
    return container in _MATROSKA


def needs_display_size(encoder: Encoder) -> bool:
    """Return whether `matroska.write_sample_aspect` must finish the file."""
    return encoder.container in _MATROSKA and encoder.geometry.sample_aspect != 1


def set_display_matrix(stream: av.VideoStream, matrix: tuple[int, ...]) -> None:
    """Declare rotation and flips.

    Raises
    ------
    MediaError
        This PyAV cannot.
    """
    if not hasattr(stream, "set_display_matrix"):
        raise MediaError(
            f"This video is rotated, which PyAV {av.__version__} cannot write; "
            "install PyAV 18 or later."
        )
    stream.set_display_matrix(matrix)


def clipped_chapters(
    source: av.container.InputContainer, first: Fraction | None, stop: Fraction | None
) -> list[dict[str, Any]]:
    """Return the chapters between two times, moved so that `first` (if any) is at 0."""
    result: list[dict[str, Any]] = []
    for chapter in chapters_of(source):
        unit = chapter["time_base"] or Fraction(1, 1000)
        start, end = chapter["start"] * unit, chapter["end"] * unit
        if (stop is not None and start >= stop) or (first is not None and end <= first):
            continue
        if stop is not None:
            end = min(end, stop)
        if first is not None:
            start, end = max(start, first) - first, end - first
        result.append({
            "id": chapter["id"],
            "start": round(start / unit),
            "end": round(end / unit),
            "time_base": unit,
            "metadata": dict(chapter["metadata"]),
        })  # fmt: skip
    return result


def enlarged_matrix(matrix: tuple[int, ...] | None, scale: int) -> tuple[int, ...] | None:
    """Return a display matrix for a picture enlarged by a factor: its shift grows, nothing else."""
    if matrix is None or scale == 1:
        return matrix
    return (*matrix[:6], matrix[6] * scale, matrix[7] * scale, matrix[8])


def _muxer_options(container: str, metadata: Mapping[str, str]) -> dict[str, str]:
    options = {}
    if container in _QUICKTIME and set(metadata) - _ITUNES_TAGS:
        options["movflags"] = "use_metadata_tags"
    if container in _MATROSKA:
        # Sound may begin before time 0 (priming); moving everything would change every time.
        options["avoid_negative_ts"] = "disabled"
    return options


def _movie_timescale(source: av.container.InputContainer, encoder: Encoder) -> dict[str, str]:
    """Return the option that lets QuickTime edit lists tell when each stream begins, exactly.

    They count in the movie's unit, by default milliseconds.
    """
    if encoder.container not in _QUICKTIME:
        return {}
    units = {encoder.time_base, *(each.time_base for each in source.streams if each.time_base)}
    scale = math.lcm(*(unit.denominator for unit in units))
    return {"movie_timescale": str(scale)} if scale <= MAX_TIMESCALE else {}
