"""Moments of a film, as people name them: seconds, a frame's number, a timecode.

Everything that people type, and every time that is shown to them, counts from the film's first
frame, as a player shows it; what a container counts from stays inside (`media.moments`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_FRAME = re.compile(r"(\d{1,12})f")
_TIMECODE = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})([:;])(\d{2,3})")
_MOST_PARTS = 3
"""Hours, minutes, seconds."""

_LONGEST = 40
"""Letters of a time; more would only be work for who adds them up."""

_HOURS = 24

DROPPED = 2
"""Numbers left out at every minute but each tenth, per 30 frames a second (SMPTE ST 12-1)."""


@dataclass(frozen=True, slots=True)
class FrameNumber:
    """A frame by its number; the first is 0."""

    index: int

    def __str__(self) -> str:
        return f"{self.index}f"


@dataclass(frozen=True, slots=True)
class Timecode:
    """A time of day as a camera counts it (SMPTE ST 12-1): 10:00:03:12, 10:00:03;12.

    Parameters
    ----------
    hours, minutes, seconds, frames
        As it is read.
    drop
        Written with a semicolon: numbers are left out so that 29.97 frames a second keep time.
    """

    hours: int
    minutes: int
    seconds: int
    frames: int
    drop: bool = False

    @classmethod
    def parse(cls, text: str) -> Timecode:
        """Return the timecode that a text says; raises ValueError if it says none."""
        found = _TIMECODE.fullmatch(text.strip())
        if found is None or int(found[2]) > 59 or int(found[3]) > 59:
            raise ValueError(f"{text!r} is no timecode; write hours:minutes:seconds:frames")
        return cls(int(found[1]), int(found[2]), int(found[3]), int(found[5]), found[4] == ";")

    def __str__(self) -> str:
        before = ";" if self.drop else ":"
        return f"{self.hours:02}:{self.minutes:02}:{self.seconds:02}{before}{self.frames:02}"

    def count(self, rate: int, *, drop: bool) -> int:
        """Return how many frames have passed since midnight.

        Parameters
        ----------
        rate
            Frames counted a second: 30 for 29.97.
        drop
            Whether numbers are left out.

        Raises
        ------
        ValueError
            There is no such number.
        """
        dropped = DROPPED * rate // 30 if drop else 0
        missing = self.minutes % 10 and not self.seconds and self.frames < dropped
        if self.frames >= rate or missing:
            raise ValueError(f"there is no timecode {self} at {rate} frames a second")
        minutes = self.hours * 60 + self.minutes
        whole = (minutes * 60 + self.seconds) * rate + self.frames
        return whole - dropped * (minutes - minutes // 10)

    def advanced(self, frames: int, rate: Fraction) -> Timecode:
        """Return the timecode so many frames later, past midnight too, at a nominal rate."""
        base = max(1, round(rate))
        dropped = DROPPED * base // 30 if self.drop else 0
        ten = base * 600 - 9 * dropped  # frames in ten minutes
        count = (self.count(base, drop=self.drop) + frames) % (ten * 6 * _HOURS)
        if dropped:
            tens, rest = divmod(count, ten)
            count += 9 * dropped * tens
            if rest >= base * 60:  # the first of each ten minutes drops none
                count += dropped * (1 + (rest - base * 60) // (base * 60 - dropped))
        total, number = divmod(count, base)
        hours, rest = divmod(total, 3600)
        return Timecode(hours, rest // 60, rest % 60, number, self.drop)


Moment = Fraction | FrameNumber | Timecode
"""A moment of a film; a fraction is seconds from its first frame."""


def parse_moment(text: str) -> Moment:
    """Return the moment that a text names.

    >>> parse_moment("0:01:15.5"), parse_moment("75.5")
    (Fraction(151, 2), Fraction(151, 2))
    >>> parse_moment("123f"), str(parse_moment("10:00:03:12"))
    (FrameNumber(index=123), '10:00:03:12')

    Raises
    ------
    ValueError
        It names none.
    """
    text = text.strip()
    if found := _FRAME.fullmatch(text):
        return FrameNumber(int(found[1]))
    if _TIMECODE.fullmatch(text):
        return Timecode.parse(text)
    parts = text.split(":")
    try:
        if len(parts) > _MOST_PARTS or len(text) > _LONGEST or "e" in text.lower():
            raise ValueError
        values = [Fraction(part) for part in parts]
        if any(value < 0 for value in values[1:]):
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise ValueError(
            f"{text[:_LONGEST]!r} is no time; write seconds (75.5), hours:minutes:seconds "
            "(0:01:15.5), a frame (123f) or a timecode (10:00:03:12)"
        ) from None
    seconds = Fraction(0)
    for value in values:
        seconds = seconds * 60 + value
    return seconds
