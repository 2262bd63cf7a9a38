"""Whether pictures that are said to show one person do, and which of them do not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refrestore.profiles.cosines import FEW, Cosines
from refrestore.profiles.profile import same_people, statistics
from refrestore.types import FloatArray, IntArray

CLEARLY_MORE = 2
"""How many times as many faces as anybody else somebody must have to be whom pictures are about,
where most show nobody in particular."""

_ROUNDS = 2


class Majority(NamedTuple):
    """Who of several faces is one person.

    Parameters
    ----------
    own : (N,) bool
        Which are the person.
    similarity : (N,) float32
        To the mean of those.
    rival
        Most faces that anybody else has.
    """

    own: NDArray[np.bool_]
    similarity: FloatArray
    rival: int

    @property
    def clear(self) -> bool:
        """Whether there is one person whom the faces are about."""
        count = int(np.count_nonzero(self.own))
        clearly = count >= FEW and count >= CLEARLY_MORE * max(self.rival, 1)
        return 2 * count > len(self.own) or clearly


def one_person(
    embeddings: FloatArray, levels: Cosines, known: NDArray[np.bool_] | None = None
) -> Majority:
    """Say which faces are the person that most of them, or those known, show.

    Faces are grouped by average linkage, so that one face between two people does not chain them
    together. A group of some size that is like the main one shows the same person in another mood
    or year and joins it; any other group of two or more is somebody else, and a face
    nearer to it than to the person is refused even where it would be similar enough alone.

    Parameters
    ----------
    embeddings : (N, 512)
        Unit.
    levels
        What the recogniser's cosines are like.
    known : (N,), optional
        Faces that are the person for certain; by default the largest group is.
    """
    groups = _groups(embeddings, levels.alike)
    main = groups == _main(groups, known)
    others, most = [], 0
    for group in np.unique(groups[~main]):
        rows = groups == group
        large = np.count_nonzero(rows) >= FEW
        if large and same_people(embeddings[rows], embeddings[main], levels)[0]:
            main = main | rows
            continue
        most = max(most, int(np.count_nonzero(rows)))
        if np.count_nonzero(rows) > 1:
            others.append(_mean(embeddings[rows]))
    own, rival = main, np.full(len(embeddings), -1.0, np.float32)
    if others:
        rival = np.max(embeddings @ np.stack(others).T, axis=1)
    for _ in range(_ROUNDS):  # the mean settles on those it is the mean of
        similarity = embeddings @ _mean(embeddings[own])
        settled = (similarity >= levels.belongs) & (similarity > rival)
        own = settled if known is None else settled | known
        if not own.any():
            break
    return Majority(own, similarity, most)


def _groups(embeddings: FloatArray, alike: float) -> IntArray:
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(embeddings) == 1:
        return np.zeros(1, np.int64)
    apart = 1 - embeddings.astype(np.float64) @ embeddings.T
    rows, columns = np.triu_indices(len(embeddings), 1)
    tree = linkage(np.maximum(apart[rows, columns], 0), method="average")
    groups: IntArray = fcluster(tree, 1 - alike, criterion="distance").astype(np.int64)
    return groups


def _main(groups: IntArray, known: NDArray[np.bool_] | None) -> int:
    names, counts = np.unique(groups if known is None else groups[known], return_counts=True)
    return int(names[np.argmax(counts)])


def _mean(embeddings: FloatArray) -> FloatArray:
    return statistics(embeddings).centroid
