"""Crops of faces and of the frames around them, kept until all of these have been read."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from itertools import islice
from typing import NamedTuple

import numpy as np
from torch import Tensor

from refrestore.media.tensors import stacked
from refrestore.render.face_table import FaceTable
from refrestore.restore import burst
from refrestore.restore.steady import at_side
from refrestore.types import IntArray


class FacesAround(NamedTuple):
    """Crops of faces of one side, and of the frames around them.

    Parameters
    ----------
    faces : (B, 3, S, S)
        RGB 0..1.
    near
        Of each, those around it.
    soft
        `burst.softened` of each and of these; nothing of a face that is not drawn.
    """

    faces: Tensor
    near: list[list[Tensor]]
    soft: list[list[Tensor]]


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
    light
        Those that a batch is not filled with: little is to be done for them.
    """

    def __init__(
        self,
        work: FaceTable,
        rows: Iterable[int],
        drawn: Iterable[int],
        light: Collection[int] = (),
    ) -> None:
        self._work, self._light = work, light
        self._waiting = deque(rows)
        self._near = work.around(drawn)
        self._drawn = set(self._near).union(*self._near.values())
        self._crops: dict[int, Tensor] = {}
        self._soft: dict[int, Tensor] = {}
        self.ahead = burst.REACH if self._near else 0
        """Frames after a face that are read before it is handed out."""
        self.wanted = np.zeros(len(work), bool)
        """Rows, (N,), of which a crop is to be added."""
        self.wanted[list(self._waiting)] = True
        self.wanted[list(self._drawn)] = True

    def add(self, rows: IntArray, crops: Tensor) -> None:
        """Take crops, (N, 3, S, S), of rows; from several threads at once, if need be."""
        if not self._drawn.isdisjoint(rows.tolist()):
            self._soft.update(zip(rows.tolist(), burst.softened(crops), strict=True))
        self._crops.update(zip(rows.tolist(), crops, strict=True))

    def ready(self, count: int, seen: int) -> bool:
        """Whether so many faces wait whose frames are known, when `seen` was the last one read."""
        rows = (row for row in self._waiting if row not in self._light)
        last = next(islice(rows, count - 1, None), None)
        return last is not None and self.over(last, seen)

    def take(self, seen: int | None) -> IntArray:
        """Return the rows that are ready; all of them are where `seen` is None."""
        rows = []
        while self._waiting and self.over(self._waiting[0], seen):
            rows.append(self._waiting.popleft())
        # A damaged film may lack the frames of some.
        return np.array([row for row in rows if row in self._crops], np.int64)

    def over(self, row: int, seen: int | None) -> bool:
        """Whether all that a row needs was read, when `seen` was the last frame; None: all was."""
        return seen is None or int(self._work.faces.frame[row]) + self.ahead <= seen

    def crop(self, row: int) -> Tensor:
        """Return the crop of a row, (3, S, S)."""
        return self._crops[row]

    def of(self, rows: IntArray) -> FacesAround:
        """Return crops of rows of one side, and of each those around it."""
        near = [
            [other for other in self._near.get(row, []) if other in self._crops]
            for row in rows.tolist()
        ]
        faces, side = stacked([self._crops[row] for row in rows.tolist()]), self._work.side
        soft = [
            [self._softened(one, side[row]) for one in (row, *others)] if row in self._near else []
            for row, others in zip(rows.tolist(), near, strict=True)
        ]
        return FacesAround(faces, [[self._crops[row] for row in others] for others in near], soft)

    def _softened(self, row: int, side: int) -> Tensor:
        """Return what the flow of a row's crop is found on, beside crops of a side."""
        if self._work.side[row] == side:
            return self._soft[row]
        return burst.softened(at_side(self._crops[row], int(side))[None])[0]

    def forget(self) -> None:
        """Let go of crops that no face needs which is still waiting."""
        frames = self._work.faces.frame
        first = int(frames[self._waiting[0]]) - self.ahead if self._waiting else None
        for row in [one for one in self._crops if first is None or frames[one] < first]:
            del self._crops[row]
            self._soft.pop(row, None)
