"""Crops of faces and of the frames around them, kept until all of these have been read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
from torch import Tensor, stack

from refrestore.render.face_table import FaceTable
from refrestore.restore import burst
from refrestore.types import IntArray


class Around:
    """Hands out faces, in order, as soon as the frames that they are drawn from are known.

    Parameters
    ----------
    work
        Of a segment.
    rows
        The faces that are wanted, ascending.
    drawn
        Those of them for which the frames around them are wanted too.
    """

    def __init__(self, work: FaceTable, rows: Iterable[int], drawn: Iterable[int]) -> None:
        self._work = work
        self._waiting = deque(rows)
        self._near = work.around(drawn)
        self._crops: dict[int, Tensor] = {}
        self.ahead = burst.REACH if self._near else 0
        """Frames after a face that are read before it is handed out."""
        self.wanted = np.zeros(len(work), bool)
        """Rows, (N,), of which a crop is to be added."""
        self.wanted[list(self._waiting)] = True
        self.wanted[[row for rows in self._near.values() for row in rows]] = True

    def add(self, rows: IntArray, crops: Iterable[Tensor]) -> None:
        """Take crops, (3, S, S), of rows."""
        self._crops.update(zip(rows.tolist(), crops, strict=True))

    def ready(self, count: int, seen: int) -> bool:
        """Whether so many faces wait whose frames are known, when `seen` was the last one read."""
        return len(self._waiting) >= count and self._known(self._waiting[count - 1], seen)

    def take(self, seen: int | None) -> IntArray:
        """Return the rows that are ready; all of them are where `seen` is None."""
        rows = []
        while self._waiting and (seen is None or self._known(self._waiting[0], seen)):
            rows.append(self._waiting.popleft())
        # A damaged film may lack the frames of some.
        return np.array([row for row in rows if row in self._crops], np.int64)

    def _known(self, row: int, seen: int) -> bool:
        return int(self._work.faces.frame[row]) + self.ahead <= seen

    def of(self, rows: IntArray) -> tuple[Tensor, list[list[Tensor]]]:
        """Return crops of rows of one side, (B, 3, S, S), and of each those around it."""
        near = [self._near.get(row, []) for row in rows.tolist()]
        around = [[self._crops[row] for row in others if row in self._crops] for others in near]
        return stack([self._crops[row] for row in rows.tolist()]), around

    def forget(self) -> None:
        """Let go of crops that no face needs which is still waiting."""
        frames = self._work.faces.frame
        first = int(frames[self._waiting[0]]) - self.ahead if self._waiting else None
        for row in [one for one in self._crops if first is None or frames[one] < first]:
            del self._crops[row]
