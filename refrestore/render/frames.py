"""Overlapping stretches of a film's frames, entered at a key frame where they are far apart."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import NamedTuple, Protocol

from refrestore.media.entries import Entries
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import VideoReader, frame_bytes
from refrestore.render.segment_folder import CONTEXT
from refrestore.types import Announce, Frame

READ_ON = Fraction(5)
"""Seconds that are decoded and passed over rather than entering the film again behind them: to
enter it costs opening the file and half the distance of two key frames."""

HELD_BYTES = 600_000_000
"""Decoded pictures that one window may hold, so that what is read twice is decoded once: two
seconds of 1080p take 250 MB."""


class FrameWindow:
    """Gives stretches of a film; neighbours in ascending order may overlap by `overlap` frames.

    What begins shortly behind the last frame given is read on to. Anything else is entered at a
    key frame, at the last frame before it whose index and time are known; where the film does not
    keep what is known of it, it is read from its beginning, and not tried again.

    Parameters
    ----------
    info
        The film.
    entries
        Its known frames.
    overlap
        Frames kept behind the furthest one given.
    announce
        Is told, in a sentence, of a film that cannot be entered.
    passed
        Is told the index of every frame that is decoded and not given.
    """

    def __init__(
        self,
        info: VideoInfo,
        entries: Entries,
        *,
        overlap: int = 0,
        announce: Announce | None = None,
        passed: Callable[[int], None] | None = None,
    ) -> None:
        self._info, self._entries = info, entries
        self._announce = announce or (lambda note: None)
        self._passed = passed or (lambda index: None)
        self._behind: deque[Frame] = deque(maxlen=overlap)
        self._read_on = round(READ_ON * info.average_rate)
        self._reader: VideoReader | None = None
        self._next = self._entered_at = 0
        self._can_be_entered = True

    def __enter__(self) -> FrameWindow:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._reader is not None:
            self._reader.close()

    def between(self, first: int, stop: int) -> Iterator[Frame]:
        """Yield frames `first <= frame < stop`."""
        self._go_to(max(first, 0))
        assert self._reader is not None
        yield from [frame for frame in self._behind if first <= frame.index < stop]
        while self._next < stop and (frame := next(self._reader, None)) is not None:
            self._check(frame.index)
            self._next = frame.index + 1
            self._behind.append(frame)
            if frame.index >= first:
                yield frame
            else:
                self._passed(frame.index)

    def first_at(self, time: Fraction) -> int | None:
        """Return the index of the first frame at or after a time, None if the film is over.

        Where it is not known, the film is read up to it, and goes on from there.
        """
        if self._entries.complete:
            count = self._entries.count_before(time)
            return count if count < len(self._entries) else None
        known = self._entries.until(time)
        for frame in self.between(0 if known is None else known[0], sys.maxsize):
            if frame.time >= time:
                return frame.index
            self._passed(frame.index)
        return None

    def _go_to(self, first: int) -> None:
        """Have the reader where the frames from an index on are still to come, or kept."""
        entry = self._entries.before(first) if self._can_be_entered else None
        oldest = self._behind[0].index if self._behind else self._next
        in_place = self._reader is not None and oldest <= first
        if in_place and (entry is None or entry[0] <= self._next + self._read_on):
            return
        if self._reader is not None:
            self._reader.close()
        self._behind.clear()
        self._reader = VideoReader(self._info.path, info=self._info, enter=entry)
        self._next, self._entered_at = 0, 0 if entry is None else entry[0]

    def _check(self, first_given: int) -> None:
        """Remember, and say, if the frames come from the beginning instead."""
        if first_given < self._entered_at:
            self._can_be_entered = False
            self._announce(
                f"{self._info.path.name} cannot be entered in its middle: it is read from its "
                "beginning, which takes the longer the later the frames are that are wanted."
            )
        self._entered_at = 0


class FrameSource(Protocol):
    """Gives stretches of a film's frames."""

    def between(self, first: int, stop: int) -> Iterator[Frame]:
        """Yield frames `first <= frame < stop`."""


class HeldFrames:
    """Gives stretches of frames that come only once, and holds them until they are let go.

    Parameters
    ----------
    frames
        From the film's first on.
    """

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames, self._held = frames, deque[Frame]()
        self._least = self._next = 0

    def between(self, first: int, stop: int) -> Iterator[Frame]:
        """Yield frames `first <= frame < stop`; they are as few as there are."""
        yield from [frame for frame in self._held if first <= frame.index < stop]
        while self._next < stop and (frame := next(self._frames, None)) is not None:
            self._next = frame.index + 1
            if frame.index >= self._least:
                self._held.append(frame)
            if frame.index >= first:
                yield frame

    def let_go(self, before: int) -> None:
        """Forget the frames before one: they are not asked for any more."""
        self._least = before
        while self._held and self._held[0].index < before:
            self._held.popleft()

    def over(self) -> bool:
        """Return whether no further frame comes; one that does is lost."""
        return next(self._frames, None) is None


class Passes(NamedTuple):
    """The two readings of a film that a window of it takes.

    Parameters
    ----------
    look
        To find landmarks and ask the guard, over a wider stretch.
    paint
        To restore and compose.
    """

    look: FrameWindow
    paint: FrameWindow


@contextmanager
def passes_over(
    info: VideoInfo, entries: Entries, *, announce: Announce | None = None
) -> Iterator[Passes]:
    """Open a film for its windows to be rendered one after another, each reading ahead by itself.

    Parameters as for `FrameWindow`.
    """
    with (
        FrameWindow(info, entries, overlap=2 * CONTEXT, announce=announce) as look,
        FrameWindow(info, entries, overlap=2 * CONTEXT, announce=announce) as paint,
    ):
        yield Passes(look, paint)


@contextmanager
def passes_of(
    info: VideoInfo,
    entries: Entries,
    frames: int,
    *,
    announce: Announce | None = None,
    passed: Callable[[int], None] | None = None,
) -> Iterator[Passes]:
    """Open a film for one window of so many frames: decoded once, if they may be held.

    Parameters as for `FrameWindow`.
    """
    wide = frames + 2 * CONTEXT + 1
    held = wide * frame_bytes(info.geometry, info.bit_depth) <= HELD_BYTES
    overlap = wide if held else 2 * CONTEXT
    with (
        FrameWindow(info, entries, overlap=overlap, announce=announce, passed=passed) as look,
        FrameWindow(info, entries, passed=passed) as paint,
    ):
        yield Passes(look, look if held else paint)
