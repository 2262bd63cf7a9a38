"""Segments and the source's other streams into one file, packet by packet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av

from refrestore.errors import MediaError
from refrestore.media.containers import (
    begins_at_zero,
    keeps_times_before_zero,
    needs_display_size,
)
from refrestore.media.encoder import Encoder
from refrestore.media.failures import writing
from refrestore.media.files import publish
from refrestore.media.matroska import write_sample_aspect
from refrestore.media.mux import MuxedFilm, Span, mux
from refrestore.media.probe import VideoInfo
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
    comment: str | None = None,
) -> None:
    """Write the output: the segments' packets, and those of all other streams as they are.

    Presentation times are the source's, exactly. With a range, everything in it is moved by one
    amount, so that its first picture is at 0; so is a film that begins before 0, where the
    container would cut off what is before. The output appears under its name when complete.

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
    comment
        What the output says of itself (`provenance.Provenance`).

    Raises
    ------
    MediaError
        A segment is missing, damaged, out of order or of another encoder.
    DiskError
        The output cannot be written.
    """
    output = Path(output)
    indices = [SegmentIndex.read(Path(segment)) for segment in segments]
    timeline = Timestamps.of(
        indices, info, ranged=start is not None, end=end, container=encoder.container
    )
    with open_segment(indices[0].path) as (_, film):
        packets = partial(film_packets, indices, timeline)
        joined = MuxedFilm(film, packets, timeline.span, comment)
        publish_joined(output, encoder, info, joined, work=work)


def publish_joined(
    output: Path, encoder: Encoder, info: VideoInfo, film: MuxedFilm, *, work: Path | None = None
) -> None:
    """Write film and other streams to a file that appears under its name when complete."""
    temporary = (work or output.parent) / f".{output.name}.partial"
    try:
        with writing(output):
            mux(temporary, info, encoder, film)
            if needs_display_size(encoder):
                write_sample_aspect(temporary, encoder.geometry)
            publish(temporary, output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@dataclass(frozen=True, slots=True)
class Timestamps:
    """Timestamps of all pictures (source ticks, ascending) and what follows from them.

    Everything is moved back by the span's shift; what is before its first or after its stop is
    left out.
    """

    ticks: tuple[int, ...]
    delay: int
    unit: Fraction
    span: Span
    last_duration: int

    @classmethod
    def of(
        cls,
        indices: Sequence[SegmentIndex],
        info: VideoInfo,
        *,
        container: str,
        ranged: bool = False,
        end: Fraction | None = None,
    ) -> Timestamps:
        """Return the timeline of segments.

        Parameters
        ----------
        container
            libav's name of the output's: some have no start of their own, or none before 0.
        ranged, end
            Whether they are a range, and where it ends.
        """
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
        moved = ranged or begins_at_zero(container)
        moved |= first < 0 and not keeps_times_before_zero(container)
        return cls(
            ticks=tuple(ticks),
            delay=delay,
            unit=info.time_base,
            span=Span(
                shift=first if moved else Fraction(0),
                first=first if ranged else None,
                stop=end,
                film=(first, (ticks[-1] + last) * info.time_base),
            ),
            last_duration=last,
        )

    def decoding(self, position: int) -> int:
        """Return a decoding timestamp: ascending, and never after the picture is to be shown."""
        if position >= self.delay:
            return self.ticks[position - self.delay]
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else self.last_duration
        return self.ticks[0] - (self.delay - position) * step

    def following(self) -> dict[int, int]:
        """Return the next picture's tick of every picture but the last."""
        return dict(zip(self.ticks, self.ticks[1:], strict=False))

    def duration(self, tick: int, following: dict[int, int]) -> int:
        """Return how long the picture at a tick is shown."""
        return following.get(tick, tick + self.last_duration) - tick


def film_packets(
    indices: Sequence[SegmentIndex], timeline: Timestamps, target: av.VideoStream
) -> Iterator[Any]:
    """Yield the packets of segments with the times they have in the output."""
    shift = round(timeline.span.shift / timeline.unit)
    following = timeline.following()
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
