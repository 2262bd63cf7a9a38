"""Read the video a second time where close-ups are noisy, and fuse them with their neighbours.

Only then, and only there: the neighbours' pixels are not kept while the video is read first, since
hardly any of the faces seen then become references.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from refrestore.faces.analyser import FaceModels
from refrestore.media.pixels import display_rgb
from refrestore.scan.fuse import REACH, fuse, noisy, packed
from refrestore.scan.read_again import frames_of
from refrestore.scan.references import Spooled
from refrestore.scan.samples import Candidate, PackedCloseUp
from refrestore.scan.work import Here
from refrestore.types import FloatArray, Frame, ImageArray, Track

MOST = 8
"""Close-ups fused a person, the first chosen: a quarter of a second each."""


class Place(NamedTuple):
    """Where a close-up is among the kept ones: whose, and which of the person's."""

    person: int
    place: int


@dataclass(frozen=True, eq=False)
class CloseUpToFuse:
    """One close-up to fuse.

    Parameters
    ----------
    at
        Which it is.
    candidate
        The close-up, with its crop where it is fused.
    first, stop
        Frames to take, half open: of its track, so of one shot.
    alike : (512,)
        What the person is like without it.
    """

    at: Place
    candidate: Candidate
    first: int
    stop: int
    alike: FloatArray


def jobs(
    kept: Sequence[Sequence[Spooled]], centroids: FloatArray, tracks: Mapping[int, Track]
) -> list[CloseUpToFuse]:
    """Return the close-ups that neighbours could make cleaner, by ascending frame.

    Parameters
    ----------
    kept
        Close-ups of each person, the most important first.
    centroids : (P, 512)
        Mean embeddings of the people, used where a person has one close-up only.
    tracks
        By id.
    """
    found = []
    for person, own in enumerate(kept):
        for place, one in enumerate(own[:MOST]):
            if not noisy(one.candidate):
                continue
            frame, track = one.candidate.frame, tracks[one.track]
            first, stop = first_frame(one.candidate, track), min(track.stop, frame + REACH + 1)
            alike = _without(own, one, centroids[person])
            at = Place(person, place)
            found.append(CloseUpToFuse(at, one.candidate, first, stop, alike))
    return sorted(found, key=lambda job: job.stop)


def first_frame(face: Candidate, track: Track) -> int:
    """Return the first frame that is looked at for a close-up."""
    return max(track.first, face.frame - REACH)


@dataclass(frozen=True, eq=False)
class CloseUpsToFuse:
    """Close-ups that are fused where the film is entered for them (`work.Work`).

    Parameters
    ----------
    todo
        With their crops.
    times
        Of the first frames, by frame, seconds.
    """

    todo: Sequence[CloseUpToFuse]
    times: Mapping[int, Fraction]

    def __call__(self, here: Here) -> dict[Place, Candidate]:
        """Fuse them."""
        frames = frames_of(self.todo, here.open_at(self.times))
        return polish(self.todo, frames, here.models)


def polish(
    todo: Sequence[CloseUpToFuse], frames: Iterable[Frame], models: FaceModels
) -> dict[Place, Candidate]:
    """Fuse close-ups; return those that got better.

    Parameters
    ----------
    todo
        As `jobs` returns them, with their crops.
    frames
        Those of the jobs at least, ascending (`frames_of`); read as far as needed. The pictures of
        nine frames or so are held at a time.
    models
        Networks.
    """
    better: dict[Place, Candidate] = {}
    waiting = list(todo)
    pictures: dict[int, ImageArray] = {}
    for frame in frames:
        if not waiting:
            break
        if any(job.first <= frame.index < job.stop for job in waiting):
            pictures[frame.index] = display_rgb(frame)
        while waiting and waiting[0].stop <= frame.index + 1:
            job = waiting.pop(0)
            new = _fused(job, pictures, models)
            if new is not None:
                better[job.at] = new
        still = min((job.first for job in waiting), default=frame.index)
        pictures = {number: kept for number, kept in pictures.items() if number >= still}
    return better


def _fused(
    job: CloseUpToFuse, pictures: Mapping[int, ImageArray], models: FaceModels
) -> Candidate | None:
    near = {number: pictures[number] for number in pictures if job.first <= number < job.stop}
    assert isinstance(job.candidate.close_up, PackedCloseUp)
    made = fuse(job.candidate, job.candidate.close_up.unpacked(), near, models, job.alike)
    return None if made is None else packed(made)


def _without(own: Sequence[Spooled], left_out: Spooled, centroid: FloatArray) -> FloatArray:
    """Return a person's mean embedding (512,) of the other close-ups, `centroid` if none."""
    others = [one.candidate for one in own if one is not left_out]
    if not others:
        return centroid
    total = np.sum([one.quality * one.embedding for one in others], axis=0)
    mean: FloatArray = (total / max(float(np.linalg.norm(total)), 1e-9)).astype(np.float32)
    return mean
