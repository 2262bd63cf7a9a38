"""What is kept of a track while it is followed: a bounded handful of its best faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from refrestore.faces.eyes import OPEN_SHARE, SHUT
from refrestore.storage.images import decode_image, encode_png
from refrestore.types import DoubleArray, FloatArray, ImageArray, IntArray

EMBEDDINGS = 12
"""Embeddings kept a track; its mean hardly moves beyond (insightface's PrivateFrame uses 5)."""

MIN_SIZE = 64.0
"""Face size in display pixels below which a face shows nothing a restorer could use."""

MIN_DETAIL = 48.0
"""Least size x sharpness, about the pixels of a sharp face that would show as much: a soft face of
250 px is a close-up for one seen at 30, a soft one of 100 px is not."""

FEWEST_CANDIDATES = 8
MOST_CANDIDATES = 16
FACES_PER_CANDIDATE = 8
"""Crops kept a track for references: one more for every so many usable faces seen (some seconds),
so that a long shot of one person gives many and a film of short ones does not fill the disk."""

_CLEARLY = 1.1
"""Factor of quality from which a thumbnail is taken anew."""

_YAW_UNIT, _PITCH_UNIT = 15.0, 12.0
_MOUTH_UNIT, _LIGHT_UNIT = 0.15, 0.12
"""Differences that make two faces of one person as useful as two references (one unit apart).
Eyes are none of them: what is told apart by shut eyes is a blink."""

LIDS = 2
"""Close-ups with shut eyes kept of a track and of a person, besides the others: they show the lids
of a blurred face whose eyes are shut, and nothing else does (`restore.lids`)."""

SHUT_WORTH = 0.4
"""What a face with shut eyes is worth beside one with open eyes."""

FEWEST_EYES = 5
"""Faces of a track from which it is known how open its eyes are when they are open."""

_OPENNESS_BINS, _OPENNESS_STEP = 64, 0.02


@dataclass(frozen=True, eq=False)
class EmbeddingSample:
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


class CloseUpCrop(NamedTuple):
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

    def packed(self) -> PackedCloseUp:
        """Return it with its picture as PNG: a quarter of the bytes."""
        return PackedCloseUp(encode_png(self.image), self.landmarks)


class PackedCloseUp(NamedTuple):
    """The same as it is sent and kept.

    Parameters
    ----------
    png
        The picture, without loss.
    landmarks : (468, 2)
        In pixels of the crop.
    """

    png: bytes
    landmarks: FloatArray

    def unpacked(self) -> CloseUpCrop:
        """Return it with its pixels."""
        picture = decode_image(self.png)
        assert picture is not None
        return CloseUpCrop(picture, self.landmarks)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A face that may become a reference.

    Parameters
    ----------
    frame
        Frame index.
    close_up
        Its crop, while that is in memory.
    embedding : (512,)
        Unit.
    pose : (3,)
        Degrees.
    traits : (4,)
        See `traits`.
    sharpness, quality, native_size
        As in `Reference`.
    box : (4,), optional
        In display pixels.
    matrix : (2, 3), optional
        From display pixels to those of the crop.
    openness
        See `faces.eyes`; NaN where nobody looked.
    open_level
        The same of its track's open eyes; NaN where too few of its faces were seen.
    frames
        Of how many frames the crop is the mean.
    noise
        Grey levels (`faces.quality.noise`) at its own resolution, once the crop is packed; NaN
        where that is not known.
    """

    frame: int
    close_up: CloseUpCrop | PackedCloseUp | None
    embedding: FloatArray
    pose: FloatArray
    traits: FloatArray
    sharpness: float
    quality: float
    native_size: float
    box: FloatArray | None = None
    matrix: DoubleArray | None = None
    openness: float = float("nan")
    open_level: float = float("nan")
    frames: int = 1
    noise: float = float("nan")


def shows_enough(size: float, sharpness: float) -> bool:
    """Say whether a face, its size in display pixels, shows what restores a blurred one."""
    return bool(size >= MIN_SIZE and size * sharpness >= MIN_DETAIL)


def traits(pose: FloatArray, mouth: float, light: float) -> FloatArray:
    """Return (4,): what tells two looks of one person apart, in units of a useful difference."""
    return np.array(
        [
            pose[0] / _YAW_UNIT,
            pose[1] / _PITCH_UNIT,
            mouth / _MOUTH_UNIT,
            light / _LIGHT_UNIT,
        ],
        np.float32,
    )


def novelty(looks: FloatArray, chosen: FloatArray) -> FloatArray:
    """Return 0..1 (N,): how far each look (N, D) is from the nearest chosen (M, D) one."""
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
class OpenEyes:
    """How open the eyes of a track's faces are: a histogram, so it does not grow with the track."""

    counts: IntArray = field(default_factory=lambda: np.zeros(_OPENNESS_BINS, np.int64))

    def add(self, openness: float) -> None:
        """Count a face."""
        self.counts[min(_OPENNESS_BINS - 1, int(openness / _OPENNESS_STEP))] += 1

    def merge(self, other: OpenEyes) -> None:
        """Count the faces of another part of the same track."""
        self.counts += other.counts

    def level(self) -> float:
        """Return how open they are when they are open, NaN while too few were seen."""
        total = int(self.counts.sum())
        if total < FEWEST_EYES:
            return float("nan")
        row = int(np.searchsorted(np.cumsum(self.counts), OPEN_SHARE / 100 * total))
        return (row + 0.5) * _OPENNESS_STEP


@dataclass
class Best:
    """The best embeddings and the most telling close-ups of a track, both bounded.

    `usable` counts the faces that were good enough for a close-up, `eyes` how open theirs were.
    """

    samples: list[EmbeddingSample] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)
    usable: int = 0
    thumbnail: Thumbnail | None = None
    eyes: OpenEyes = field(default_factory=OpenEyes)

    @property
    def full(self) -> bool:
        """Whether it has as many embeddings as are kept: more only replace worse ones."""
        return len(self.samples) >= EMBEDDINGS

    def wants_thumbnail(self, quality: float) -> bool:
        """Whether a face of this quality is clearly better to show than the one there is."""
        return self.thumbnail is None or quality > _CLEARLY * self.thumbnail.quality

    def wants_sample(self, quality: float) -> bool:
        """Whether an embedding of this quality would be kept."""
        return not self.full or quality > min(s.quality for s in self.samples)

    def add_sample(self, sample: EmbeddingSample) -> None:
        """Keep a sample, dropping the worst if there are too many."""
        self.samples.append(sample)
        if len(self.samples) > EMBEDDINGS:
            self.samples.remove(min(self.samples, key=lambda kept: kept.quality))

    def wants_candidate(
        self, quality: float, look: FloatArray, openness: float = float("nan")
    ) -> bool:
        """Count a usable close-up and say whether one of this quality and look would be kept."""
        self.usable += 1
        if np.isfinite(openness):
            self.eyes.add(openness)
        lids, others = self._apart()
        if len(others) < self._capacity:
            return True
        if self._shut(openness):
            least = min((self.candidates[row].quality for row in lids), default=0.0)
            return len(lids) < LIDS or quality > least
        looks = np.stack([self.candidates[row].traits for row in others])
        worth = self._worth(quality, openness) * float(novelty(look[None], looks)[0])
        return worth > min(self._worths(others))

    def add_candidate(self, candidate: Candidate) -> None:
        """Keep a close-up, dropping the one that is least missed if there are too many."""
        self.candidates.append(candidate)
        _, others = self._apart()
        if len(others) > self._capacity:
            del self.candidates[others[int(np.argmin(self._worths(others)))]]

    def telling(self) -> tuple[Candidate, ...]:
        """Return the close-ups kept, each with what the track's open eyes are like."""
        level = self.eyes.level()
        return tuple(replace(kept, open_level=level) for kept in self.candidates)

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
        self.eyes.merge(other.eyes)
        for sample in other.samples:
            self.add_sample(sample)
        for candidate in other.candidates:
            self.add_candidate(candidate)
        if other.thumbnail is not None and self.wants_thumbnail(other.thumbnail.quality):
            self.thumbnail = other.thumbnail

    def _shut(self, openness: float) -> bool:
        # Nothing is shut where nothing is known: comparing with NaN is false.
        return openness < SHUT * self.eyes.level()

    def _apart(self) -> tuple[list[int], list[int]]:
        """Return the best with shut eyes, which have places of their own, and the others."""
        rows = range(len(self.candidates))
        shut = [row for row in rows if self._shut(self.candidates[row].openness)]
        lids = sorted(shut, key=lambda row: -self.candidates[row].quality)[:LIDS]
        return lids, [row for row in rows if row not in lids]

    def _worth(self, quality: float, openness: float) -> float:
        return quality * (SHUT_WORTH if self._shut(openness) else 1.0)

    def _worths(self, rows: Sequence[int]) -> list[float]:
        """Worth of some candidates times their difference from the better ones among them."""
        kept = [self.candidates[row] for row in rows]
        looks = np.stack([one.traits for one in kept])
        worth = [self._worth(one.quality, one.openness) for one in kept]
        worths = []
        for row, mine in enumerate(worth):
            better = [other for other, rival in enumerate(worth) if (rival, -other) > (mine, -row)]
            worths.append(mine * float(novelty(looks[[row]], looks[better])[0]))
        return worths
