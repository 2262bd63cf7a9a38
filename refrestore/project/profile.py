"""A person's references and statistics, reusable for any video, and who somebody is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from refrestore.errors import ProfileError
from refrestore.types import EMBEDDING_SIZE, FloatArray, Reference

MATCH_THRESHOLD = 0.40
"""Least cosine similarity of a face to the centroid of the person it is taken for. With
EdgeFace-XS, photos of 28 people and profiles of 6 photos, 97.4 % of a person's other photos pass
threshold and margin and 0.8 % of strangers' do; at 0.35 3 % of strangers would
(`python benchmarks/profile_matching.py`). ArcFace-R50 separates better at the same value
(insightface's PrivateFrame uses 0.4 with it)."""

MATCH_MARGIN = 0.10
"""Least lead over the second nearest profile: it takes away a fifth of the wrong matches and 0.2 %
of the right ones (same measurement)."""

BELONG_THRESHOLD = 0.35
"""Least similarity of a face that somebody says is this person: 98.5 % of the person's own photos
pass, and 0.2 % of anybody else's (same measurement). A photo refused wrongly costs one reference;
one accepted wrongly puts another face into every restored frame."""

MAX_REFERENCES = 24
"""References kept in a profile, as many as a scan keeps of a person (ScanSettings)."""

POSE_UNIT = 15.0
"""Degrees of yaw or pitch from which on a reference shows a new side of a face."""

POSE_FLOOR = 0.1
"""What a reference in a pose already shown is worth, by its quality; a new pose adds up to 1."""


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
        Number of references.
    """

    centroid: FloatArray
    spread: float
    count: int


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
    """

    name: str | None
    similarity: float
    margin: float
    nearest: str | None


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
    """

    name: str
    references: tuple[Reference, ...]
    recogniser: str = ""
    threshold: float = MATCH_THRESHOLD
    statistics: Statistics = field(init=False)

    def __post_init__(self) -> None:
        if not self.references:
            raise ProfileError(f"The profile {self.name!r} would have no reference.")
        object.__setattr__(self, "references", tuple(self.references))
        embeddings = np.stack([one.embedding for one in self.references])
        object.__setattr__(self, "statistics", statistics(embeddings))

    def __repr__(self) -> str:
        return (
            f"Profile({self.name!r}, {len(self.references)} references, "
            f"spread {self.spread:.3f}, recogniser {self.recogniser!r})"
        )

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
        return self.similarity(face) >= BELONG_THRESHOLD

    def extended(self, references: Iterable[Reference]) -> Profile:
        """Return the profile with more references, the best of all kept.

        Raises
        ------
        ProfileError
            When one of them is somebody else.
        """
        added = list(references)
        for one in added:
            if not self.belongs(one):
                raise ProfileError(
                    f"{one.source} is not {self.name}: its similarity is "
                    f"{self.similarity(one):.2f}, and {BELONG_THRESHOLD:.2f} is the least that the "
                    "same person shows; leave it out."
                )
        return replace(self, references=tuple(choose([*self.references, *added])))


def statistics(embeddings: FloatArray) -> Statistics:
    """Return centroid, spread and count of (N, 512) unit embeddings."""
    total = embeddings.astype(np.float64).sum(axis=0)
    length = float(np.linalg.norm(total))
    if embeddings.shape[1:] != (EMBEDDING_SIZE,) or not np.isfinite(length) or length == 0:
        raise ProfileError("The embeddings of a profile must be finite and must not cancel out.")
    centroid = (total / length).astype(np.float32)
    return Statistics(centroid, float(np.std(embeddings @ centroid)), len(embeddings))


def match(
    embedding: FloatArray,
    profiles: Sequence[Profile],
    *,
    threshold: float | None = None,
    margin: float = MATCH_MARGIN,
    recogniser: str = "",
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
        that neither is trusted.
    recogniser
        Network the embedding is from, if known.

    Raises
    ------
    ProfileError
        When a profile was made with another network.
    """
    for profile in profiles:
        check_recogniser(profile, recogniser)
    ranked = sorted(((one.similarity(embedding), one) for one in profiles), key=lambda p: -p[0])
    if not ranked:
        return Match(None, 0.0, 0.0, None)
    best, profile = ranked[0]
    ahead = best - ranked[1][0] if len(ranked) > 1 else best
    sure = best >= (profile.threshold if threshold is None else threshold) and ahead >= margin
    return Match(profile.name if sure else None, best, ahead, profile.name)


def check_recogniser(profile: Profile, recogniser: str) -> None:
    """Refuse to compare embeddings of two networks.

    Raises
    ------
    ProfileError
        When both are known and differ.
    """
    if recogniser and profile.recogniser and recogniser != profile.recogniser:
        raise ProfileError(
            f"The profile {profile.name} was made with {profile.recogniser} and cannot be compared "
            f"with faces seen by {recogniser}: use the same --pack, or build it again."
        )


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
    left: dict[bytes, Reference] = {}
    for one in sorted(references, key=lambda one: -one.quality):
        left.setdefault(hashlib.sha256(one.image.tobytes()).digest(), one)
    candidates = list(left.values())
    if len(candidates) <= limit:
        return candidates
    poses = np.stack([one.pose for one in candidates])[:, :2] / POSE_UNIT
    quality = np.array([one.quality for one in candidates])
    chosen = [0]
    distance = np.linalg.norm(poses - poses[0], axis=1)
    while len(chosen) < limit:
        worth = quality * (POSE_FLOOR + np.minimum(distance, 1))
        worth[chosen] = -1
        chosen.append(int(np.argmax(worth)))
        distance = np.minimum(distance, np.linalg.norm(poses - poses[chosen[-1]], axis=1))
    return [candidates[number] for number in chosen]
