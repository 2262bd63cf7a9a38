"""Two films that show the same thing: checked before the first frame, then read in pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from refrestore.errors import MediaError, UsageError
from refrestore.media.moments import resolve_part
from refrestore.media.open_film import film_stream, open_film
from refrestore.media.probe import VideoInfo, probe
from refrestore.media.reader import VideoReader, read_packets
from refrestore.moment import Moment
from refrestore.plain_text import counted
from refrestore.types import DoubleArray, Frame

ASPECT_TOLERANCE = 0.02
"""Display aspects may differ by this share: sizes are rounded to whole (and even) pixels."""

LENGTH_TOLERANCE = 2.5
"""Frames by which two lengths may differ: the last packet of a damaged file, a rounded time."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The same moment before and after.

    Parameters
    ----------
    before, after
        Frames.
    time
        Presentation time in the source's time, seconds, a multiple of `after`'s time base.
    """

    before: Frame
    after: Frame
    time: Fraction


@dataclass(frozen=True, eq=False)
class FilmPair:
    """A film and what was made of it.

    Parameters
    ----------
    before, after
        What the files hold.
    offset
        What leads from a time of `after` to the same moment's time of `before`, seconds.
    start, end
        Times of `before` as its container counts, seconds: pairs with `start <= time < end` are
        given; None for no limit.
    first, stop
        Frame indices of `before` that this covers, half open.
    frames
        Number of pairs.
    """

    before: VideoInfo
    after: VideoInfo
    offset: Fraction
    start: Fraction | None
    end: Fraction | None
    first: int
    stop: int
    frames: int

    def pairs(self) -> Iterator[Pair]:
        """Yield every frame of `after` with the one of `before` that is nearest in time."""
        low, high = (None if at is None else at - self.offset for at in (self.start, self.end))
        with (
            VideoReader(self.before.path, info=self.before) as source,
            VideoReader(self.after.path, info=self.after, start=low, end=high) as result,
        ):
            shown, ahead = next(source), next(source, None)
            for frame in result:
                time = frame.time + self.offset
                while ahead is not None and abs(ahead.time - time) <= abs(shown.time - time):
                    shown, ahead = ahead, next(source, None)
                yield Pair(shown, frame, time)


def open_films(
    before: VideoInfo, after: Path, *, start: Moment | None = None, end: Moment | None = None
) -> FilmPair:
    """Check that two files show the same film, and find how their times belong together.

    `after` is as long as `before`, or as long as its part between `start` and `end` (a render of
    a part begins at 0).

    Parameters
    ----------
    before
        As its pictures were treated before `after` was made of them.

    Raises
    ------
    MediaError
        One of them is no video, or they do not show the same.
    UsageError
        They are one file, or there is nothing between `start` and `end`.
    """
    one, other = before, probe(after)
    within = resolve_part(start, end, one)
    if one.path.samefile(after):
        raise UsageError(f"{one.path} was given twice; give the film before and the film after.")
    _check_aspect(one, other)
    all_before, all_after = presentation_times(one), presentation_times(other)
    part = _within(all_before, within.start, within.end)
    if not len(part):
        raise UsageError(f"{one.path} has no frame between --start and --end; nothing to compare.")
    slack = LENGTH_TOLERANCE / float(min(one.average_rate, other.average_rate))
    whole = _as_long(all_before, all_after, slack)
    if not whole and not _as_long(part, all_after, slack):
        raise MediaError(
            f"{one.path} ({_length(all_before)}) and {after} ({_length(all_after)}) are not of one "
            "length, so they are not the same film; if only a part was rendered, give its "
            "--start and --end."
        )
    base = all_before if whole else part
    offset = _offset(base[0] - all_after[0], one, other)
    shown = _within(all_after + float(offset), within.start, within.end) if whole else all_after
    if not len(shown):
        raise UsageError(f"{after} has no frame between --start and --end; nothing to compare.")
    first = int(np.searchsorted(all_before, part[0]))
    return FilmPair(
        one, other, offset, within.start, within.end, first, first + len(part), len(shown)
    )


def presentation_times(info: VideoInfo) -> DoubleArray:
    """Return the times of a film's pictures in seconds, (N,) ascending, without decoding.

    Raises
    ------
    MediaError
        There is none.
    """
    times: list[float] = []
    untimed = 0
    with open_film(info.path, info.fps) as container:
        stream = film_stream(container, info.path, info.stream)
        for packet in read_packets(container, [stream]):
            if packet.is_discard or not packet.size:
                continue
            ticks = packet.dts if packet.pts is None else packet.pts
            if ticks is None:
                untimed += 1
            else:
                times.append(float(ticks * packet.time_base))
    if not times and not untimed:
        raise MediaError(f"{info.path} has a video stream, but no picture in it.")
    # As `VideoReader` times them: those that the file does not time come first.
    first = float(info.start) + np.arange(untimed) / float(info.file_rate)
    shown = np.sort(np.concatenate([first, times]))
    if info.treatment.frames == 1:
        return shown
    gaps = np.minimum(np.diff(shown, append=np.inf), float(info.longest))
    return np.stack([shown, shown + gaps / 2], 1).ravel()


def _check_aspect(one: VideoInfo, other: VideoInfo) -> None:
    sizes = [info.geometry.display_size for info in (one, other)]
    (width, height), (other_width, other_height) = sizes
    # A pixel of the smaller side is all that rounding can be blamed for in tiny pictures.
    tolerance = max(ASPECT_TOLERANCE, 1 / min(min(size) for size in sizes))
    if abs(width * other_height / (height * other_width) - 1) > tolerance:
        raise MediaError(
            f"{one.path} is shown at {width}x{height} and {other.path} at "
            f"{other_width}x{other_height}: another shape, so they are not the same film."
        )


def _within(times: DoubleArray, start: Fraction | None, end: Fraction | None) -> DoubleArray:
    kept = np.ones(len(times), bool)
    if start is not None:
        kept &= times >= float(start) - 1e-9
    if end is not None:
        kept &= times < float(end) - 1e-9
    chosen: DoubleArray = times[kept]
    return chosen


def _as_long(one: DoubleArray, other: DoubleArray, slack: float) -> bool:
    return bool(abs((one[-1] - one[0]) - (other[-1] - other[0])) <= slack)


def _offset(seconds: float, one: VideoInfo, other: VideoInfo) -> Fraction:
    """Return a difference of beginnings in whole ticks of `other`; what is rounding is nothing."""
    if abs(seconds) < 0.5 / float(one.average_rate):
        return Fraction(0)
    return round(Fraction(seconds) / other.time_base) * other.time_base


def _length(times: Sequence[float] | DoubleArray) -> str:
    seconds = times[-1] - times[0]
    return f"{counted(len(times), 'frame')} in {seconds:.2f} s"
