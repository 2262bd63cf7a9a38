"""A person's references and statistics, reusable for any video, and who somebody is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from refrestore.errors import ProfileError
from refrestore.faces.network_id import NetworkId
from refrestore.types import EMBEDDING_SIZE, FloatArray, Reference

from .choice import choose, digest, distinct, refresh
from .cosines import FEW, Cosines, cosines

MATCH_THRESHOLD = 0.40
"""Least cosine similarity of a face to the centroid of the person it is taken for, where a profile
has not been calibrated (`profile_calibration`)."""

MATCH_MARGIN = 0.10
"""Least lead over the second nearest profile: it takes away a quarter of the wrong matches that the
lite pack's recogniser makes, a seventh of EdgeFace's (`benchmarks/profile_matching.py`)."""

TRACK_MARGIN = 0.05
"""The same for the mean of a person's tracks, which errs less (docs/decisions/027)."""

CONTRADICTING = 0.75
"""Share of `Cosines.track` below which clear tracks contradict whoever says that they are a
person's: of tapes' right people 3 in 100 are below it with lite, of strangers 98."""

LEAST_WITHIN = 0.1
"""Mean similarity of a person's faces assumed at least: people have 0.3 or more, and without a
floor faces that have nothing in common would be like anybody."""

MOST_REMEMBERED = 4096
"""Close-ups that a profile remembers beside its references; beyond that it has seen enough."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What the references of a person have in common.

    Parameters
    ----------
    centroid : (512,) float32
        Unit mean embedding.
    spread
        Standard deviation of the references' cosine similarities to it.
    count
        Number of close-ups it was learnt from, remembered ones included.
    """

    centroid: FloatArray
    spread: float
    count: int


