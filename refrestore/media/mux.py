"""The film's packets and the source's other streams, interleaved into one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from refrestore.media.containers import OutputFile, clipped_chapters
from refrestore.media.encoder import Encoder
from refrestore.media.open_film import open_input
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import read_packets
from refrestore.media.sound import SoundConverter
from refrestore.media.streams import is_cover

PREROLL = Fraction(1)
"""Seconds of sound decoded before a range, so that its first sample is as in the whole film."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which part of the source is written, and when.

    Parameters
    ----------
    shift
        Seconds taken from every time.
    first, stop
        Seconds in the source between which packets are taken; None for no bound.
    film
        Seconds in the source at which the film begins and ends.
    """

    shift: Fraction = Fraction(0)
    first: Fraction | None = None
    stop: Fraction | None = None
    film: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))


@dataclass(frozen=True)
class MuxedFilm:
    """The film as it is to be written.

    Parameters
    ----------
    stream
        From which the codec set-up is copied.
    packets
        Given the output's stream, yields packets with final times, in decoding order.
    span
        Of the source.
    comment
        What the file says of itself, after what the source says.
    """

    stream: av.VideoStream
    packets: Callable[[av.VideoStream], Iterator[Any]]
    span: Span
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial leaves out: all but some streams, all but the first packets of each.

    Parameters
    ----------
    streams
        Indices of those that are tried.
    packets
        Of each stream at most.
    read
        Packets read from the source at most.
    """

    streams: Sequence[int]
    packets: int
    read: int


def mux(
    target: Path,
    info: VideoInfo,
    encoder: Encoder,
    film: MuxedFilm,
    *,
    trial: Trial | None = None,
) -> None:
    """Write a file.

    Parameters
    ----------
    trial
        What to leave out where the file is only a trial.

    Raises
    ------
    av.FFmpegError, OSError, ValueError, MediaError
        The container cannot hold that, or the file cannot be written.
    """
    span = film.span
    with open_input(info.path, fps=info.fps) as source:
        output = OutputFile(
            target,
            source,
            info,
            film.stream,
            encoder,
            only=None if trial is None else trial.streams,
            chapters=clipped_chapters(source, span.shift or span.first, span.stop),
            timecode=_timecode(encoder, info, span),
            comment=film.comment,
        )
        try:
            output.write_header()
            others = _other_packets(source, output.streams, encoder, span, trial)
            waiting = next(others, None)
            for packet in film.packets(output.film):
                while waiting is not None and _decode_time(waiting) <= _decode_time(packet):
                    output.container.mux(waiting)
                    waiting = next(others, None)
                output.container.mux(packet)
            while waiting is not None:
                output.container.mux(waiting)
                waiting = next(others, None)
        finally:
            output.container.close()


def _timecode(encoder: Encoder, info: VideoInfo, span: Span) -> str | None:
    if encoder.timecode is None or info.timecode is None or span.first is None:
        return encoder.timecode
    passed = round((span.first - info.start) * info.average_rate)
    return str(info.timecode.advanced(passed, info.average_rate))


def _other_packets(
    source: av.container.InputContainer,
    targets: dict[int, Any],
    encoder: Encoder,
    span: Span,
    trial: Trial | None,
) -> Iterator[Any]:
    """Yield packets of the other streams, in the range and moved: copied or converted."""
    streams = [source.streams[index] for index in targets]
    carried = [stream for stream in streams if stream.type != "attachment"]
    if not carried:
        return
    # MXF's streams begin and end as one; libav drops pictures after the end of a sound.
    whole = encoder.container == "mxf"
    first, stop = span.film if whole else (span.first, span.stop)
    converters = {
        plan.index: SoundConverter(
            plan,
            source.streams[plan.index],
            targets[plan.index],
            shift=span.shift,
            first=first,
            stop=stop,
            filled=whole,
        )
        for plan in encoder.sounds
        if plan.index in targets
    }
    copier = _Copier(targets, span)
    for packet in _bounded(read_packets(source, carried), trial, len(carried)):
        if packet.pts is None and packet.dts is None:
            continue
        packet.pts = packet.dts if packet.pts is None else packet.pts
        packet.dts = packet.pts if packet.dts is None else packet.dts
        converter = converters.get(packet.stream_index)
        if converter is None:
            yield from copier.copy(packet)
        elif span.first is None or packet.pts * packet.time_base >= span.first - PREROLL:
            yield from converter.convert(packet)
    for converter in converters.values():
        yield from converter.finish()


def _bounded(packets: Iterator[Any], trial: Trial | None, streams: int) -> Iterator[Any]:
    if trial is None:
        yield from packets
        return
    given: Counter[int] = Counter()
    for count, packet in enumerate(packets):
        index = packet.stream_index
        if given[index] < trial.packets:
            given[index] += 1
            yield packet
        if count >= trial.read or given.total() >= streams * trial.packets:
            return


class _Copier:
    """Moves copied packets in time, payload untouched; drops those outside the range."""

    def __init__(self, targets: dict[int, Any], span: Span) -> None:
        self._targets, self._span = targets, span
        self._previous: dict[int, int] = {}

    def copy(self, packet: Any) -> Iterator[Any]:
        span, index = self._span, packet.stream_index
        time = packet.pts * packet.time_base
        cover = is_cover(packet.stream)
        if not cover and span.first is not None and time < span.first:
            return
        if span.stop is not None and time >= span.stop:
            return
        shift = 0 if cover else round(span.shift / packet.time_base)
        packet.pts -= shift
        packet.dts -= shift
        previous = self._previous.get(index)
        if previous is not None and packet.dts <= previous:
            packet.dts = previous + 1  # muxers end the file at a step back
            packet.pts = max(packet.pts, packet.dts)
        self._previous[index] = packet.dts
        packet.stream = self._targets[index]
        yield packet


def _decode_time(packet: Any) -> Fraction:
    time: Fraction = packet.dts * packet.time_base
    return time
