"""Find faces again: marks of an earlier scan's tracks in the current scan's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from refrestore.types import FloatArray

from .columns import CHUNK
from .database import Database
from .edits import Mark

MARKS = 5
"""Marks per track: a new scan may cut a track in as many pieces and every piece is found."""

SAME_FACE = 0.3
"""Least intersection over union of a mark and the face it means. Two scans' boxes of one face
overlap by 0.6 and more; two people's faces side by side by less than 0.2."""

NEARBY_FRAMES = 5
"""How many frames away a face may be looked for where a scan has none in the marked frame (it
detects on every fifth frame by default)."""

SAME_LOOK = 2
"""How many frames from a marked close-up another scan's close-up may be to be the same picture of
a face (0.08 s: hardly a blink). Farther away it is another look, of which nothing was said."""


def mark(
    parts: Sequence[tuple[NDArray[np.int64], FloatArray]], count: int = MARKS
) -> tuple[Mark, ...]:
    """Return marks spread evenly over a track's rows; the ends, where faces enter, are avoided.

    Parameters
    ----------
    parts
        Frames (N,) and boxes (N, 4) of the track, in one piece or several.
    count
        Marks at most.
    """
    if not parts:
        return ()
    frames = np.concatenate([frame for frame, _ in parts])
    boxes = np.concatenate([box for _, box in parts])
    places = np.unique(((np.arange(count) + 0.5) * len(frames) / count).astype(int))
    marks = []
    for place in places:
        left, top, right, bottom = (round(float(edge), 2) for edge in boxes[place])
        marks.append(Mark(int(frames[place]), (left, top, right, bottom)))
    return tuple(marks)


def resolve(database: Database, scan: int, marks: Sequence[Mark]) -> list[int | None]:
    """Return, for each mark, the id of the track whose face it is, or None."""
    return [_resolve(database, scan, one) for one in marks]


def find_close_up(database: Database, scan: int, one: Mark, *, exactly: bool) -> int | None:
    """Return the id of the close-up that shows a marked face, or None.

    Parameters
    ----------
    database
        Of the project.
    scan
        Whose close-ups.
    one
        The face.
    exactly
        Whether it is in the marked frame; else up to `SAME_LOOK` frames away, the nearest.
    """
    reach = 0 if exactly else SAME_LOOK
    rows = database.read(
        "reference_crops",
        "id, track, frame",
        "WHERE scan = ? AND frame BETWEEN ? AND ?",
        (scan, one.frame - reach, one.frame + reach),
    )
    found = []
    for number, track, frame in rows:
        box = box_of(database, scan, track, frame)
        if box is not None:
            overlap = float(
                intersection_over_union(np.array([one.box], np.float32), box[None])[0, 0]
            )
            if overlap > SAME_FACE:
                found.append((abs(frame - one.frame), -overlap, int(number)))
    return min(found)[2] if found else None


def box_of(database: Database, scan: int, track: int, frame: int) -> FloatArray | None:
    """Return the box (4,) of a track's face in a frame, None where it has none."""
    rows = database.read(
        "chunks",
        "frame, box",
        "WHERE scan = ? AND track = ? AND first <= ? AND stop > ?",
        (scan, track, frame, frame),
    )
    for frames, boxes in rows:
        for here in np.flatnonzero(frames == frame):
            box: FloatArray = boxes[here]
            return box
    return None


def _resolve(database: Database, scan: int, one: Mark) -> int | None:
    low, high = one.frame - NEARBY_FRAMES, one.frame + NEARBY_FRAMES
    rows = database.read(
        "chunks",
        "track, frame, box",
        "WHERE scan = ? AND first BETWEEN ? AND ? AND stop > ?",
        (scan, low - CHUNK, high, low),
    )
    best: tuple[int, float, int] | None = None
    for track, frames, boxes in rows:
        away = np.abs(frames - one.frame)
        near = away <= NEARBY_FRAMES
        overlap = intersection_over_union(np.array([one.box], np.float32), boxes[near])[0]
        for distance, value in zip(away[near], overlap, strict=True):
            found = (int(distance), -float(value), int(track))
            if value > SAME_FACE and (best is None or found < best):
                best = found
    return None if best is None else best[2]


def intersection_over_union(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the (N, M) overlaps of boxes (N, 4) and (M, 4)."""
    return overlaps(a[:, None], b[None, :])


def overlaps(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the intersection over union (...) of boxes (..., 4) and (..., 4), broadcast."""
    corner = np.maximum(a[..., :2], b[..., :2])
    other = np.minimum(a[..., 2:], b[..., 2:])
    both = np.clip(other - corner, 0, None).prod(axis=-1)
    areas_a, areas_b = ((box[..., 2:] - box[..., :2]).clip(0).prod(axis=-1) for box in (a, b))
    result: FloatArray = (both / np.maximum(areas_a + areas_b - both, 1e-9)).astype(np.float32)
    return result
