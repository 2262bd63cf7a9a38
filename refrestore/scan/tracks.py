"""From what was followed in a shot to its tracks: mended, cleaned, smoothed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from refrestore.faces.pose import distance_over_radius
from refrestore.project.anchors import overlaps
from refrestore.scan.followed import Followed, FollowedFrame
from refrestore.scan.samples import Candidate, EmbeddingSample
from refrestore.scan.smoothing import interpolate, smooth_track
from refrestore.types import Faces, FloatArray, ImageArray, Track

_BRIDGE_SECONDS = 1.0
"""Longest gap that is filled between two parts of a track: a turned head, a passing hand."""

_BRIDGE_SIMILARITY = 0.35
"""Cosine from which the parts either side of a gap are one person. Below the threshold for
identities, because place and size in the picture agree too."""

_BRIDGE_REACH = 2.0
"""Face sizes a face may have moved during a gap."""

_DUPLICATE = 0.5
_SAME_POINTS = 0.5
"""Overlap, or distance of keypoints over the face's radius, at which two rows are one face."""

_MOSTLY = 0.5
"""Share of common frames in one place that makes two tracks one."""

_LEAST_SCORES = {1: 0.65, 2: 0.6}
"""How clear a face must have been that the detector saw only once or twice: 2.5-GFLOP SCRFD gives
real faces 0.7 to 0.95, and things that look like faces rarely more than 0.6."""

FOUNDING_SIZE = 28.0
FOUNDING_WEIGHT = 0.12
"""Median face size and embedding weight below which a track may join an identity and not found a
firm one. At 19-px faces the same person's mean similarity falls from 0.75 to 0.27."""

_CLEAR_QUALITY = 0.08
_SWITCH_SAMPLES = 2
_ONE_PERSON = 0.6
_TWO_PEOPLE = 0.15
"""A track has changed over to another face if at least so many embeddings of at least this
quality, before and after, agree with their own mean (cosine) and the means do not: on 1,652
photos of 178 people no two coherent pairs of one person were below 0.16 (1 in 100 below 0.39)."""

ENOUGH_QUALITY = 0.25
"""Best quality of a track from which its embedding is as good as it gets."""

LEAST_TRUST = 0.02
"""What is left of the trust in a track none of whose faces shows any detail: many blurred ones that
agree say something."""


@dataclass(frozen=True, eq=False)
class ShotTrack:
    """A finished track.

    Parameters
    ----------
    track
        Its summary.
    faces
        One smoothed row a frame.
    candidates
        Close-ups that may become references.
    thumbnail
        RGB crop that shows it to people.
    """

    track: Track
    faces: Faces
    candidates: tuple[Candidate, ...]
    thumbnail: ImageArray | None


def finish_shot(
    followed: list[Followed], *, shot: int, first_id: int, rate: Fraction
) -> list[ShotTrack]:
    """Turn what a shot's follower returned into tracks, numbered from `first_id`."""
    single = [part for whole in followed for part in _one_person_each(whole)]
    mended = _bridge(_without_slips(_without_duplicates(single)), rate)
    kept = sorted((part for part in mended if _is_face(part)), key=lambda part: part.first)
    return [
        _finished(part, number, shot=shot, rate=rate)
        for number, part in enumerate(kept, start=first_id)
    ]


def finish_drawn(followed: Followed, frame: int, *, shot: int, rate: Fraction) -> ShotTrack:
    """Turn what was followed from a box into a track, numbered 0.

    Where it changed over to another person, the part that is nearest to the frame on which the
    box was drawn is meant. That it is a face is the user's word.
    """
    parts = _one_person_each(followed)
    meant = min(parts, key=lambda part: max(part.first - frame, frame - part.last))
    return _finished(meant, 0, shot=shot, rate=rate)


def _finished(part: Followed, number: int, *, shot: int, rate: Fraction) -> ShotTrack:
    faces = smooth_track(part.faces(), rate).with_columns(
        track=np.full(len(part.rows), number, np.int64)
    )
    embedding, weight = pool(part.best.samples)
    size = float(np.median(faces.size))
    track = Track(
        id=number,
        shot=shot,
        first=part.first,
        stop=part.last + 1,
        embedding=embedding,
        embedding_weight=weight,
        quality=max((sample.quality for sample in part.best.samples), default=0.0),
        size=size,
        weak=size < FOUNDING_SIZE or weight < FOUNDING_WEIGHT,
    )
    shown = part.best.thumbnail
    return ShotTrack(track, faces, part.best.telling(), None if shown is None else shown.image)


