"""What is kept of a track while it is followed: a bounded handful of its best faces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from refrestore.types import FloatArray, ImageArray

EMBEDDINGS = 12
"""Embeddings kept a track; its mean hardly moves beyond (insightface's PrivateFrame uses 5)."""

FEWEST_CANDIDATES = 4
MOST_CANDIDATES = 16
FACES_PER_CANDIDATE = 8
"""Crops kept a track for references: one more for every so many usable faces seen (some seconds),
so that a long shot of one person gives many and a film of short ones does not fill the disk."""

_CLEARLY = 1.1
"""Factor of quality from which a thumbnail is taken anew."""

_YAW_UNIT, _PITCH_UNIT = 15.0, 12.0
_MOUTH_UNIT, _EYES_UNIT, _LIGHT_UNIT = 0.15, 0.12, 0.12
"""Differences that make two faces of one person as useful as two references (one unit apart)."""


@dataclass(frozen=True, eq=False)
class Sample:
    """An embedding of a track.

    Parameters
    ----------
    frame
        Frame index.
    quality
        0..1.
    embedding
        (512,) unit.
    """

    frame: int
    quality: float
    embedding: FloatArray


class Closeup(NamedTuple):
    """The heavy part of a candidate.

    Parameters
    ----------
    image : (512, 512, 3) uint8
        FFHQ-aligned RGB crop of the display picture.
    landmarks : (468, 2)
        In pixels of the crop.
    """

    image: ImageArray
    landmarks: FloatArray


@dataclass(frozen=True, eq=False)
class Candidate:
    """A face that may become a reference.

    Parameters
    ----------
    frame
        Frame index.
    closeup
        Its crop, while that is in memory.
    embedding : (512,)
        Unit.
    pose : (3,)
        Degrees.
    traits : (5,)
        See `traits`.
    sharpness, quality, native_size
        As in `Reference`.
    """

    frame: int
    closeup: Closeup | None
    embedding: FloatArray
    pose: FloatArray
    traits: FloatArray
    sharpness: float
    quality: float
    native_size: float


def traits(pose: FloatArray, mouth: float, eyes: float, light: float) -> FloatArray:
    """Return (5,): what tells two looks of one person apart, in units of a useful difference."""
    return np.array(
        [
            pose[0] / _YAW_UNIT,
            pose[1] / _PITCH_UNIT,
            mouth / _MOUTH_UNIT,
            eyes / _EYES_UNIT,
            light / _LIGHT_UNIT,
        ],
        np.float32,
    )


def novelty(looks: FloatArray, chosen: FloatArray) -> FloatArray:
    """Return 0..1 (N,): how far each look (N, 5) is from the nearest chosen (M, 5) one."""
    if not len(chosen):
        return np.ones(len(looks), np.float32)
    squared = np.square(looks[:, None] - chosen[None]).sum(-1).min(1)
    unlike: FloatArray = (1 - np.exp(-squared / 2)).astype(np.float32)
    return unlike


class Thumbnail(NamedTuple):
    """What shows a track to people.

    Parameters
    ----------
    image : (S, S, 3) uint8
        FFHQ-aligned RGB crop.
    frame, quality
        Of the face it shows.
    """

    image: ImageArray
    frame: int
    quality: float


@dataclass
class Best:
    """The best embeddings and the most telling close-ups of a track, both bounded.

    `usable` counts the faces that were good enough for a close-up.
    """

    samples: list[Sample] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    usable: int = 0
    thumbnail: Thumbnail | None = None

    def wants_thumbnail(self, quality: float) -> bool:
        """Whether a face of this quality is clearly better to show than the one there is."""
        return self.thumbnail is None or quality > _CLEARLY * self.thumbnail.quality

    def wants_sample(self, quality: float) -> bool:
        """Whether an embedding of this quality would be kept."""
        return len(self.samples) < EMBEDDINGS or quality > min(s.quality for s in self.samples)

    def add_sample(self, sample: Sample) -> None:
        """Keep a sample, dropping the worst if there are too many."""
        self.samples.append(sample)
        if len(self.samples) > EMBEDDINGS:
            self.samples.remove(min(self.samples, key=lambda kept: kept.quality))

    def wants_candidate(self, quality: float, look: FloatArray) -> bool:
        """Count a usable close-up and say whether one of this quality and look would be kept."""
        self.usable += 1
        if len(self.candidates) < self._capacity:
            return True
        looks = np.stack([kept.traits for kept in self.candidates])
        return quality * float(novelty(look[None], looks)[0]) > min(self._worths())

    def add_candidate(self, candidate: Candidate) -> None:
        """Keep a close-up, dropping the one that is least missed if there are too many."""
        self.candidates.append(candidate)
        if len(self.candidates) > self._capacity:
            del self.candidates[int(np.argmin(self._worths()))]

    def divided(self, frame: int) -> tuple[Best, Best]:
        """Return what is from before a frame and what is from it on."""
        early, late = (
            Best(
                [sample for sample in self.samples if (sample.frame < frame) == before],
                [kept for kept in self.candidates if (kept.frame < frame) == before],
                self.usable,
            )
            for before in (True, False)
        )
        if self.thumbnail is not None:
            owner = early if self.thumbnail.frame < frame else late
            owner.thumbnail = self.thumbnail
        return early, late

    @property
    def _capacity(self) -> int:
        more = self.usable // FACES_PER_CANDIDATE
        return min(MOST_CANDIDATES, FEWEST_CANDIDATES + more)

    def merge(self, other: Best) -> None:
        """Take over what another part of the same track kept."""
        self.usable += other.usable
        for sample in other.samples:
            self.add_sample(sample)
        for candidate in other.candidates:
            self.add_candidate(candidate)
        if other.thumbnail is not None and self.wants_thumbnail(other.thumbnail.quality):
            self.thumbnail = other.thumbnail

    def _worths(self) -> list[float]:
        """Quality of each candidate times its difference from the better ones among the rest."""
        looks = np.stack([kept.traits for kept in self.candidates])
        worths = []
        for row, kept in enumerate(self.candidates):
            better = [
                other
                for other, rival in enumerate(self.candidates)
                if (rival.quality, -other) > (kept.quality, -row)
            ]
            worths.append(kept.quality * float(novelty(looks[[row]], looks[better])[0]))
        return worths
