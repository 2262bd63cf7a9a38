"""Which faces are carried over, from which, and how they wait for those (`restore.carried`)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction

import numpy as np
from torch import Tensor

from refrestore.render.face_table import FaceTable
from refrestore.types import FloatArray, IntArray

SECONDS = 0.12
"""From one face of a track that is restored to the next, about."""

MOST = 4
"""Frames from one to the next at most."""

MOVED = 0.02
"""Way of a face's landmarks from one to the next, in sides of its crop, beyond which one between
them is restored too (docs/decisions/054)."""


def frames_apart(rate: Fraction) -> int:
    """Return the frames from one restored face to the next at so many frames a second."""
    return max(1, min(MOST, round(float(rate) * SECONDS)))


class Carrying:
    """Faces of a segment that are carried over: those between two that are restored.

    Restored are those of every so many frames, by the frame's number, so that it does not matter
    where a segment begins, the first and the last of a track, also where it is interrupted, and
    more where it moves fast.

    Parameters
    ----------
    work
        Of the segment.
    wanted
        Rows that are shown or steady those.
    apart
        Frames from one restored face to the next; 1 carries none over.
    """

    def __init__(self, work: FaceTable, wanted: Collection[int], apart: int) -> None:
        self.sources: dict[int, list[int]] = {}
        """For each row that is carried over the rows before and after, the nearer first."""
        self._crops: dict[int, Tensor] = {}
        for _, all_rows in work.by_track():
            rows = all_rows[work.strength[all_rows] > 0]
            frames = work.faces.frame[rows]
            breaks = np.diff(frames, prepend=-2, append=-2) != 1
            restored = np.flatnonzero((frames % apart == 0) | breaks[:-1] | breaks[1:])
            way = _way(work, rows)
            for ends in itertools.pairwise(restored.tolist()):
                for first, last in _slowly(way, *ends):
                    for place in range(first + 1, last):
                        near = sorted((first, last), key=lambda one: abs(one - place))
                        if int(rows[place]) in wanted:
                            self.sources[int(rows[place])] = rows[near].tolist()

    def wait(self, row: int, crop: Tensor) -> None:
        """Take a row's crop, (3, S, S), until it can be carried over."""
        self._crops[row] = crop

    def crops(self, rows: IntArray) -> list[Tensor]:
        """Return what rows wait with, and wait with it no more."""
        return [self._crops.pop(row) for row in rows.tolist()]

    def ready(
        self, restored: Collection[int], over: Callable[[int], bool]
    ) -> tuple[IntArray, IntArray]:
        """Return the waiting rows whose sources are known, and those that have none.

        A damaged film may lack the frames of some: who has one source is carried over from it.

        Parameters
        ----------
        restored
            Rows that are.
        over
            Says of a row whether it would be by now.
        """
        ready = [
            row
            for row in sorted(self._crops)
            if all(one in restored or over(one) for one in self.sources[row])
        ]
        some = np.array([any(one in restored for one in self.sources[row]) for row in ready], bool)
        rows = np.array(ready, np.int64)
        return rows[some], rows[~some]


def _way(work: FaceTable, rows: IntArray) -> FloatArray:
    """Return how far each face's landmarks have gone since the first one, (T,)."""
    places = work.landmarks[rows] / work.side[rows, None, None]
    steps = np.linalg.norm(np.diff(places, axis=0), axis=2).mean(1)
    way: FloatArray = np.concatenate([[0], np.cumsum(steps)])
    return way


def _slowly(way: FloatArray, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Divide a part of a track until its face moves little from one end of a part to the other."""
    if last - first > 1 and way[last] - way[first] > MOVED:
        middle = (first + last) // 2
        yield from _slowly(way, first, middle)
        yield from _slowly(way, middle, last)
    else:
        yield first, last
