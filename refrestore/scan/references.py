"""References of a person: those close-ups that together show most of how they look."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from refrestore.scan.samples import Candidate, Closeup, novelty
from refrestore.types import FloatArray, Reference

MIN_SIZE = 64.0
"""Face size in display pixels below which a face shows nothing a restorer could use."""

MIN_SHARPNESS = 0.2
"""A photograph enlarged twofold has 0.7, one blurred by two pixels 0.2."""

MIN_DETAIL = 48.0
"""Least size x sharpness, about the pixels of a sharp face that would show as much: a soft face of
250 px is a close-up for one seen at 30, a soft one of 100 px is not."""

ENOUGH, WORTH_HAVING = 5, 0.5
"""References that are taken however alike they look, if they show at least this share of the
sharpest one's detail: the mean of several drops each one's own expression and noise."""

MIN_QUALITY = 0.05
"""Below this the face is turned away, covered or lost in the dark."""

MIN_SIMILARITY = 0.35
"""Cosine to the person's mean. The lowest of the same person on clear stills is 0.51; a reference
of another person spoils what it touches, so doubt is a no."""

_EYES = 3
_CLOSED = 0.14
"""Eye aspect ratio below which the lids are shut or nearly so."""

_EYES_UNIT = 0.12
_BLINK_PENALTY = 0.4
_LEAST_GAIN = 0.03
"""Quality times novelty below which another reference adds nothing."""


@dataclass(frozen=True, eq=False)
class Spooled:
    """A candidate whose crop waits on disk until it is known who it is.

    Parameters
    ----------
    track
        Id of its track.
    time
        Presentation time in seconds.
    candidate
        All but the crop.
    file
        Where the crop is.
    """

    track: int
    time: Fraction
    candidate: Candidate
    file: Path


class Spool:
    """Crops of candidates on disk, gone when the context ends; memory stays flat."""

    PREFIX = ".candidates-"

    def __init__(self, folder: Path) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix=self.PREFIX, dir=folder)
        self._count = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._directory.cleanup()

    def put(self, track: int, time: Fraction, candidate: Candidate) -> Spooled:
        """Write a candidate's crop to disk and return what stays in memory."""
        assert candidate.closeup is not None
        self._count += 1
        file = Path(self._directory.name) / f"{self._count:07d}.npz"
        # A fast lossless PNG: half the bytes of the plain array.
        done, png = cv2.imencode(
            ".png", candidate.closeup.image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1]
        )
        assert done
        np.savez(file, png=png, landmarks=candidate.closeup.landmarks)
        return Spooled(track, time, replace(candidate, closeup=None), file)

    @staticmethod
    def get(spooled: Spooled) -> Closeup:
        """Read a candidate's crop."""
        with np.load(spooled.file, allow_pickle=False) as content:
            picture = cv2.imdecode(content["png"], cv2.IMREAD_COLOR)
            assert picture is not None
            return Closeup(np.ascontiguousarray(picture[..., ::-1]), content["landmarks"])


def harvest(candidates: Sequence[Candidate], centroid: FloatArray, limit: int) -> list[int]:
    """Choose the references of one person.

    Not the sharpest ones, which are alike, but a cover: the best face first, then again and
    again the one with the largest product of quality and difference (pose, mouth, eyes, light)
    from those chosen. A shut eye counts for less, so it is taken only where nothing better shows
    that pose.

    Parameters
    ----------
    candidates
        Close-ups of the person from all its tracks.
    centroid : (512,)
        The person's mean embedding, unit.
    limit
        References at most.

    Returns
    -------
    list of int
        Rows of `candidates`, the first chosen first; empty if none is large and sharp enough.
    """
    usable = [row for row, face in enumerate(candidates) if _is_usable(face, centroid)]
    if not usable:
        return []
    looks = np.stack([candidates[row].traits for row in usable])
    worth = np.array([candidates[row].quality for row in usable])
    worth = np.where(looks[:, _EYES] * _EYES_UNIT < _CLOSED, _BLINK_PENALTY * worth, worth)
    detail = np.array([_detail(candidates[row]) for row in usable])
    chosen: list[int] = []
    while len(chosen) < min(limit, len(usable)):
        gain = worth * novelty(looks, looks[chosen])
        gain[chosen] = -1
        best = int(np.argmax(gain))
        if chosen and gain[best] < _LEAST_GAIN:
            worthy = gain * (detail >= WORTH_HAVING * detail.max())
            best = int(np.argmax(worthy))
            if len(chosen) >= ENOUGH or worthy[best] <= 0:
                break
        chosen.append(best)
    return [usable[row] for row in chosen]


def _is_usable(face: Candidate, centroid: FloatArray) -> bool:
    return (
        face.native_size >= MIN_SIZE
        and face.sharpness >= MIN_SHARPNESS
        and _detail(face) >= MIN_DETAIL
        and face.quality >= MIN_QUALITY
        and float(face.embedding @ centroid) >= MIN_SIMILARITY
    )


def _detail(face: Candidate) -> float:
    return face.native_size * face.sharpness


def to_reference(spooled: Spooled, source: str) -> Reference:
    """Return a spooled candidate as a reference; `source` names the video."""
    face, closeup = spooled.candidate, Spool.get(spooled)
    return Reference(
        image=closeup.image,
        landmarks=closeup.landmarks,
        embedding=face.embedding,
        pose=face.pose,
        sharpness=face.sharpness,
        quality=face.quality,
        native_size=face.native_size,
        source=f"{source} at {float(spooled.time):.3f} s",
        frame=face.frame,
    )
