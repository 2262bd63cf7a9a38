"""From moments as people name them to times as a film's container counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from refrestore.errors import UsageError
from refrestore.media.entries import Entries
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import VideoReader
from refrestore.moment import FrameNumber, Moment, Timecode
from refrestore.types import Shot

DAY = 24
"""Hours after which a timecode begins again."""

SLACK = Fraction(1)
"""Seconds past its said length at which a film is not asked any more whether it has a frame."""


@dataclass(frozen=True, slots=True)
class FilmPart:
    """A part of a film: `start <= time < end` in the container's times; None for no limit."""

    start: Fraction | None = None
    end: Fraction | None = None


def resolve_part(
    start: Moment | None,
    end: Moment | None,
    info: VideoInfo,
    shots: Sequence[Shot] = (),
    entries: Entries | None = None,
) -> FilmPart:
    """Return the part of a film that begins and stops before two moments.

    Parameters
    ----------
    start, end
        None for the film's own.
    info
        The film.
    shots
        Its shots, if it was scanned: they say how long it is.
    entries
        Frames whose times are known, by default those that begin the shots.

    Raises
    ------
    UsageError
        A moment is not in the film, or the part holds nothing.
    """
    begins = None if start is None else resolve_moment(start, info, shots, entries)
    stops = None if end is None else _end(end, info, shots, entries)
    if stops is not None and stops <= (info.start if begins is None else begins):
        after = "the film's first frame" if start is None else spoken(start)
        raise UsageError(
            f"The part of {info.path.name} must end after it starts, and {spoken(end)} is not "
            f"after {after}; times count from the film's first frame{_long(info, shots)}."
        )
    return FilmPart(begins, stops)


def resolve_moment(
    at: Moment, info: VideoInfo, shots: Sequence[Shot] = (), entries: Entries | None = None
) -> Fraction:
    """Return when a moment is as the film's container counts: of a frame, its exact time.

    Parameters as for `resolve_part`.

    Raises
    ------
    UsageError
        It is before or after the film, or a timecode and the film carries none.
    """
    if isinstance(at, Fraction):
        length = film_length(info, shots)
        if at < 0 or (length is not None and at > length + SLACK):
            raise no_such_moment(at, info, shots)
        return info.start + at
    index = _index(at, info, shots)
    time = _time_of(index, info, shots, entries)
    if time is None:
        raise no_such_moment(at, info, shots)
    return time


def no_such_moment(at: Moment, info: VideoInfo, shots: Sequence[Shot] = ()) -> UsageError:
    """Return the sentence for a moment that a film does not have."""
    if isinstance(at, FrameNumber) and shots:
        last = shots[-1].stop - 1
        return UsageError(f"{info.path.name} has no frame {at}: they are numbered 0f to {last}f.")
    return UsageError(
        f"{info.path.name} has nothing at {spoken(at)}: times count from its first frame"
        f"{_long(info, shots)}."
    )


def film_length(info: VideoInfo, shots: Sequence[Shot] = ()) -> Fraction | None:
    """Return the seconds a film lasts, as far as is known."""
    known = info.duration
    if shots:
        last = shots[-1]
        scanned = last.start - shots[0].start + (last.stop - last.first) / info.average_rate
        known = scanned if known is None else max(known, scanned)
    return known


def spoken(at: Moment | None) -> str:
    """Return a moment as it is said in a sentence."""
    if isinstance(at, Fraction):
        return f"{float(at):g} s"
    return f"frame {at.index}" if isinstance(at, FrameNumber) else str(at)


def frame_at(time: Fraction, info: VideoInfo, entries: Entries) -> int | None:
    """Return the index of the first frame at or after a time, None if the film is over by then."""
    if entries.complete:
        count = entries.count_before(time)
        return count if count < len(entries) else None
    with VideoReader(info.path, info=info, enter=entries.until(time)) as reader:
        return next((frame.index for frame in reader if frame.time >= time), None)


def _end(
    end: Moment, info: VideoInfo, shots: Sequence[Shot], entries: Entries | None
) -> Fraction | None:
    """Return where a part stops, None if the film stops first."""
    if isinstance(end, Fraction):
        return info.start + end
    index = _index(end, info, shots)
    return info.start if index == 0 else _time_of(index, info, shots, entries)


def _index(at: FrameNumber | Timecode, info: VideoInfo, shots: Sequence[Shot]) -> int:
    if isinstance(at, FrameNumber):
        return at.index
    if info.timecode is None:
        raise UsageError(
            f"{info.path.name} carries no timecode, so {at} says nothing of it; give seconds "
            "(75.5), hours:minutes:seconds (0:01:15.5) or a frame (123f)."
        )
    start, rate = info.timecode, round(info.average_rate)
    try:
        index = at.count(rate, drop=start.drop) - start.count(rate, drop=start.drop)
        # Of a film that was shot past midnight.
        whole = Timecode(DAY, 0, 0, 0).count(rate, drop=start.drop)
    except ValueError as error:
        raise UsageError(f"{info.path.name} begins at {start}: {error}.") from None
    last = shots[-1].stop if shots else info.frames
    if index < 0 and last is not None and index + whole < last:
        index += whole
    if index < 0:
        raise UsageError(
            f"{info.path.name} has nothing at {at}: its timecode begins at {start}"
            f"{_long(info, shots)}."
        )
    return index


def _time_of(
    index: int, info: VideoInfo, shots: Sequence[Shot], entries: Entries | None
) -> Fraction | None:
    """Return the exact time of a frame, None if there is none of that number."""
    if shots and index >= shots[-1].stop:
        return None
    near = (entries or Entries.of_shots(shots)).before(index)
    if near is not None and near[0] == index:
        return near[1]
    with VideoReader(info.path, info=info, enter=near) as reader:
        return next((frame.time for frame in reader if frame.index == index), None)


def _long(info: VideoInfo, shots: Sequence[Shot]) -> str:
    length = film_length(info, shots)
    return "" if length is None else f", and it is {float(length):.2f} s long"
