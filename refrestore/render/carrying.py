"""Which faces are carried over, from which, and how they wait for those (`restore.carried`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from fractions import Fraction

import numpy as np
from torch import Tensor

from refrestore.render.face_table import FaceTable
from refrestore.types import IntArray

SECONDS = 0.12
"""From one face of a track that is restored to the next, about."""

MOST = 4
"""Frames from one to the next at most."""


def frames_apart(rate: Fraction) -> int:
    """Return the frames from one restored face to the next at so many frames a second."""
    return max(1, min(MOST, round(float(rate) * SECONDS)))


class Carrying:
    """Faces of a segment that are carried over: those between frames that are restored.

    By the frame's number, so that it does not matter where a segment begins. A face is restored
    after all where a track ends, turns away or is cut before the next frame that is.

    Parameters
    ----------
    work
        Of the segment.
    wanted
        Rows that are shown or steady those.
    apart
        Frames from one restored face to the next; 1 carries none over.
    """

    def __init__(self, work: FaceTable, wanted: Iterable[int], apart: int) -> None:
        self.sources: dict[int, list[int]] = {}
        """For each row that is carried over the rows before and after, the nearer first."""
        self._crops: dict[int, Tensor] = {}
        restored = work.strength > 0
        for row in wanted:
            frame = int(work.faces.frame[row])
            since = frame % apart
            if not since:
                continue
            around = sorted((frame - since, frame - since + apart), key=lambda at: abs(at - frame))
            near = [
                other
                for at in around
                for other in work.rows_of_frame(at).tolist()
                if work.track[other] == work.track[row] and restored[other]
            ]
            if len(near) == len(around):
                self.sources[row] = near

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
