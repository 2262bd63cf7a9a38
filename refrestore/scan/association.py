"""Which detection continues which track: geometry first, identity where geometry is not clear."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from refrestore.project.anchors import overlaps
from refrestore.types import DoubleArray, FloatArray, IntArray

_REACH = 1.5
"""Face sizes a face may have moved since it was seen (a fifth of a second at most)."""

_SIZE_RATIO = 2.0
_CLEAR_OVERLAP = 0.3
FORBIDDEN = 1e3
"""Cost of what cannot be."""

_STRANGER = 0.1
"""Cosine similarity below which two good faces are surely two people: the highest of different
people measured with the embedded recogniser is 0.16 on stills, the lowest of the same 0.51."""

_IDENTITY_WEIGHT = 1.0

_RETURN_LEAD, _RETURN_LEAST = 0.15, 0.4
"""A detection is one who was lost lately and not the track that is near it, if it is this much more
like the former, and this much like him at all."""


class Matches(NamedTuple):
    """Rows of tracks and of detections that belong together."""

    tracks: IntArray
    detections: IntArray


def overlap(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4)."""
    return overlaps(first[:, None], second[None])


def geometry_cost(predicted: FloatArray, found: FloatArray) -> DoubleArray:
    """Return the cost (N, M) of one box being another after a short while; 1000 if it cannot be."""
    centres = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (predicted, found)]
    sizes = [
        np.sqrt(np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], -1), 1e-6))
        for boxes in (predicted, found)
    ]
    scale = np.sqrt(sizes[0][:, None] * sizes[1][None])
    distance = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=-1) / scale
    ratio = np.abs(np.log(sizes[0][:, None] / sizes[1][None]))
    cost: DoubleArray = distance / _REACH + ratio / np.log(_SIZE_RATIO)
    cost[(distance > _REACH) | (ratio > np.log(_SIZE_RATIO))] = FORBIDDEN
    return cost


def ambiguous(
    cost: DoubleArray, covered: FloatArray, absent: DoubleArray | None = None
) -> tuple[IntArray, IntArray]:
    """Return the rows of tracks and of detections that geometry alone does not settle.

    Settled is a pair that overlaps well, where neither has another candidate, and where nobody
    was lost lately: who passes in front of another often leaves with his place.

    Parameters
    ----------
    cost, covered : (N, M)
        From `geometry_cost` and `overlap`, of tracks and detections.
    absent : (L, M), optional
        Cost of detections being tracks that ended lately.
    """
    possible = cost < FORBIDDEN
    lonely = possible & (possible.sum(1, keepdims=True) == 1) & (possible.sum(0) == 1)
    if absent is not None and len(absent):
        lonely &= ~(absent < FORBIDDEN).any(0)
    open_pairs = possible & ~(lonely & (covered > _CLEAR_OVERLAP))
    return np.flatnonzero(open_pairs.any(1)), np.flatnonzero(open_pairs.any(0))


def without_returned(similarity: DoubleArray, returned: DoubleArray) -> DoubleArray:
    """Return the similarities (N, M), -1 where a detection is rather one who was lost lately.

    Parameters
    ----------
    similarity : (N, M)
        Cosine to the tracks, NaN where it is not known.
    returned : (L, M)
        To tracks that ended lately near the detection, NaN elsewhere.
    """
    if not len(returned):
        return similarity
    best = np.max(np.nan_to_num(returned, nan=-1.0), axis=0)
    rather = (best > similarity + _RETURN_LEAD) & (best >= _RETURN_LEAST)
    changed: DoubleArray = np.where(rather, -1.0, similarity)
    return changed


def assign(cost: DoubleArray, similarity: DoubleArray) -> Matches:
    """Return the cheapest assignment (Hungarian).

    Parameters
    ----------
    cost : (N, M)
        From `geometry_cost`.
    similarity : (N, M)
        Cosine of identity, NaN where it is not known.
    """
    total = np.where(np.isnan(similarity), cost, cost + _IDENTITY_WEIGHT * (0.5 - similarity))
    total[similarity < _STRANGER] = FORBIDDEN
    rows, columns = linear_sum_assignment(np.minimum(total, FORBIDDEN))
    good = total[rows, columns] < FORBIDDEN / 2
    return Matches(rows[good], columns[good])
