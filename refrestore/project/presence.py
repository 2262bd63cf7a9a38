"""Who is on screen together: one person is never in two places of a frame."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from refrestore.types import Faces, FloatArray

from .anchors import SAME_FACE, overlaps
from .damage import damaged
from .database import Database


def meeting(
    database: Database, scan: int, tracks: Iterable[int], others: Sequence[int]
) -> int | None:
    """Return the first frame in which tracks of both are seen, None if they never meet.

    Two boxes on one face are no meeting: a scan may have followed it twice for a while, as it
    turned.
    """
    spans = {
        track: (first, stop)
        for track, first, stop in database.read(
            "tracks", "id, first, stop", "WHERE scan = ?", (scan,)
        )
    }
    meetings = [
        _first_common(database, scan, one, other)
        for one in tracks
        for other in others
        if max(spans[one][0], spans[other][0]) < min(spans[one][1], spans[other][1])
    ]
    return min((frame for frame in meetings if frame is not None), default=None)


def covered(
    database: Database, scan: int, tracks: Collection[int], faces: Faces
) -> NDArray[np.bool_]:
    """Say which faces (N rows of one track) are where one of a scan's tracks has its face, (N,)."""
    there = np.zeros(len(faces), bool)
    span = (scan, int(faces.frame[-1]) + 1, int(faces.frame[0]))
    rows = database.read(
        "chunks", "track, frame, box", "WHERE scan = ? AND first < ? AND stop > ?", span
    )
    for track, frames, boxes in rows:
        if track in tracks:
            _, mine, yours = np.intersect1d(faces.frame, frames, return_indices=True)
            there[mine] |= overlaps(faces.box[mine], boxes[yours]) > SAME_FACE
    return there


def _first_common(database: Database, scan: int, one: int, other: int) -> int | None:
    (frames, boxes), (others, their) = (_boxes(database, scan, track) for track in (one, other))
    common, mine, yours = np.intersect1d(frames, others, return_indices=True)
    overlap = overlaps(boxes[mine], their[yours])
    apart = common[overlap <= SAME_FACE]
    return int(apart[0]) if len(apart) else None


def _boxes(database: Database, scan: int, track: int) -> tuple[NDArray[np.int64], FloatArray]:
    parts = database.read(
        "chunks", "frame, box", "WHERE scan = ? AND track = ? ORDER BY first", (scan, track)
    )
    if not parts:
        raise damaged(database.path, f"chunks: track {track} has no faces")
    frames, boxes = zip(*parts, strict=True)
    return np.concatenate(frames), np.concatenate(boxes)
