"""Read the video a second time where close-ups are noisy, and fuse them with their neighbours.

Only then, and only there: the neighbours' pixels are not kept while the video is read first, since
hardly any of the faces seen then become references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from refrestore.faces.analyser import FaceModels
from refrestore.media.pixels import display_rgb
from refrestore.scan.fuse import REACH, fuse, noisy
from refrestore.scan.references import Spool, Spooled
from refrestore.scan.samples import Candidate
from refrestore.types import FloatArray, Frame, ImageArray, Track

MOST = 8
"""Close-ups fused a person, the first chosen: a quarter of a second each."""

READ_ON = 250
"""Frames without a job that are read over: a film is entered at a key frame, and ten seconds from
one to the next are usual."""

OpenAt = Callable[[int], AbstractContextManager[Iterable[Frame]]]
"""Opens the video to be read from a frame on; what cannot be entered there gives all of it."""


class NeedsFrames(Protocol):
    """Something that needs frames, half open."""

    @property
    def first(self) -> int: ...  # noqa: D102

    @property
    def stop(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class CloseUpToFuse:
    """One close-up to fuse.

    Parameters
    ----------
    person, place
        Where it is among the kept ones.
    spooled
        The close-up.
    first, stop
        Frames to take, half open: of its track, so of one shot.
    alike : (512,)
        What the person is like without it.
    """

    person: int
    place: int
    spooled: Spooled
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
            if not noisy(one.candidate, Spool.get(one)):
                continue
            frame, track = one.candidate.frame, tracks[one.track]
            first, stop = first_frame(one.candidate, track), min(track.stop, frame + REACH + 1)
            alike = _without(own, one, centroids[person])
            found.append(CloseUpToFuse(person, place, one, first, stop, alike))
    return sorted(found, key=lambda job: job.stop)


def first_frame(face: Candidate, track: Track) -> int:
    """Return the first frame that is looked at for a close-up."""
    return max(track.first, face.frame - REACH)


def stretches(todo: Sequence[NeedsFrames]) -> list[range]:
    """Return the frames to read for jobs, in one stretch where they are near each other."""
    found: list[range] = []
    for job in sorted(todo, key=lambda job: job.first):
        if found and job.first - found[-1].stop < READ_ON:
            found[-1] = range(found[-1].start, max(found[-1].stop, job.stop))
        else:
            found.append(range(job.first, job.stop))
    return found


def frames_of(todo: Sequence[NeedsFrames], open_at: OpenAt) -> Iterator[Frame]:
    """Yield the frames that jobs need, the video entered for each stretch.

    One that cannot be entered is read once, from its beginning to the last job.
    """
    left = stretches(todo)
    while left:
        entered = True
        with open_at(left[0].start) as frames:
            for frame in frames:
                entered &= frame.index >= left[0].start
                if frame.index in left[0]:
                    yield frame
                if frame.index + 1 >= left[0].stop:
                    left.pop(0)
                    if entered or not left:
                        break
            else:
                return


def polish(
    todo: Sequence[CloseUpToFuse], frames: Iterable[Frame], models: FaceModels, spool: Spool
) -> dict[tuple[int, int], Spooled]:
    """Fuse close-ups; return those that got better, by person and place.

    Parameters
    ----------
    todo
        As `jobs` returns them.
    frames
        Those of the jobs at least, ascending (`frames_of`); read as far as needed. The pictures of
        nine frames or so are held at a time.
    models
        Networks.
    spool
        Takes the new crops.
    """
    better: dict[tuple[int, int], Spooled] = {}
    waiting = list(todo)
    pictures: dict[int, ImageArray] = {}
    for frame in frames:
        if not waiting:
            break
        if any(job.first <= frame.index < job.stop for job in waiting):
            pictures[frame.index] = display_rgb(frame)
        while waiting and waiting[0].stop <= frame.index + 1:
            job = waiting.pop(0)
            new = _fused(job, pictures, models, spool)
            if new is not None:
                better[job.person, job.place] = new
        still = min((job.first for job in waiting), default=frame.index)
        pictures = {number: kept for number, kept in pictures.items() if number >= still}
    return better


def _fused(
    job: CloseUpToFuse, pictures: Mapping[int, ImageArray], models: FaceModels, spool: Spool
) -> Spooled | None:
    near = {number: pictures[number] for number in pictures if job.first <= number < job.stop}
    old = job.spooled
    made = fuse(old.candidate, Spool.get(old), near, models, job.alike)
    return None if made is None else spool.put(old.track, old.time, made)


def _without(own: Sequence[Spooled], left_out: Spooled, centroid: FloatArray) -> FloatArray:
    """Return a person's mean embedding (512,) of the other close-ups, `centroid` if none."""
    others = [one.candidate for one in own if one is not left_out]
    if not others:
        return centroid
    total = np.sum([one.quality * one.embedding for one in others], axis=0)
    mean: FloatArray = (total / max(float(np.linalg.norm(total)), 1e-9)).astype(np.float32)
    return mean