@dataclass(frozen=True, eq=False)
class Memory:
    """Close-ups a profile learnt from whose pictures it did not keep.

    Parameters
    ----------
    digests
        What their pictures are known by, so that the same film is learnt from once.
    total : (512,) float32
        Sum of their unit embeddings.
    """

    digests: tuple[str, ...] = ()
    total: FloatArray = field(default_factory=lambda: np.zeros(EMBEDDING_SIZE, np.float32))

    def with_references(self, references: Iterable[Reference]) -> Memory:
        """Return the memory with more close-ups; those it has are not counted again."""
        known = set(self.digests)
        more = {name: one for name, one in distinct(references).items() if name not in known}
        names = tuple(more)[: MOST_REMEMBERED - len(self.digests)]
        total = np.sum([self.total, *(more[name].embedding for name in names)], axis=0)
        return Memory(self.digests + names, total.astype(np.float32))

    def with_memory(self, other: Memory, references: Iterable[Reference] = ()) -> Memory:
        """Return both; the smaller one is left out where they, or references, share a close-up.

        A sum cannot be taken apart, and counting a film twice would move the person towards it.
        """
        known = {*self.digests, *map(digest, references)}
        small, large = sorted((self, other), key=lambda one: len(one.digests))
        if known & set(other.digests):
            return self if set(map(digest, references)) & set(large.digests) else large
        if len(self.digests) + len(other.digests) > MOST_REMEMBERED:
            return large
        return Memory(large.digests + small.digests, large.total + small.total)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a threshold means (`profile_calibration`).

    Parameters
    ----------
    misses
        Share of the person's other faces that would not be recognised, 0..1.
    strangers
        Share of other people's faces that would be taken for the person, 0..1.
    profiles
        Number of other people's profiles that it was calibrated with.
    """

    misses: float
    strangers: float
    profiles: int


class Match(NamedTuple):
    """Who a face is.

    Parameters
    ----------
    name
        Name of the profile, None for somebody unknown.
    similarity
        Cosine similarity to the nearest profile.
    margin
        How far that is ahead of the second nearest; `similarity` itself where there is one only.
    nearest
        Name of the nearest profile, even if it is not near enough; None without profiles.
    least
        Similarity that was asked of it.
    """

    name: str | None
    similarity: float
    margin: float
    nearest: str | None
    least: float = 1.0


@dataclass(frozen=True, eq=False)
class Profile:
    """One person.

    Parameters
    ----------
    name
        As the user calls them; also the folder's name.
    references
        At least one.
    recogniser
        Name of the network the embeddings are from, "" if unknown. Embeddings of two networks
        cannot be compared.
    threshold
        Least similarity of a face that is taken for this person.
    calibration
        What the threshold means, None where it is the default.
    memory
        What it learnt from besides.
    recogniser_digest
        First 16 hexadecimal digits of the SHA-256 of the network's file, "" if unknown.
    adapter
        A file of the person's change to the fusion network (`restore.adapter`), if it was tuned.
    """

    name: str
    references: tuple[Reference, ...]
    recogniser: str = ""
    threshold: float = MATCH_THRESHOLD
    calibration: Calibration | None = None
    memory: Memory = field(default_factory=Memory)
    recogniser_digest: str = ""
    adapter: bytes | None = None
    statistics: Statistics = field(init=False)

    def __post_init__(self) -> None:
        if not self.references:
            raise ProfileError(f"The profile {self.name!r} would have no reference.")
        object.__setattr__(self, "references", tuple(self.references))
        found = statistics(self.embeddings, self.memory)
        object.__setattr__(self, "statistics", found)

    def __repr__(self) -> str:
        return (
            f"Profile({self.name!r}, {len(self.references)} references, "
            f"spread {self.spread:.3f}, recogniser {self.recogniser!r})"
        )

    @property
    def embeddings(self) -> FloatArray:
        """Embeddings of the references, (N, 512)."""
        return np.stack([one.embedding for one in self.references])

    @property
    def network(self) -> NetworkId:
        """The network the embeddings are from."""
        return NetworkId(self.recogniser, self.recogniser_digest)

    @property
    def cosines(self) -> Cosines:
        """What cosines of its recogniser are like."""
        return cosines(self.recogniser)

    @property
    def track_threshold(self) -> float:
        """Least similarity of the mean of somebody's tracks that is taken for this person."""
        return min(self.threshold, self.cosines.track)

    @property
    def centroid(self) -> FloatArray:
        """Unit mean embedding, (512,)."""
        return self.statistics.centroid

    @property
    def spread(self) -> float:
        """Standard deviation of the references' similarities to the centroid."""
        return self.statistics.spread

    def similarity(self, face: Reference | FloatArray) -> float:
        """Return the cosine similarity of a face (its unit embedding) to this person."""
        embedding = face.embedding if isinstance(face, Reference) else face
        return float(np.dot(self.centroid, embedding))

    def belongs(self, face: Reference | FloatArray) -> bool:
        """Say whether a clear face can be this person; False means it is somebody else.

        Less strict than matching: here somebody vouches for the face, and it is refused only if
        it contradicts.
        """
        return self.similarity(face) >= self.cosines.belongs

    def may_be(self, tracks: FloatArray) -> bool:
        """Say whether the mean of somebody's clear tracks, (512,), can be this person."""
        return self.similarity(tracks) >= CONTRADICTING * self.cosines.track

    @classmethod
    def chosen(
        cls, name: str, references: Sequence[Reference], network: NetworkId | None = None
    ) -> Profile:
        """Return the profile of a person: the best of the references, all others remembered."""
        found = list(distinct(references).values())
        kept = choose(found)
        left = [one for one in found if not any(one is other for other in kept)]
        seen_by = network or NetworkId()
        return cls(
            name,
            tuple(kept),
            seen_by.name,
            memory=Memory().with_references(left),
            recogniser_digest=seen_by.digest,
        )

    def extended(self, references: Iterable[Reference]) -> Profile:
        """Return the profile with more references, the best of all kept and all remembered.

        Raises
        ------
        ProfileError
            When one of them is somebody else.
        """
        known = {*map(digest, self.references), *self.memory.digests}
        added = [one for name, one in distinct(references).items() if name not in known]
        for one in added:
            if not self.belongs(one):
                raise ProfileError(
                    f"{one.source} is not {self.name}: its similarity is "
                    f"{self.similarity(one):.2f}, and {self.cosines.belongs:.2f} is the least that "
                    "the same person shows; leave it out."
                )
        if not added:
            return self
        kept = refresh(self.references, added)
        every = (*self.references, *added)
        left = [one for one in every if not any(one is other for other in kept)]
        return replace(self, references=tuple(kept), memory=self.memory.with_references(left))


