"""From frame indices to seconds, for people: exact at every cut, even between two cuts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from refrestore.types import DoubleArray, Shot

from .video import VideoSource


class Timeline:
    """Seconds of frames, counted from the first as all times that are shown or typed.

    The start of every shot is known exactly; between two of them frames are taken to be evenly
    spaced, which is exact where the frame rate is constant. Whoever needs the exact time of a
    frame of a video with a varying rate reads it from the video.

    Parameters
    ----------
    shots
        In order.
    video
        Gives start and duration.
    frames
        Number of frames, None if unknown.
    rate
        Frames per second.

    Attributes
    ----------
    cuts
        Seconds at which the shots begin, the first at 0.
    """

    def __init__(
        self, shots: Sequence[Shot], video: VideoSource, frames: int | None, rate: Fraction
    ) -> None:
        self._rate = float(rate) if rate > 0 else 25.0
        zero = shots[0].start if shots else video.start
        self.cuts = [float(shot.start - zero) for shot in shots]
        self._frames = np.array([shot.first for shot in shots] or [0], np.float64)
        self._seconds = np.array(self.cuts or [0.0])
        end = shots[-1].stop if shots else frames
        if end and video.duration and end > self._frames[-1]:
            finish = float(video.start - zero + video.duration)
            if finish > self._seconds[-1]:
                self._frames = np.append(self._frames, end)
                self._seconds = np.append(self._seconds, finish)

    def seconds(self, frame: int) -> float:
        """Return the seconds from the first frame to a frame."""
        if frame >= self._frames[-1]:
            return float(self._seconds[-1] + (frame - self._frames[-1]) / self._rate)
        return float(np.interp(frame, self._frames, self._seconds))

    def seconds_of(self, frames: NDArray[np.int64]) -> DoubleArray:
        """Return the seconds of frames (N,), as `seconds` does of one."""
        after = self._seconds[-1] + (frames - self._frames[-1]) / self._rate
        inside = np.interp(frames, self._frames, self._seconds)
        seconds: DoubleArray = np.where(frames >= self._frames[-1], after, inside)
        return seconds

    def on_screen(self, intervals: Iterable[tuple[int, int]]) -> float:
        """Return the seconds that half-open frame intervals cover together."""
        total, reached = 0.0, -1
        for first, stop in sorted(intervals):
            start = max(first, reached)
            if stop > start:
                total += self.seconds(stop) - self.seconds(start)
                reached = stop
        return total
