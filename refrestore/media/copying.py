"""A film that needs no change: its packets copied as they are, not decoded and not encoded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import av

from refrestore.errors import MediaError
from refrestore.media.containers import format_of
from refrestore.media.encoder import Encoder
from refrestore.media.encoder_choice import nominal_rate
from refrestore.media.failures import writing
from refrestore.media.join import Timestamps, publish_joined
from refrestore.media.mux import MuxedFilm
from refrestore.media.open_film import film_stream, open_film
from refrestore.media.preflight import TRIAL_PACKETS, Preflight
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import read_packets
from refrestore.media.segments import SegmentIndex

COPY = "copy"
"""What stands in an `Encoder`'s place of a codec where there is none."""


def resolve_copy(info: VideoInfo, output: Path, *, work: Path | None = None) -> Encoder:
    """Return what a copy needs, after trying it in `work` or beside the output.

    Raises
    ------
    MediaError
        The film's packets have no times of their own, or the container cannot take them, or
        another stream that must not be lost.
    """
    container = format_of(output)
    encoder = Encoder(
        codec=COPY,
        pixel_format=info.pixel_format,
        options={},
        bitrate=0,
        geometry=info.geometry,
        display_matrix=info.display_matrix,
        rate=nominal_rate(info.average_rate),
        time_base=info.time_base,
        color=info.color,
        interlaced=info.interlaced,
        container=container,
    )
    timeline = _timeline(info, container)
    count = _unshown(info) + TRIAL_PACKETS
    with (
        writing(output),
        tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=work or output.parent) as folder,
        open_film(info.path, info.fps) as source,
    ):
        packets = partial(_packets, info, timeline, count=count)
        stream = film_stream(source, info.path, info.stream)
        begin = timeline.ticks[:count]
        end = begin[-1] + timeline.duration(begin[-1], timeline.following())
        span = replace(timeline.span, film=(begin[0] * timeline.unit, end * timeline.unit))
        film = MuxedFilm(stream, packets, span)
        said = f"in {stream.codec_context.codec.canonical_name}"
        return Preflight(info, film, said, Path(folder)).fitted(encoder)


def copy_film(encoder: Encoder, info: VideoInfo, output: Path, *, work: Path | None = None) -> None:
    """Write the output: every packet of the film as it is, all other streams as `join` does.

    Raises
    ------
    MediaError, DiskError
        The output cannot be written.
    """
    timeline = _timeline(info, encoder.container)
    with open_film(info.path, info.fps) as source:
        film = MuxedFilm(
            film_stream(source, info.path, info.stream),
            partial(_packets, info, timeline),
            timeline.span,
        )
        publish_joined(output, encoder, info, film, work=work)


def _timeline(info: VideoInfo, container: str) -> Timestamps:
    """Return the times of the film's packets, read without decoding."""
    ticks: list[int] = []
    with open_film(info.path, info.fps) as source:
        for packet in _film(source, info):
            if packet.pts is None or packet.is_discard:
                raise MediaError(f"not every packet of {info.path} has a time of its own.")
            ticks.append(packet.pts)
    index = SegmentIndex(info.path, tuple(ticks), b"")
    timeline = Timestamps.of([index], info, container=container)
    if timeline.delay and container == "mxf":
        raise MediaError(f"{info.path} keeps its pictures in another order than they are shown.")
    return timeline


def _unshown(info: VideoInfo) -> int:
    """Return how many packets come before the first key frame: of a recording that began anywhere.

    They show nothing, and a trial that had no others could not be read.
    """
    with open_film(info.path, info.fps) as source:
        return sum(1 for _ in takewhile(lambda one: not one.is_keyframe, _film(source, info)))


def _packets(
    info: VideoInfo, timeline: Timestamps, target: av.VideoStream, count: int | None = None
) -> Iterator[Any]:
    shift = round(timeline.span.shift / timeline.unit)
    following = timeline.following()
    with open_film(info.path, info.fps) as source:
        for position, packet in enumerate(islice(_film(source, info), count)):
            tick = packet.pts
            packet.duration = timeline.duration(tick, following)
            packet.pts = tick - shift
            packet.dts = timeline.decoding(position) - shift
            packet.stream = target
            yield packet


def _film(source: av.container.InputContainer, info: VideoInfo) -> Iterator[Any]:
    stream = source.streams[info.stream]
    return (packet for packet in read_packets(source, [stream]) if packet.size)
