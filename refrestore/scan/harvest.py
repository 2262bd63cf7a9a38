"""Which close-ups of a person become references: a cover of looks, the flawed ones last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refrestore.faces.eyes import LIDS_DETAIL, SHUT, open_level
from refrestore.faces.quality import pose_term
from refrestore.scan.samples import LIDS, SHUT_WORTH, Candidate, novelty, shows_enough
from refrestore.types import FloatArray

ENOUGH, WORTH_HAVING = 12, 0.5
"""References that are taken however alike they look, if they show at least this share of the
sharpest one's detail: of more of them those suit a face better that are chosen for it, and the mean
of several drops each one's own expression and noise (docs/decisions/047). What shows less is
flawed."""

LIDS_OF = 4
"""Of so many references one may be kept for lids."""

LIDS_AS_NEAR = 0.75
"""Share of the largest face's size that theirs have: what is far and soft shows no iris either."""

MIN_QUALITY = 0.05
"""Below this the face is turned away, covered or lost in the dark."""

MIN_SIMILARITY = 0.35
"""Cosine to the person's mean. The lowest of the same person on clear stills is 0.51; a reference
of another person spoils what it touches, so doubt is a no."""

CLEAR_VIEW, LEAST_VIEW = 0.82, 0.70
"""Share of the mesh that must be face: of a flawless close-up, and of one that is taken because
nothing else shows its pose. Faces behind glasses have 0.84 and more, one behind something held in
front 0.57 to 0.80, a mesh that lies half beside a head in profile 0.51 to 0.84."""

CERTAIN = 0.55
"""Cosine to the person's mean from which nothing speaks against a close-up but another person: one
of a turned head has 0.6 where all others, within a second, have 0.9."""

_SPREADS, _LEAST_SPREAD = 3.5, 0.04
_TURNED = 0.2
"""How many spreads below a person's usual similarity a close-up is doubtful; what counts as spread
at least; how much less alike a face may be that is turned away entirely."""

_JUDGED_BY_SPREAD = 5
_LEAST_GAIN = 0.03
"""Quality times novelty below which another reference adds nothing."""

_OTHER_POSE = 0.6
"""Novelty of yaw and pitch alone from which a pose is another one (about 20 and 16 degrees)."""

View = Callable[[int], float]
"""Tells of a row of the candidates what share of its face nothing covers, 0..1."""