def statistics(embeddings: FloatArray, memory: Memory | None = None) -> Statistics:
    """Return centroid, spread and count of (N, 512) unit embeddings and those remembered."""
    count, total = len(embeddings), embeddings.astype(np.float64).sum(axis=0)
    if memory is not None:
        count, total = count + len(memory.digests), total + memory.total
    length = float(np.linalg.norm(total))
    if embeddings.shape[1:] != (EMBEDDING_SIZE,) or not np.isfinite(length) or length == 0:
        raise ProfileError("The embeddings of a profile must be finite and must not cancel out.")
    centroid = (total / length).astype(np.float32)
    return Statistics(centroid, float(np.std(embeddings @ centroid)), count)


def likeness(one: FloatArray, other: FloatArray) -> float:
    """Return how much alike two people are, each shown by several faces.

    The mean similarity between the sets over that within them (its geometric mean): what is left
    when the noise of single faces is taken out, as the classical correction for attenuation does
    (Spearman, 1904). About 1 for two albums of one person, however much the person's photos vary;
    means alone cannot tell a person of many looks from a look-alike.

    Parameters
    ----------
    one, other : (N, 512), (M, 512)
        Unit embeddings, at least two each.
    """
    between = float(np.mean(one @ other.T))
    return between / float(np.sqrt(_within(one) * _within(other)))


def same_people(one: FloatArray, other: FloatArray, levels: Cosines) -> tuple[bool, str]:
    """Say whether two sets of faces are one person's, and why, in brackets for a message.

    Parameters
    ----------
    one, other : (N, 512), (M, 512)
        Unit embeddings.
    levels
        What the recogniser's cosines are like.
    """
    if min(len(one), len(other)) >= FEW:
        value, least, what = likeness(one, other), levels.people, "likeness"
    else:
        value = float(statistics(one).centroid @ statistics(other).centroid)
        least, what = levels.belongs, "similarity"
    return value >= least, f"({what} {value:.2f}, {least:.2f} is the least of one person)"


def _within(embeddings: FloatArray) -> float:
    count = len(embeddings)
    total = float(np.square(embeddings.astype(np.float64).sum(axis=0)).sum())
    return max((total - count) / (count * (count - 1)), LEAST_WITHIN)


def match(
    embedding: FloatArray,
    profiles: Sequence[Profile],
    *,
    threshold: float | None = None,
    margin: float | None = None,
    tracks: bool = False,
    recogniser: str = "",
    digest: str = "",
) -> Match:
    """Say which profile a face is, if any: an open-set decision.

    Parameters
    ----------
    embedding : (512,) float32
        Unit.
    profiles
        Who it can be.
    threshold
        Least similarity; each profile's own by default.
    margin
        How far the best must be ahead of the second best; two profiles that are equally near say
        that neither is trusted. `MATCH_MARGIN` by default, of tracks `TRACK_MARGIN`.
    tracks
        Whether the embedding is the mean of somebody's tracks, not of one picture.
    recogniser, digest
        Network the embedding is from, if known (`NetworkId`).

    Raises
    ------
    ProfileError
        When a profile was made with another network.
    """
    for profile in profiles:
        check_network(profile, NetworkId(recogniser, digest))
    ranked = sorted(((one.similarity(embedding), one) for one in profiles), key=lambda p: -p[0])
    if not ranked:
        return Match(None, 0.0, 0.0, None)
    best, profile = ranked[0]
    ahead = best - ranked[1][0] if len(ranked) > 1 else best
    least = profile.track_threshold if tracks else profile.threshold
    least = least if threshold is None else threshold
    lead = margin if margin is not None else TRACK_MARGIN if tracks else MATCH_MARGIN
    sure = best >= least and ahead >= lead
    return Match(profile.name if sure else None, best, ahead, profile.name, least)


def check_network(profile: Profile, network: NetworkId) -> None:
    """Refuse to compare embeddings of two networks.

    Raises
    ------
    ProfileError
        When both are known and differ; says what can be done.
    """
    own = profile.network
    if not own.contradicts(network):
        return
    if own.name and network.name and own.name != network.name:
        raise ProfileError(
            f"The profile {profile.name} was made with {own.name} and cannot be compared with "
            f"faces seen by {network.name}: use the same --pack, or build it again."
        )
    raise ProfileError(
        f"The profile {profile.name} was made with {own} and cannot be compared with faces seen by "
        f"{network}, which is another network of that name: bring the profile up to date with "
        f"`refrestore profile update {profile.name}`, and scan projects of the old one again."
    )
