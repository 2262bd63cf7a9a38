"""Which close-ups of a person a profile keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from refrestore.types import DoubleArray, Reference

MAX_REFERENCES = 24
"""References kept in a profile, as many as a scan keeps of a person (ScanSettings)."""

POSE_UNIT = 15.0
"""Degrees of yaw or pitch from which on a reference shows a new side of a face."""

POSE_FLOOR = 0.1
"""What a reference in a pose already shown is worth, by its quality; a new pose adds up to 1."""

BEST_KEPT = 8
"""Best references that new poses never displace: the mean of several drops each one's noise."""

_DIGITS = 16


def digest(reference: Reference) -> str:
    """Return what a reference's picture is known by, 16 hexadecimal digits."""
    return hashlib.sha256(reference.image.tobytes()).hexdigest()[:_DIGITS]


def distinct(references: Iterable[Reference]) -> dict[str, Reference]:
    """Return references by digest, the best first; the same picture twice is taken once."""
    found: dict[str, Reference] = {}
    for one in sorted(references, key=lambda one: -one.quality):
        found.setdefault(digest(one), one)
    return found


def choose(references: Sequence[Reference], limit: int = MAX_REFERENCES) -> list[Reference]:
    """Choose the references of a profile: those that cover poses and light best, not the sharpest.

    Greedy farthest-point selection: the best one first, then always the one whose quality times
    its distance in pose to those chosen is largest. The same picture twice is taken once.

    Parameters
    ----------
    references
        Of one person.
    limit
        How many at most.
    """
    candidates = list(distinct(references).values())
    return [candidates[row] for row in _cover(candidates, [], limit)]


def refresh(
    old: Sequence[Reference], new: Sequence[Reference], limit: int = MAX_REFERENCES
) -> list[Reference]:
    """Choose among a profile's references and new ones without forgetting what it knew.

    Safe, in this order: for each pose (a square of `POSE_UNIT` degrees of yaw and pitch) that the
    profile shows, the best reference of it, old or new; the `BEST_KEPT` best of all. So neither
    goes for a worse one, however many come. Places that are left go to those that cover poses
    best.

    Parameters
    ----------
    old
        The profile's.
    new
        Of the same person.
    limit
        How many at most.
    """
    candidates = list(distinct([*old, *new]).values())
    if len(candidates) <= limit:
        return candidates
    squares = [_square(one) for one in candidates]
    shown = {_square(one) for one in old}
    safe = [squares.index(square) for square in shown]  # the first of a square is its best
    safe = sorted(safe)[:limit]
    safe += [row for row in range(BEST_KEPT) if row not in safe][: limit - len(safe)]
    return [candidates[row] for row in _cover(candidates, safe, limit)]


def _square(reference: Reference) -> tuple[int, int]:
    yaw, pitch = np.round(reference.pose[:2] / POSE_UNIT)
    return int(yaw), int(pitch)


def _cover(candidates: Sequence[Reference], chosen: Sequence[int], limit: int) -> list[int]:
    """Return rows of candidates, best first, that with those chosen cover poses best."""
    if len(candidates) <= limit:
        return list(range(len(candidates)))
    taken = list(chosen) or [0]
    poses = np.stack([one.pose for one in candidates])[:, :2].astype(np.float64) / POSE_UNIT
    quality = np.array([one.quality for one in candidates])
    distance = np.min([_distances(poses, row) for row in taken], axis=0)
    while len(taken) < limit:
        worth = quality * (POSE_FLOOR + np.minimum(distance, 1))
        worth[taken] = -1
        taken.append(int(np.argmax(worth)))
        distance = np.minimum(distance, _distances(poses, taken[-1]))
    return taken


def _distances(poses: DoubleArray, row: int) -> DoubleArray:
    distance: DoubleArray = np.linalg.norm(poses - poses[row], axis=1)
    return distance
