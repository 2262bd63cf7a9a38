"""Segments and the source's other streams into one file, packet by packet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from refrestore.errors import MediaError
from refrestore.media.containers import OutputFile, clipped_chapters, needs_display_size
from refrestore.media.encoder import Encoder
from refrestore.media.failures import writing
from refrestore.media.files import publish
from refrestore.media.matroska import write_sample_aspect
from refrestore.media.probe import VideoInfo, is_cover, open_input
from refrestore.media.reader import read_packets
from refrestore.media.segments import SegmentIndex, open_segment, segment_packets


def join(
    segments: Sequence[str | Path],
    encoder: Encoder,
    info: VideoInfo,
    output: str | Path,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    work: Path | None = None,
) -> None:
    """Write the output: the segments' packets, and those of all other streams as they are.

    Presentation times are the source's, exactly. With a range, everything in it is moved by one
    amount, so that its first picture is at 0. The output appears under its name when complete.

    Parameters
    ----------
    segments
        In order of time.
    encoder
        That they were written with.
    info
        The source.
    output
        Path of the output.
    start, end
        The range that the segments cover, if not all: times in seconds, `start <= time < end`.
    work
        Folder for what is not complete, on the output's disk; the output's own if there is none.

    Raises
    ------
    MediaError
        A segment is missing, damaged, out of order or of another encoder.
    DiskError
        The output cannot be written.
    """
    output = Path(output)
    indices = [SegmentIndex.read(Path(segment)) for segment in segments]
    timeline = _Timeline.of(indices, info, ranged=start is not None, end=end)
    temporary = (work or output.parent) / f".{output.name}.partial"
    try:
        with writing(output):
            _write(temporary, indices, timeline, encoder, info)
            if needs_display_size(encoder):
                write_sample_aspect(temporary, encoder.geometry)
            publish(temporary, output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@dataclass(frozen=True, slots=True)
class _Timeline:
    """Timestamps of all pictures (source ticks, ascending) and what follows from them."""

    ticks: tuple[int, ...]
    delay: int
    unit: Fraction
    shift: Fraction
    first: Fraction | None
    stop: Fraction | None
    last_duration: int

    @classmethod
    def of(
        cls,
        indices: Sequence[SegmentIndex],
        info: VideoInfo,
        *,
        ranged: bool,
        end: Fraction | None,
    ) -> _Timeline:
        ticks: list[int] = []
        delay = 0
        for index in indices:
            shown = sorted(index.timestamps)
            if index.extradata != indices[0].extradata:
                raise MediaError(
                    f"Segment {index.path} was encoded with other settings than "
                    f"{indices[0].path}; remove the segments and render again."
                )
            if len(set(shown)) < len(shown) or (ticks and shown and shown[0] <= ticks[-1]):
                raise MediaError(
                    f"Segment {index.path} does not follow the one before it in time; "
                    "remove the segments and render again."
                )
            rank = {tick: position for position, tick in enumerate(shown)}
            delay = max([delay, *(at - rank[tick] for at, tick in enumerate(index.timestamps))])
            ticks += shown
        if not ticks:
            raise MediaError("There is no picture to write: no segment was given.")
        first = ticks[0] * info.time_base
        typical = max(1, round(1 / (info.average_rate * info.time_base)))
        last = typical
        if info.duration is not None and end is None:
            rest = round((info.start + info.duration) / info.time_base) - ticks[-1]
            last = rest if 0 < rest < 10 * typical else typical
        return cls(
            ticks=tuple(ticks),
            delay=delay,
            unit=info.time_base,
            shift=first if ranged else Fraction(0),
            first=first if ranged else None,
            stop=end,
            last_duration=last,
        )

    def decoding(self, position: int) -> int:
        """Return a decoding timestamp: ascending, and never after the picture is to be shown."""
        if position >= self.delay:
            return self.ticks[position - self.delay]
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else self.last_duration
        return self.ticks[0] - (self.delay - position) * step

    def duration(self, tick: int, following: dict[int, int]) -> int:
        """Return how long the picture at a tick is shown."""
        return following.get(tick, tick + self.last_duration) - tick


def _write(
    temporary: Path,
    indices: Sequence[SegmentIndex],
    timeline: _Timeline,
    encoder: Encoder,
    info: VideoInfo,
) -> None:
    with open_segment(indices[0].path) as (_, film), open_input(info.path) as source:
        chapters = clipped_chapters(source, timeline.first, timeline.stop)
        output = OutputFile(temporary, source, info, film, encoder, chapters=chapters)
        try:
            output.write_header()
            others = _other_packets(source, output.streams, timeline)
            waiting = next(others, None)
            for packet in _film_packets(indices, timeline, output.film):
                while waiting is not None and _decode_time(waiting) <= _decode_time(packet):
                    output.container.mux(waiting)
                    waiting = next(others, None)
                output.container.mux(packet)
            while waiting is not None:
                output.container.mux(waiting)
                waiting = next(others, None)
        finally:
            output.container.close()


def _film_packets(
    indices: Sequence[SegmentIndex], timeline: _Timeline, target: av.VideoStream
) -> Iterator[Any]:
    shift = round(timeline.shift / timeline.unit)
    following = dict(zip(timeline.ticks, timeline.ticks[1:], strict=False))
    position = 0
    for index in indices:
        with open_segment(index.path) as (container, stream):
            for tick, packet in segment_packets(container, stream):
                packet.pts = tick - shift
                packet.dts = timeline.decoding(position) - shift
                packet.duration = timeline.duration(tick, following)
                packet.time_base = timeline.unit
                packet.stream = target
                position += 1
                yield packet


def _other_packets(
    source: av.container.InputContainer, targets: dict[int, Any], timeline: _Timeline
) -> Iterator[Any]:
    """Yield packets of the copied streams, in the range and moved, payload untouched."""
    streams = [source.streams[index] for index in targets]
    carried = [stream for stream in streams if stream.type != "attachment"]
    if not carried:
        return
    previous: dict[int, int] = {}
    for packet in read_packets(source, carried):
        if packet.pts is None and packet.dts is None:
            continue
        packet.pts = packet.dts if packet.pts is None else packet.pts
        packet.dts = packet.pts if packet.dts is None else packet.dts
        time = packet.pts * packet.time_base
        cover = is_cover(packet.stream)
        if not cover and timeline.first is not None and time < timeline.first:
            continue
        if timeline.stop is not None and time >= timeline.stop:
            continue
        shift = 0 if cover else round(timeline.shift / packet.time_base)
        packet.pts -= shift
        packet.dts -= shift
        index = packet.stream_index
        if index in previous and packet.dts <= previous[index]:
            packet.dts = previous[index] + 1  # muxers end the file at a step back
            packet.pts = max(packet.pts, packet.dts)
        previous[index] = packet.dts
        packet.stream = targets[index]
        yield packet


def _decode_time(packet: Any) -> Fraction:
    time: Fraction = packet.dts * packet.time_base
    return time
