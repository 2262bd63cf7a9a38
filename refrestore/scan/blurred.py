"""A blurred track is known by what its frames show together too (`restore.burst`).

At three moments of it the film is read again, the face drawn from the frames around and embedded.
The mean of that and of the track's own embedding is farther from strangers than either
(docs/decisions/030).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from refrestore.faces.align import (
    CROP_SIZE,
    FFHQ_TEMPLATE,
    compose,
    resized,
    similarity,
    transform,
)
from refrestore.faces.recogniser import Recogniser
from refrestore.media.tensors import FrameTensor, crops
from refrestore.restore import burst
from refrestore.scan.read_again import frames_of
from refrestore.scan.tracks import ENOUGH_QUALITY, ShotTrack
from refrestore.scan.work import Here
from refrestore.types import DoubleArray, FloatArray, Frame, Track

MOMENTS = (0.25, 0.5, 0.75)
"""Of a track."""

SIDE = 128
"""Pixels a side of the crops. With twice as many people are known as well, at twice the time."""


@dataclass(frozen=True, eq=False)
class TrackMoment:
    """A frame of a track, and those around it that it is drawn from.

    Parameters
    ----------
    track
        Its id.
    frame
        Its index.
    matrices
        Display pixels to crop, (2, 3), of its frame and of the others, by index.
    keypoints : (5, 2)
        In its crop.
    """

    track: int
    frame: int
    matrices: Mapping[int, DoubleArray]
    keypoints: FloatArray

    @property
    def first(self) -> int:
        """The first frame that is needed."""
        return min(self.matrices)

    @property
    def stop(self) -> int:
        """The frame after the last one that is needed."""
        return max(self.matrices) + 1


def moments(part: ShotTrack) -> Iterator[TrackMoment]:
    """Yield what to look at again of a track; nothing where its faces are as good as they get."""
    track, faces = part.track, part.faces
    if track.embedding is None or track.quality >= ENOUGH_QUALITY:
        return
    matrices = resized(similarity(faces.keypoints, FFHQ_TEMPLATE), SIDE / CROP_SIZE)
    for share in MOMENTS:
        row = int(share * len(faces))
        frame = int(faces.frame[row])
        near = (np.abs(faces.frame - frame) <= burst.REACH) & (
            (faces.frame - frame) % burst.STEP == 0
        )
        if np.count_nonzero(near) <= burst.FEWEST:
            continue
        around = dict(zip(faces.frame[near].tolist(), matrices[near], strict=True))
        points = transform(matrices[[row]], faces.keypoints[[row]])[0]
        yield TrackMoment(track.id, frame, around, points.astype(np.float32))


@dataclass(frozen=True, eq=False)
class TracksToDraw:
    """Blurred tracks that are drawn where the film is entered for them (`work.Work`).

    Parameters
    ----------
    todo
        Their moments.
    times
        Of the moments' first frames, by frame, seconds.
    """

    todo: Sequence[TrackMoment]
    times: Mapping[int, Fraction]

    def __call__(self, here: Here) -> dict[int, FloatArray]:
        """Draw and embed them; see `embeddings`."""
        frames = frames_of(self.todo, here.open_at(self.times))
        return embeddings(self.todo, frames, here.models.recogniser)


def embeddings(
    todo: Sequence[TrackMoment], frames: Iterable[Frame], recogniser: Recogniser
) -> dict[int, FloatArray]:
    """Return unit embeddings (512,) of what tracks show together; none of those not blurred.

    Parameters
    ----------
    todo
        Any number a track.
    frames
        Those of the moments at least, ascending (`read_again.frames_of`).
    recogniser
        Sees what was drawn.
    """
    torch.set_num_threads(1)  # docs/decisions/005
    waiting = sorted(todo, key=lambda one: one.stop)
    last = {one.track: number for number, one in enumerate(waiting)}
    cut: dict[int, dict[int, Tensor]] = {number: {} for number in range(len(waiting))}
    looks: dict[int, list[_BlurredFace]] = {}
    found: dict[int, FloatArray] = {}
    place = 0
    for frame in frames:
        picture = None
        for number in range(place, len(waiting)):
            matrix = waiting[number].matrices.get(frame.index)
            if matrix is None:
                continue
            picture = FrameTensor.of(frame.picture) if picture is None else picture
            whole = compose(matrix[None], frame.geometry.storage_to_display()[None])
            cut[number][frame.index] = crops([picture], whole, SIDE)[0]
        while place < len(waiting) and waiting[place].stop <= frame.index + 1:
            one = waiting[place]
            looks.setdefault(one.track, []).extend(_look(one, cut.pop(place)))
            if last[one.track] == place:
                found |= _together(one.track, looks.pop(one.track), recogniser)
            place += 1
        if place == len(waiting):
            break
    for track, left in looks.items():  # the film broke off
        found |= _together(track, left, recogniser)
    return found


class _BlurredFace(NamedTuple):
    """A moment of a track: the face as it is, (3, S, S), and its frames together."""

    face: Tensor
    drawn: burst.Burst
    keypoints: FloatArray


def _look(moment: TrackMoment, cut: dict[int, Tensor]) -> list[_BlurredFace]:
    """Lay a moment's crops, by frame, over each other; nothing where too few could be read."""
    face = cut.pop(moment.frame, None)
    if face is None or len(cut) < burst.FEWEST:
        return []
    return [_BlurredFace(face, burst.measured(face[None], [list(cut.values())]), moment.keypoints)]


def _together(
    track: int, looks: Sequence[_BlurredFace], recogniser: Recogniser
) -> dict[int, FloatArray]:
    """Return the unit mean embedding of a track's moments, drawn; none if it is not blurred."""
    if not looks:
        return {}
    blur = np.mean([one.drawn.blur() for one in looks], axis=0)
    if not burst.share(blur)[0]:
        return {}
    seen = []
    for face, drawn, keypoints in looks:
        sharp = burst.sharpened(face[None], drawn.images, blur)[0]
        picture = (sharp * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        seen.append(recogniser.embed_faces(picture, keypoints[None])[0])
    return {track: _unit(np.sum(seen, axis=0))}


def known_better(track: Track, drawn: FloatArray) -> FloatArray:
    """Return a track's embedding (512,) with what its frames show together."""
    assert track.embedding is not None
    return _unit(track.embedding + drawn)


def _unit(vector: FloatArray) -> FloatArray:
    unit: FloatArray = (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)
    return unit
