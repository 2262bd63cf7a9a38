"""Which frames of a film are known by number and exact time: where it can be entered late."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from refrestore.types import IntArray, Shot

Entry = tuple[int, Fraction]
"""Index and presentation time (seconds) of a frame, as `VideoReader(enter=)` takes it."""


@dataclass(frozen=True, eq=False)
class Entries:
    """Frames whose index and time an earlier reading of the whole film has noted.

    Indices count from the film's first frame, which a reader that begins elsewhere cannot do:
    from a time alone an index is only a guess wherever the rate varies or a picture is damaged.

    Parameters
    ----------
    frames : (N,) int64
        Indices, ascending.
    ticks : (N,) int64
        Their presentation times, ascending, in units.
    unit
        Seconds of a tick.
    complete
        Whether these are all frames of the film.
    """

    frames: IntArray
    ticks: IntArray
    unit: Fraction
    complete: bool = False

    @classmethod
    def of_shots(cls, shots: Sequence[Shot]) -> Entries:
        """Return the first frames of shots: all that a scan of an older version has noted."""
        unit = Fraction(1, math.lcm(*(shot.start.denominator for shot in shots)))
        return cls(
            np.array([shot.first for shot in shots], np.int64),
            np.array([int(shot.start / unit) for shot in shots], np.int64),
            unit,
        )

    @classmethod
    def of_all(cls, ticks: IntArray, unit: Fraction) -> Entries:
        """Return every frame of a film."""
        return cls(np.arange(len(ticks), dtype=np.int64), ticks, unit, complete=True)

    def __len__(self) -> int:
        return len(self.frames)

    def before(self, frame: int) -> Entry | None:
        """Return the last known frame at or before an index."""
        return self._entry(int(np.searchsorted(self.frames, frame, "right")))

    def until(self, time: Fraction) -> Entry | None:
        """Return the last known frame shown at or before a time."""
        ticks = self._clipped(math.floor(time / self.unit))
        return self._entry(int(np.searchsorted(self.ticks, ticks, "right")))

    def count_before(self, time: Fraction) -> int:
        """Return how many of the known frames come before a time."""
        return int(np.searchsorted(self.ticks, self._clipped(math.ceil(time / self.unit)), "left"))

    def _entry(self, count: int) -> Entry | None:
        if not count:
            return None
        return int(self.frames[count - 1]), int(self.ticks[count - 1]) * self.unit

    def _clipped(self, ticks: int) -> int:
        limits = np.iinfo(np.int64)
        return min(max(ticks, limits.min), limits.max)
