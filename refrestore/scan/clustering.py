"""Identities: graph clustering of track embeddings under what is known for certain."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from refrestore.scan.tracks import trust_of
from refrestore.types import DoubleArray, FloatArray, Track

NEIGHBOURS = 32
"""Neighbours a track: an identity is found if each of its parts has another among them."""

_MARGIN = 0.05
"""A weak track joins the most similar identity only if it is this much clearer than the next."""

_WEIGHT_FLOOR = 0.05

BLURRED = 0.1
"""How much more alike two people who are only seen blurred must be to be one: blur makes strangers
alike."""

PROVISIONAL_FRAMES = 12
PROVISIONAL_AGREEMENT = 0.5
"""Frames a weak track that joins nobody must last, and how far its embeddings must agree with their
mean, to be a person who is only seen blurred. Sharpness says nothing of whether it is a face; what
is none does not look alike for long."""

PROVISIONAL_SIZE = 24.0
"""Median face size of such a track in display pixels: smaller ones are the crowd."""

_RELIEF = 0.08
"""How much lower than for two single tracks the threshold is for two large groups, whose average
similarity is less uncertain. Photos of 18 people, B-cubed F (precision) without and with it:
EdgeFace 0.967 (1.000) and 0.972 (1.000), at 24-48 px 0.621 (0.999) and 0.712 (0.999); the lite
recogniser 0.732 (0.997) and 0.808 (0.997), and at 0.12 a precision of 0.946
(`python benchmarks/identity_stills.py`)."""

Pair = tuple[int, int]


TOGETHER = 3
"""Frames that two tracks must share to be two people."""


@dataclass(frozen=True)
class Constraints:
    """What is certain about tracks, by their ids.

    Parameters
    ----------
    cannot
        Pairs that are two people, because both are in one picture.
    must
        Pairs that are one person, because the user or a profile says so. Where both hold, two
        people in one picture wins.
    """

    cannot: frozenset[Pair] = frozenset()
    must: tuple[Pair, ...] = ()


@dataclass
class _Growing:
    """A growing identity; `total` is the weighted sum of its unit embeddings."""

    members: list[int]
    total: DoubleArray
    weight: float
    enemies: set[int] = field(default_factory=set)
    neighbours: set[int] = field(default_factory=set)


def cooccurring(tracks: Iterable[Track]) -> frozenset[Pair]:
    """Return the pairs of tracks (smaller id first) that are on screen together.

    For a frame or two tracks of one face may overlap, where one was followed back to its start
    (over a cut that was not seen, say): that is no proof of two people.
    """
    pairs = set()
    open_tracks: list[Track] = []
    for track in sorted(tracks, key=lambda track: (track.first, track.id)):
        open_tracks = [other for other in open_tracks if other.stop > track.first]
        pairs |= {
            (min(track.id, other.id), max(track.id, other.id))
            for other in open_tracks
            if min(track.stop, other.stop) - track.first >= TOGETHER
        }
        open_tracks.append(track)
    return frozenset(pairs)


def cluster_tracks(
    tracks: Sequence[Track],
    constraints: Constraints,
    *,
    threshold: float,
    neighbours: int = NEIGHBOURS,
) -> list[tuple[int, ...]]:
    """Group tracks into identities.

    Agglomerative: the two groups whose average similarity is farthest above what groups of their
    sizes need join, over and over, until none is. The average is weighted by how far each embedding
    can be trusted; it is the dot product of two weighted sums, so no matrix of pairs is kept, and
    only groups that are neighbours in the kNN graph (faiss, exact) are compared. Average linkage,
    because single linkage chains strangers together through one blurred face. Weak tracks do not
    take part; each joins the identity it is clearly nearest to afterwards. Those that are left and
    that a person would call a face found provisional identities, by the same rule among themselves.

    Parameters
    ----------
    tracks
        Tracks; those without an embedding are left out.
    constraints
        Pairs that must not, and must, be together.
    threshold
        Cosine similarity from which two tracks are one person; large groups need an average up to
        0.08 lower. Published: facefusion
        and insightface's PrivateFrame 0.40, its album 0.48, Immich 0.3 to 0.7.
    neighbours
        Edges a track in the kNN graph.

    Returns
    -------
    list of track ids
        One tuple an identity, ids ascending; identities with more frames first. A track that is
        in none belongs to nobody who can be named.
    """
    by_id = {track.id: track for track in tracks if track.embedding is not None}
    strong = [track for track in by_id.values() if not track.weak]
    clusters = _founded(strong, constraints, neighbours)
    _merge(clusters, threshold)
    weak = [track for track in by_id.values() if track.weak]
    _adopt(clusters, weak, constraints, threshold)
    joined = {member for cluster in clusters.values() for member in cluster.members}
    left = [track for track in weak if track.id not in joined and _is_somebody(track)]
    provisional = _founded(left, constraints, neighbours)
    _merge(provisional, threshold + BLURRED)
    clusters.update(enumerate(provisional.values(), start=len(strong)))
    groups = [tuple(sorted(cluster.members)) for cluster in clusters.values()]
    return sorted(groups, key=lambda ids: (-sum(_length(by_id[id_]) for id_ in ids), ids))


def _length(track: Track) -> int:
    return track.stop - track.first


def _is_somebody(track: Track) -> bool:
    """Say whether a weak track is a face that a person would call one."""
    agreement = track.embedding_weight / trust_of(track.quality)
    return (
        _length(track) >= PROVISIONAL_FRAMES
        and track.size >= PROVISIONAL_SIZE
        and agreement >= PROVISIONAL_AGREEMENT
    )


def _embedding(track: Track) -> FloatArray:
    assert track.embedding is not None
    return track.embedding


def _founded(
    strong: Sequence[Track], constraints: Constraints, neighbours: int
) -> dict[int, _Growing]:
    """Return one cluster a track (must-linked ones joined) with enemies and kNN neighbours."""
    clusters: dict[int, _Growing] = {}
    for row, track in enumerate(strong):
        weight = max(track.embedding_weight, _WEIGHT_FLOOR)
        clusters[row] = _Growing([track.id], weight * _embedding(track).astype(np.float64), weight)
    rows = {track.id: row for row, track in enumerate(strong)}
    for first, second in constraints.cannot:
        if first in rows and second in rows:
            clusters[rows[first]].enemies.add(rows[second])
            clusters[rows[second]].enemies.add(rows[first])
    if len(strong) > 1:
        for row, near in enumerate(_nearest(np.stack([*map(_embedding, strong)]), neighbours)):
            for other in near:
                clusters[row].neighbours.add(other)
                clusters[other].neighbours.add(row)
    home = dict(rows)
    for first, second in constraints.must:
        if first not in home or second not in home:
            continue
        keep, gone = sorted((home[first], home[second]))
        if keep != gone and gone not in clusters[keep].enemies:
            _join(clusters, keep, gone)
            home = {id_: keep if row == gone else row for id_, row in home.items()}
    return clusters


def _nearest(embeddings: FloatArray, neighbours: int) -> list[list[int]]:
    """Return the rows nearest to each row by cosine, without itself."""
    import faiss

    index = faiss.IndexFlatIP(embeddings.shape[1])
    matrix = np.ascontiguousarray(embeddings, np.float32)
    index.add(matrix)
    _, rows = index.search(matrix, min(neighbours + 1, len(matrix)))
    return [
        [int(near) for near in found if near not in (-1, row)] for row, found in enumerate(rows)
    ]


def _merge(clusters: dict[int, _Growing], threshold: float) -> None:
    """Join the most similar neighbours until none is similar enough."""
    queue: list[tuple[float, int, int, int, int]] = []
    version = dict.fromkeys(clusters, 0)

    def offer(row: int, other: int) -> None:
        if row == other or other in clusters[row].enemies:
            return
        first, second = clusters[row], clusters[other]
        similarity = float(first.total @ second.total) / (first.weight * second.weight)
        above = similarity - _needed(threshold, len(first.members), len(second.members))
        if above >= 0:
            low, high = sorted((row, other))
            heapq.heappush(queue, (-above, low, high, version[low], version[high]))

    for row, cluster in clusters.items():
        for other in cluster.neighbours:
            if row < other:
                offer(row, other)
    while queue:
        _, low, high, low_version, high_version = heapq.heappop(queue)
        if version.get(low) != low_version or version.get(high) != high_version:
            continue
        _join(clusters, low, high)
        del version[high]
        version[low] += 1
        for other in sorted(clusters[low].neighbours):
            offer(low, other)


def _needed(threshold: float, first: int, second: int) -> float:
    """Return the average similarity that groups of so many tracks need to be one person.

    The deviation of an average of independent errors falls with the root of their number.
    """
    return threshold - _RELIEF * (1 - math.sqrt((1 / first + 1 / second) / 2))


def _join(clusters: dict[int, _Growing], keep: int, gone: int) -> None:
    kept, merged = clusters[keep], clusters.pop(gone)
    kept.members += merged.members
    kept.total = kept.total + merged.total
    kept.weight += merged.weight
    for role in ("enemies", "neighbours"):
        for other in getattr(merged, role) - {keep}:
            if other in clusters:
                getattr(clusters[other], role).discard(gone)
                getattr(clusters[other], role).add(keep)
        together = (getattr(kept, role) | getattr(merged, role)) - {keep, gone}
        setattr(kept, role, together)


def _adopt(
    clusters: dict[int, _Growing],
    weak: Sequence[Track],
    constraints: Constraints,
    threshold: float,
) -> None:
    """Let each weak track join the identity it is clearly most similar to."""
    if not clusters or not weak:
        return
    rows = list(clusters)
    centroids = np.stack([clusters[row].total for row in rows])
    centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-9)
    for track in sorted(weak, key=lambda track: (-track.embedding_weight, track.id)):
        similarity = centroids @ _embedding(track)
        order = np.argsort(-similarity, kind="stable")
        best = clusters[rows[int(order[0])]]
        clear = len(rows) == 1 or similarity[order[0]] - similarity[order[1]] >= _MARGIN
        enemy = any(
            (min(track.id, member), max(track.id, member)) in constraints.cannot
            for member in best.members
        )
        if similarity[order[0]] >= threshold and clear and not enemy:
            best.members.append(track.id)
