"""How right identities are: clusters and tracks against what is known."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refrestore.types import DoubleArray, FloatArray


@dataclass(frozen=True, slots=True)
class BCubed:
    """B-cubed precision, recall and their harmonic mean, each 0..1."""

    precision: float
    recall: float

    @property
    def f(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 0.0 if total == 0 else 2 * self.precision * self.recall / total


def bcubed(
    people: Sequence[Hashable],
    clusters: Sequence[Hashable | None],
    weights: Sequence[float] | None = None,
) -> BCubed:
    """Compare clusters with people (Bagga & Baldwin 1998; Amigo et al. 2009).

    An item's precision is the share of its cluster that is the same person, its recall the share
    of the person that is in its cluster; both are averaged over items.

    Parameters
    ----------
    people
        Who each item is.
    clusters
        The cluster it is in; None for items in none, which count as clusters of their own.
    weights
        What each item counts, frames of a track for instance; 1 by default.

    Raises
    ------
    ValueError
        If the lengths differ or there is no item.
    """
    if not len(people) == len(clusters) == len(weights or people) or not people:
        raise ValueError("people, clusters and weights need the same length, and at least one item")
    weight = np.ones(len(people)) if weights is None else np.asarray(weights, np.float64)
    who = _codes(people)
    where = _codes([("alone", i) if c is None else ("in", c) for i, c in enumerate(clusters)])
    table: DoubleArray = np.zeros((int(who.max()) + 1, int(where.max()) + 1))
    np.add.at(table, (who, where), weight)
    total = weight.sum()
    shared = np.square(table)
    precision = (shared / np.maximum(table.sum(0, keepdims=True), 1e-12)).sum() / total
    recall = (shared / np.maximum(table.sum(1, keepdims=True), 1e-12)).sum() / total
    return BCubed(float(precision), float(recall))


def _codes(values: Sequence[Hashable]) -> NDArray[np.int64]:
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], np.int64)


@dataclass(frozen=True, slots=True)
class OpenSet:
    """Identification of faces against enrolled people.

    Parameters
    ----------
    found
        Share of the enrolled people's faces that get their own name.
    confused
        Share of them that get another's.
    unknown
        Share of strangers' faces that are called unknown.
    """

    found: float
    confused: float
    unknown: float


def open_set(
    known: FloatArray,
    owner: NDArray[np.integer],
    strangers: FloatArray,
    centroids: FloatArray,
    *,
    thresholds: FloatArray | float,
    margin: float,
) -> OpenSet:
    """Match faces with people: above the person's threshold, clearly ahead of the second.

    Parameters
    ----------
    known : (N, 512)
        Unit embeddings of faces of enrolled people.
    owner : (N,)
        The row of `centroids` each is.
    strangers : (M, 512)
        Unit embeddings of faces of nobody enrolled.
    centroids : (K, 512)
        Unit; two or more.
    thresholds
        Least cosine, one for all or one a person (K,).
    margin
        Least lead over the second nearest person.
    """

    def named(faces: FloatArray) -> NDArray[np.int64]:
        scores = faces @ centroids.T
        best = scores.argmax(1)
        top = np.sort(scores, axis=1)[:, -2:]
        least = np.broadcast_to(np.asarray(thresholds), (len(centroids),))[best]
        sure = (top[:, 1] >= least) & (top[:, 1] - top[:, 0] >= margin)
        return np.where(sure, best, -1).astype(np.int64)

    names, others = named(known), named(strangers)
    return OpenSet(
        found=float((names == owner).mean()),
        confused=float(((names != owner) & (names >= 0)).mean()),
        unknown=float((others < 0).mean()),
    )
