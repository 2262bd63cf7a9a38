"""Choose a person's references among spooled close-ups, the user's word first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refrestore.project.anchors import SAME_FACE, SAME_LOOK, overlaps
from refrestore.project.edits import Mark
from refrestore.scan.harvest import harvest
from refrestore.scan.references import Spool, Spooled
from refrestore.scan.view import ViewOf
from refrestore.types import FloatArray


def pick(
    own: Sequence[Spooled],
    centroid: FloatArray,
    limit: int,
    *,
    others: FloatArray | None = None,
    dropped: Sequence[Mark] = (),
    view: ViewOf | None = None,
) -> list[Spooled]:
    """Return the close-ups of one person to keep.

    Parameters
    ----------
    own
        Close-ups of the person.
    centroid, others
        As for `harvest`.
    limit
        References at most. Close-ups that the user dropped take no place: another is chosen.
    dropped
        Faces that the user said are never references. They are kept beside the references, so
        that the user can take the word back.
    view
        Tells how much of a face is seen.
    """
    refused, again = _of_marks(own, dropped)
    free = [one for row, one in enumerate(own) if row not in refused]

    def seen(row: int) -> float:
        return 1.0 if view is None else view(Spool.get(free[row]).unpacked())

    rows = harvest([one.candidate for one in free], centroid, limit, others=others, view=seen)
    return [free[row] for row in rows] + [own[row] for row in again]


def _of_marks(own: Sequence[Spooled], marks: Sequence[Mark]) -> tuple[set[int], list[int]]:
    """Return the rows that show marked faces, and of those the nearest one of each mark.

    As `anchors.find_close_up` finds them: of two that show one look it means the nearest, so the
    other must not be kept.
    """
    refused: set[int] = set()
    again: list[int] = []
    for mark in marks:
        found = []
        for row, one in enumerate(own):
            away, box = abs(one.candidate.frame - mark.frame), one.candidate.box
            if away <= SAME_LOOK and box is not None:
                overlap = float(overlaps(np.array(mark.box, np.float32), box))
                if overlap > SAME_FACE:
                    found.append((away, -overlap, row))
        if found:
            refused.update(row for _, _, row in found)
            again.append(min(found)[2])
    return refused, list(dict.fromkeys(again))
