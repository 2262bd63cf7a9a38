"""What a reviewer should look at first: who may be one person, and which track is not theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refrestore.profiles.cosines import cosines
from refrestore.types import EMBEDDING_SIZE, DoubleArray, Track

from .apart import differ
from .presence import meeting
from .project import Project

LEAD = 0.05
"""How much nearer than its own identity another must be to a doubted track, as for a weak track
that joins one (`benchmarks/suggestions.py`)."""

WITHIN = 0.5
"""Cosine of two tracks of one person, about: 0.48 with the lite recogniser, 0.54 with EdgeFace. Any
value from 0.35 to 0.65 orders pairs alike."""

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
        Cosine that one track of each would have (see `likely_merges`).
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
        To the identity's other tracks, as in `LikelyMerge`.
    nearest
        The other identity it is nearest to.
    nearest_similarity
        To that one's tracks; clearly larger than `similarity`.
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
    project: Project, *, least: float | None = None, limit: int | None = None
) -> Suggestions:
    """Return what is worth a look in a project.

    Left out is what cannot be (people on screen together), what the user has answered (people
    told apart, tracks put or kept where they are), who is linked to two profiles or was said not
    to be the other's, and what was said to be no face.

    Parameters
    ----------
    project
        A scanned project.
    least
        Similarity from which two identities may be one person, and a track somebody's. By default
        what 99 % of strangers do not reach with the recogniser of the scan
        (`profile_cosines.Cosines.alike`).
    limit
        Suggestions of each kind at most.
    """
    with project.database.transaction():
        faces = [one for one in project.identities() if one.state != "not_a_face"]
        known = {one.id: one for one in faces}
        people = {one.id: one.tracks for one in faces}
        tracks = {track.id: track for track in project.tracks()}
        answered, settled = project.distinct(), project.settled_tracks()
        scan, info = project.scan_id(), project.scan_info()
        if least is None:
            least = cosines(info.recogniser if info is not None else "").alike

        def possible(tracks: Sequence[int], others: Sequence[int]) -> bool:
            return meeting(project.database, scan, tracks, others) is None

        merges = [
            one
            for one in likely_merges(people, tracks, apart=answered, least=least)
            if not differ(*(known[i] for i in one.identities))
            and possible(*(people[i] for i in one.identities))
        ]
        impurities = [
            one
            for one in likely_impurities(people, tracks, settled=settled, least=least)
            if possible([one.track], people[one.nearest])
        ]
    return Suggestions(tuple(merges[:limit]), tuple(impurities[:limit]))


def likely_merges(
    people: Mapping[int, Sequence[int]],
    tracks: Mapping[int, Track],
    *,
    least: float,
    apart: Collection[Pair] = (),
) -> list[LikelyMerge]:
    """Return pairs of identities by their similarity, highest first.

    Similarity is the cosine of their mean embeddings, taken back to what a track of each would have
    alone. Means of many tracks are more alike, strangers' too, so that one threshold for all
    would name large identities and miss small ones. If pairs of a person's tracks have the cosine
    r, their mean is sqrt(n / (1 + (n - 1) r)) times as alike to anybody as one of n tracks is
    (Spearman and Brown's formula).

    Parameters
    ----------
    people
        Track ids by identity id.
    tracks
        Tracks by id. Identities none of whose tracks has an embedding are never named.
    least
        Similarity from which a pair is returned.
    apart
        Pairs (smaller id first) that are two people.
    """
    ids, totals, counts = _totals(people, tracks)
    centres = _unit(totals) / _gain(counts)[:, None]
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
    least: float,
    settled: Collection[int] = (),
) -> list[LikelyImpurity]:
    """Return tracks that are clearly nearer to another identity than to the rest of their own.

    Each is compared with the *other* tracks of its identity, so that it does not vouch for itself,
    and with all of another; both as in `likely_merges`.

    Parameters
    ----------
    people, tracks
        As in `likely_merges`.
    least
        Similarity that a track must have to another identity. One that is like nobody is blurred
        or turned away rather than somebody else's.
    settled
        Tracks that are not to be doubted.

    Returns
    -------
    list
        Those with the largest lead of the other identity first.
    """
    ids, totals, counts = _totals(people, tracks)
    centres = _unit(totals) / _gain(counts)[:, None]
    found = []
    for row, identity in enumerate(ids):
        clear = [tracks[t] for t in people[identity] if tracks[t].embedding is not None]
        if len(clear) < 2 or len(ids) < 2:
            continue
        own = np.stack([_weighted(track) for track in clear])
        weights = np.array([_weight(track) for track in clear])
        rest = _count(weights.sum() - weights, np.sum(weights**2) - weights**2)
        embeddings = _unit(own)
        similarity = np.sum(embeddings * _unit(totals[row] - own), axis=1) / _gain(rest)
        elsewhere = embeddings @ centres.T
        elsewhere[:, row] = -1
        nearest = np.argmax(elsewhere, axis=1)
        for place, track in enumerate(clear):
            here, there = float(similarity[place]), float(elsewhere[place, nearest[place]])
            if there >= max(least, here + LEAD) and track.id not in settled:
                found.append(LikelyImpurity(track.id, identity, here, ids[nearest[place]], there))
    return sorted(found, key=lambda one: (one.similarity - one.nearest_similarity, one.track))


def _totals(
    people: Mapping[int, Sequence[int]], tracks: Mapping[int, Track]
) -> tuple[list[int], DoubleArray, DoubleArray]:
    """Return the N identities with an embedding, (N, 512) weighted sums and (N,) counts."""
    ids, totals, counts = [], [], []
    for identity, own in sorted(people.items()):
        clear = [tracks[t] for t in own if tracks[t].embedding is not None]
        if clear:
            weights = np.array([_weight(track) for track in clear])
            ids.append(identity)
            totals.append(np.sum([_weighted(track) for track in clear], axis=0))
            counts.append(_count(weights.sum(), np.sum(weights**2)))
    return ids, np.array(totals).reshape(-1, EMBEDDING_SIZE), np.array(counts)


def _weight(track: Track) -> float:
    return max(track.embedding_weight, WEIGHT_FLOOR)


def _weighted(track: Track) -> DoubleArray:
    assert track.embedding is not None
    return _weight(track) * track.embedding.astype(np.float64)


def _count(total: DoubleArray, squares: DoubleArray) -> DoubleArray:
    """Return how many equally trusted tracks those with these sums of weights are worth (Kish)."""
    return total**2 / np.maximum(squares, 1e-12)


def _gain(counts: DoubleArray) -> DoubleArray:
    """Return how much more alike than one track the mean of so many is (`likely_merges`)."""
    gain: DoubleArray = np.sqrt(counts / (1 + (counts - 1) * WITHIN))
    return gain


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