def pool(samples: list[EmbeddingSample]) -> tuple[FloatArray | None, float]:
    """Return a track's unit embedding and how far it can be trusted, 0..1.

    The mean weighted by quality; trusted as far as its samples agree with it and the best of
    them is good.
    """
    if not samples:
        return None, 0.0
    embeddings = np.stack([sample.embedding for sample in samples])
    quality = np.array([sample.quality for sample in samples])
    weights = np.maximum(quality, 1e-3)
    mean = (weights[:, None] * embeddings).sum(0)
    mean /= max(float(np.linalg.norm(mean)), 1e-9)
    agreement = float(np.average(embeddings @ mean, weights=weights))
    return mean.astype(np.float32), max(0.0, agreement) * trust_of(float(quality.max()))


def trust_of(quality: float) -> float:
    """Return how far a track's embedding can be trusted, 0..1, by its best face's quality."""
    return max(LEAST_TRUST, min(1.0, quality / ENOUGH_QUALITY))


def _is_face(part: Followed) -> bool:
    detections = part.detections
    needed = _LEAST_SCORES.get(len(detections), 0.0)
    return max(row.score for row in detections) >= needed


def _one_person_each(part: Followed) -> list[Followed]:
    """Divide a track that changed over to another person, where two faces crossed.

    It did if its clear embeddings before some frame and those after agree among themselves and
    not with each other. Each part may have changed over once more.
    """
    samples = sorted(part.best.samples, key=lambda sample: sample.frame)
    samples = [sample for sample in samples if sample.quality >= _CLEAR_QUALITY]
    divisions = []
    for cut in range(_SWITCH_SAMPLES, len(samples) - _SWITCH_SAMPLES + 1):
        (before, _), (after, _) = pool(samples[:cut]), pool(samples[cut:])
        assert before is not None
        assert after is not None
        coherent = min(_agreement(samples[:cut], before), _agreement(samples[cut:], after))
        if coherent >= _ONE_PERSON:
            divisions.append((float(before @ after), cut))
    if not divisions or min(divisions)[0] > _TWO_PEOPLE:
        return [part]
    cut = min(divisions)[1]
    halves = part.divided((samples[cut - 1].frame + samples[cut].frame + 1) // 2)
    return [one for half in halves for one in _one_person_each(half)]


def _agreement(samples: list[EmbeddingSample], mean: FloatArray) -> float:
    return float(np.mean([sample.embedding @ mean for sample in samples]))


def _without_duplicates(parts: list[Followed]) -> list[Followed]:
    """Make one of tracks that follow one face, the one detected more often first.

    A head that turns away may be detected beside where it was expected: for a while two tracks
    follow it, and being in one picture they would pass for two people.
    """
    kept: list[Followed] = []
    for part in sorted(parts, key=lambda part: -len(part.detections)):
        twin = next((other for other in kept if together(part, other)), None)
        if twin is None:
            kept.append(part)
        else:
            absorb(twin, part)
    return kept


def together(part: Followed, other: Followed) -> int:
    """Return in how many frames two tracks are in one place, 0 unless in most that both have."""
    if part.last < other.first or part.first > other.last:
        return 0
    there = {row.frame: row for row in other.rows}
    common = [row for row in part.rows if row.frame in there]
    both = _in_one_place(common, [there[row.frame] for row in common])
    return int(both.sum()) if len(both) and float(both.mean()) > _MOSTLY else 0


def _in_one_place(
    rows: Sequence[FollowedFrame], others: Sequence[FollowedFrame]
) -> NDArray[np.bool_]:
    """Say of pairs of rows whether they are one face, (N,)."""
    if not rows:
        return np.zeros(0, bool)
    boxes, points = (
        [np.stack([getattr(row, name) for row in part]) for part in (rows, others)]
        for name in ("box", "keypoints")
    )
    apart = np.minimum(distance_over_radius(*points), distance_over_radius(*points[::-1]))
    same: NDArray[np.bool_] = (overlaps(*boxes) > _DUPLICATE) | (apart < _SAME_POINTS)
    return same


def _without_slips(parts: list[Followed]) -> list[Followed]:
    """Cut off ends that nobody detected and that lie on another track's face.

    Where someone passes in front, the mesh goes over to the nearer face.
    """
    for part in parts:
        taken = [
            {row.frame: row for row in other.rows}
            for other in parts
            if other is not part and other.last >= part.first and other.first <= part.last
        ]

        def slipped(row: FollowedFrame, taken: list[dict[int, FollowedFrame]] = taken) -> bool:
            return row.score == 0 and any(
                row.frame in rows and _in_one_place([row], [rows[row.frame]])[0] for rows in taken
            )

        rows = part.rows
        start, stop = 0, len(rows)
        while stop > 1 and slipped(rows[stop - 1]):
            stop -= 1
        while start < stop - 1 and slipped(rows[start]):
            start += 1
        part.rows = rows[start:stop]
    return parts


def absorb(track: Followed, twin: Followed) -> None:
    """Give a track the frames before and after its own that its twin has, and the twin's best."""
    early = [row for row in twin.rows if row.frame < track.first]
    late = [row for row in twin.rows if row.frame > track.last]
    track.rows = [*early, *track.rows, *late]
    track.best.merge(twin.best)


def _bridge(parts: list[Followed], rate: Fraction) -> list[Followed]:
    """Join parts either side of a short gap, the most alike first.

    A gap in which a third part fits waits for that one: bridged first, it would leave it beside
    the track, a second person in the same place.
    """
    longest = round(rate * Fraction(_BRIDGE_SECONDS))
    parts = list(parts)
    while True:
        fits = {
            (row, column): alike
            for row, early in enumerate(parts)
            for column, late in enumerate(parts)
            if row != column
            and 0 < late.first - early.last <= longest
            and _near(early.rows[-1], late.rows[0])
            and (alike := _likeness(early, late)) >= _BRIDGE_SIMILARITY
        }
        if not fits:
            return parts
        direct = [
            (row, column)
            for row, column in fits
            if not any((row, third) in fits and (third, column) in fits for _, third in fits)
        ]
        row, column = max(direct, key=fits.__getitem__)
        _join(parts[row], parts[column])
        del parts[column]


def _near(early: FollowedFrame, late: FollowedFrame) -> bool:
    sizes = [float(np.sqrt(max(np.prod(row.box[2:] - row.box[:2]), 1e-6))) for row in (early, late)]
    moved = float(np.linalg.norm(early.keypoints.mean(0) - late.keypoints.mean(0)))
    return moved <= _BRIDGE_REACH * max(sizes) and max(sizes) <= 2 * min(sizes)


def _likeness(early: Followed, late: Followed) -> float:
    first, _ = pool(early.best.samples)
    second, _ = pool(late.best.samples)
    return float(first @ second) if first is not None and second is not None else -1.0


def _nothing_seen(start: FollowedFrame, stop: FollowedFrame) -> FloatArray:
    """Return the judgement of a bridged frame: quality and sharpness 0, pose halfway."""
    known = [row.judged for row in (start, stop) if row.judged is not None]
    pose = np.mean(known, 0)[2:] if known else np.zeros(3)
    return np.concatenate([[0, 0], pose]).astype(np.float32)


def _join(early: Followed, late: Followed) -> None:
    """Append `late` to `early`, the gap filled by straight lines."""
    start, stop = early.rows[-1], late.rows[0]
    span = stop.frame - start.frame
    early.rows += [
        FollowedFrame(
            start.frame + step,
            interpolate(start.box, stop.box, step / span),
            interpolate(start.keypoints, stop.keypoints, step / span),
            0.0,
            # Nothing saw the face there, so nothing says that it can be seen.
            _nothing_seen(start, stop) if step in (1, span - 1) else None,
        )
        for step in range(1, span)
    ]
    early.rows += late.rows
    early.best.merge(late.best)