def harvest(
    candidates: Sequence[Candidate],
    centroid: FloatArray,
    limit: int,
    *,
    others: FloatArray | None = None,
    view: View | None = None,
) -> list[int]:
    """Choose the references of one person.

    Not the sharpest ones, which are alike, but a cover: the best face first, then again and
    again the one with the largest product of quality and difference (pose, mouth, light) from
    those chosen, at last `LIDS` with shut eyes. Faces that are mid-blink, covered or far less sharp
    than the best are taken only where nothing better shows that pose, those that may be somebody
    else only if there is nothing else at all.

    Parameters
    ----------
    candidates
        Close-ups of the person from all its tracks.
    centroid : (512,)
        The person's mean embedding, unit.
    limit
        References at most.
    others : (M, 512), optional
        Mean embeddings of the other people of the film.
    view
        Asked about few rows, as it may be slow.

    Returns
    -------
    list of int
        Rows of `candidates`, the first chosen first; empty if none is large and sharp enough.
    """
    usable = [row for row, face in enumerate(candidates) if _is_usable(face, centroid)]
    if not usable:
        return []
    faces = [candidates[row] for row in usable]
    seen = _Views(usable, view or (lambda row: 1.0))
    doubtful = ~surely_same(faces, centroid, others)
    shut = mid_blink(faces)
    flawed = shut | _soft(faces, WORTH_HAVING)
    sizes = np.array([face.native_size for face in faces])
    near = (sizes >= LIDS_AS_NEAR * sizes.max()) & ~_soft(faces, LIDS_DETAIL)
    lids = np.flatnonzero(shut & ~doubtful & near)
    pool = _Pool(faces, flawed)
    good = np.flatnonzero(~doubtful & ~flawed)
    most = limit - min(LIDS, len(lids), limit // LIDS_OF)
    pool.cover(good, most, seen.at_least(CLEAR_VIEW))
    if pool.chosen:
        pool.fill_poses(np.flatnonzero(~doubtful), most, seen.at_least(LEAST_VIEW))
        pool.best(lids, min(limit, len(pool.chosen) + LIDS), seen.at_least(CLEAR_VIEW))
        pool.cover(good, limit, seen.at_least(CLEAR_VIEW))
    for rest in (~doubtful, doubtful):
        for least in (LEAST_VIEW, 0.0):
            if not pool.chosen:  # nothing without a flaw: the best of those there are
                pool.cover(np.flatnonzero(rest), limit, seen.at_least(least))
    return [usable[row] for row in pool.chosen]


def surely_same(
    faces: Sequence[Candidate], centroid: FloatArray, others: FloatArray | None = None
) -> NDArray[np.bool_]:
    """Say which close-ups are the person for certain, (N,).

    Not those that are more like another person of the film, nor those far below what the
    person's own close-ups are like (its own spread; a turned face may be less alike).
    """
    embeddings = np.stack([face.embedding for face in faces])
    alike = embeddings @ centroid
    same = np.ones(len(faces), bool)
    if others is not None and len(others):
        same &= (embeddings @ others.T).max(1) < alike
    if len(faces) >= _JUDGED_BY_SPREAD:
        turned = 1 - pose_term(np.stack([face.pose for face in faces]))
        expected = alike + _TURNED * turned
        middle = float(np.median(expected))
        spread = max(_LEAST_SPREAD, 1.4826 * float(np.median(np.abs(expected - middle))))
        same &= expected >= min(CERTAIN, middle - _SPREADS * spread)
    return same


def mid_blink(faces: Sequence[Candidate]) -> NDArray[np.bool_]:
    """Say which close-ups have eyes far less open than the person's are when open, (N,).

    Measured against the track's own eyes, so narrow ones are no blink; against the person's on
    other tracks where the track is short or all of it asleep.
    """
    openness = np.array([face.openness for face in faces])
    levels = np.array([face.open_level for face in faces])
    person = open_level([*levels[np.isfinite(levels)]] or openness.tolist())
    own = np.where(np.isfinite(levels) & ~(levels < SHUT * person), levels, person)
    shut: NDArray[np.bool_] = openness < SHUT * own
    return shut


def _soft(faces: Sequence[Candidate], worth: float) -> NDArray[np.bool_]:
    """Say which close-ups have less than a share of the detail of the one that has most, (N,)."""
    detail = np.array([_detail(face) for face in faces])
    soft: NDArray[np.bool_] = detail < worth * detail.max()
    return soft


@dataclass
class _Views:
    """Asks about each row once."""

    rows: Sequence[int]
    view: View

    def __post_init__(self) -> None:
        self._known: dict[int, float] = {}

    def at_least(self, share: float) -> Callable[[int], bool]:
        """Return what says of a row whether so much of it is seen."""
        return lambda row: self._of(row) >= share

    def _of(self, row: int) -> float:
        if row not in self._known:
            self._known[row] = self.view(self.rows[row])
        return self._known[row]


class _Pool:
    """Close-ups of one person and which of them are chosen so far."""

    def __init__(self, faces: Sequence[Candidate], flawed: NDArray[np.bool_]) -> None:
        self.looks = np.stack([face.traits for face in faces])
        quality = np.array([face.quality for face in faces])
        self.worth = np.where(flawed, SHUT_WORTH * quality, quality)
        self.detail = np.array([_detail(face) for face in faces])
        self.chosen: list[int] = []

    def cover(self, rows: Iterable[int], limit: int, accept: Callable[[int], bool]) -> None:
        """Choose rows that are good, accepted and unlike those chosen; some alike ones too."""
        open_rows = self._open(rows)
        while len(self.chosen) < limit and open_rows.any():
            gain = np.where(open_rows, self.worth * self._novelty(), -1)
            best = int(np.argmax(gain))
            if self.chosen and gain[best] < _LEAST_GAIN:
                enough = self.detail >= WORTH_HAVING * self.detail.max()
                gain = np.where(enough, gain, -1)
                best = int(np.argmax(gain))
                if len(self.chosen) >= ENOUGH or gain[best] <= 0:
                    return
            open_rows[best] = False
            if accept(best):
                self.chosen.append(best)

    def fill_poses(self, rows: Iterable[int], limit: int, accept: Callable[[int], bool]) -> None:
        """Choose rows, flawed or not, for poses that nothing chosen shows."""
        open_rows = self._open(rows)
        while len(self.chosen) < limit:
            other = novelty(self.looks[:, :2], self.looks[self.chosen][:, :2])
            open_rows &= other >= _OTHER_POSE
            if not open_rows.any():
                return
            best = int(np.argmax(np.where(open_rows, self.worth * other, -1)))
            open_rows[best] = False
            if accept(best):
                self.chosen.append(best)

    def best(self, rows: Iterable[int], limit: int, accept: Callable[[int], bool]) -> None:
        """Choose those of rows with most detail, however alike they are."""
        for row in sorted(rows, key=lambda row: -self.detail[row]):
            if len(self.chosen) < limit and row not in self.chosen and accept(row):
                self.chosen.append(int(row))

    def _novelty(self) -> FloatArray:
        return novelty(self.looks, self.looks[self.chosen])

    def _open(self, rows: Iterable[int]) -> NDArray[np.bool_]:
        open_rows = np.zeros(len(self.worth), bool)
        open_rows[list(rows)] = True
        open_rows[self.chosen] = False
        return open_rows


def _is_usable(face: Candidate, centroid: FloatArray) -> bool:
    return (
        shows_enough(face.native_size, face.sharpness)
        and face.quality >= MIN_QUALITY
        and float(face.embedding @ centroid) >= MIN_SIMILARITY
    )


def _detail(face: Candidate) -> float:
    return face.native_size * face.sharpness
