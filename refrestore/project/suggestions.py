"""What a reviewer should look at first: who may be one person, and which track is not theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refrestore.types import EMBEDDING_SIZE, DoubleArray, Track

from .presence import meeting
from .project import Project

LEAST_SIMILARITY = 0.3
"""Cosine of two identities from which they may be one person. Below the scan's own threshold
(0.4): what lies between is for a person to decide. Strangers' clear faces stay below 0.26
(`benchmarks/profile_matching.py`)."""

FAR = 0.4
"""Cosine of a track to the rest of its identity below which it is doubted: the scan's threshold,
under which it would not have joined by itself."""

LEAD = 0.05
"""How much nearer another identity must be, as for a weak track that joins one."""

WEIGHT_FLOOR = 0.05
"""Least weight of a track in a mean, as in the clustering."""

BLOCK = 1024
"""Identities compared at once with all others: 40 MB for 10,000 people."""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class LikelyMerge:
    """Two identities that may be one person.

    Parameters
    ----------
    identities
        Their ids; the one with more tracks' trust first.
    similarity
        Cosine of their mean embeddings.
    """

    identities: Pair
    similarity: float


@dataclass(frozen=True, slots=True)
class LikelyImpurity:
    """A track that may be somebody else's.

    Parameters
    ----------
    track, identity
        The track, and who has it.
    similarity
        Cosine to the mean of the identity's other tracks.
    nearest
        The other identity it is nearest to.
    nearest_similarity
        Cosine to the mean of that one's tracks; clearly larger than `similarity`.
    """

    track: int
    identity: int
    similarity: float
    nearest: int
    nearest_similarity: float


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What to look at, the most likely first."""

    merges: tuple[LikelyMerge, ...]
    impurities: tuple[LikelyImpurity, ...]


def suggest(
    project: Project, *, least: float = LEAST_SIMILARITY, limit: int | None = None
) -> Suggestions:
    """Return what is worth a look in a project.

    Left out is what cannot be (people on screen together), what the user has answered (people
    told apart, tracks put or kept where they are), what is linked to two profiles, and what was
    said to be no face.

    Parameters
    ----------
    project
        A scanned project.
    least
        Similarity from which two identities are named.
    limit
        Suggestions of each kind at most.
    """
    with project.database.transaction():
        faces = [one for one in project.identities() if one.state != "not_a_face"]
        people = {one.id: one.tracks for one in faces}
        profile = {one.id: one.profile for one in faces}
        tracks = {track.id: track for track in project.tracks()}
        answered, settled = project.distinct(), project.settled_tracks()
        scan = project.scan_id()

        def possible(tracks: Sequence[int], others: Sequence[int]) -> bool:
            return meeting(project.database, scan, tracks, others) is None

        merges = [
            one
            for one in likely_merges(people, tracks, apart=answered, least=least)
            if not _differ(*(profile[i] for i in one.identities))
            and possible(*(people[i] for i in one.identities))
        ]
        impurities = [
            one
            for one in likely_impurities(people, tracks, settled=settled)
            if possible([one.track], people[one.nearest])
        ]
    return Suggestions(tuple(merges[:limit]), tuple(impurities[:limit]))


def likely_merges(
    people: Mapping[int, Sequence[int]],
    tracks: Mapping[int, Track],
    *,
    apart: Collection[Pair] = (),
    least: float = LEAST_SIMILARITY,
) -> list[LikelyMerge]:
    """Return pairs of identities by the similarity of their mean embeddings, highest first.

    Parameters
    ----------
    people
        Track ids by identity id.
    tracks
        Tracks by id. Identities none of whose tracks has an embedding are never named.
    apart
        Pairs (smaller id first) that are two people.
    least
        Similarity from which a pair is returned.
    """
    ids, totals = _totals(people, tracks)
    centres = _unit(totals)
    # The identity that can be trusted most comes first: a merge keeps the first one's id.
    trust = np.linalg.norm(totals, axis=1).round(3)
    found = []
    for row, other, similarity in _above(centres, least):
        pair = (min(ids[row], ids[other]), max(ids[row], ids[other]))
        if pair not in apart:
            first, second = sorted((row, other), key=lambda r: (-trust[r], ids[r]))
            found.append(LikelyMerge((ids[first], ids[second]), similarity))
    return sorted(found, key=lambda one: (-one.similarity, one.identities))


def likely_impurities(
    people: Mapping[int, Sequence[int]],
    tracks: Mapping[int, Track],
    *,
    settled: Collection[int] = (),
    far: float = FAR,
) -> list[LikelyImpurity]:
    """Return tracks that are far from the rest of their identity and nearer to another.

    Each is compared with the trust-weighted mean of the *other* tracks of its identity, so that
    it does not vouch for itself.

    Parameters
    ----------
    people, tracks
        As in `likely_merges`.
    settled
        Tracks that are not to be doubted.
    far
        Similarity to the rest below which a track is doubted.

    Returns
    -------
    list
        Those with the largest lead of the other identity first.
    """
    ids, totals = _totals(people, tracks)
    centres = _unit(totals)
    found = []
    for row, identity in enumerate(ids):
        clear = [tracks[t] for t in people[identity] if tracks[t].embedding is not None]
        if len(clear) < 2 or len(ids) < 2:
            continue
        own = np.stack([_weighted(track) for track in clear])
        embeddings = _unit(own)
        similarity = np.sum(embeddings * _unit(totals[row] - own), axis=1)
        elsewhere = embeddings @ centres.T
        elsewhere[:, row] = -1
        nearest = np.argmax(elsewhere, axis=1)
        for place, track in enumerate(clear):
            here, there = float(similarity[place]), float(elsewhere[place, nearest[place]])
            if here < min(far, there - LEAD) and track.id not in settled:
                found.append(LikelyImpurity(track.id, identity, here, ids[nearest[place]], there))
    return sorted(found, key=lambda one: (one.similarity - one.nearest_similarity, one.track))


def _totals(
    people: Mapping[int, Sequence[int]], tracks: Mapping[int, Track]
) -> tuple[list[int], DoubleArray]:
    """Return the identities with an embedding, and (N, 512) weighted sums of their tracks'."""
    ids, totals = [], []
    for identity, own in sorted(people.items()):
        clear = [_weighted(tracks[t]) for t in own if tracks[t].embedding is not None]
        if clear:
            ids.append(identity)
            totals.append(np.sum(clear, axis=0))
    return ids, np.array(totals).reshape(-1, EMBEDDING_SIZE)


def _weighted(track: Track) -> DoubleArray:
    assert track.embedding is not None
    return max(track.embedding_weight, WEIGHT_FLOOR) * track.embedding.astype(np.float64)


def _unit(vectors: DoubleArray) -> DoubleArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: DoubleArray = vectors / np.maximum(length, 1e-9)
    return unit


def _above(centres: DoubleArray, least: float) -> Iterator[tuple[int, int, float]]:
    """Yield pairs of rows whose cosine is at least `least`, each pair once."""
    for start in range(0, len(centres), BLOCK):
        similarity = centres[start : start + BLOCK] @ centres.T
        for row, other in zip(*np.nonzero(similarity >= least), strict=True):
            if start + row < other:
                yield int(start + row), int(other), float(similarity[row, other])


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other
