"""The guard's word on a segment's faces: some of each track are restored both ways and read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from refrestore.render import invention
from refrestore.render.around import FacesAround
from refrestore.render.believed import for_references, put_right
from refrestore.render.crops import arcface_crops
from refrestore.render.face_table import FaceTable
from refrestore.render.low_resolution import shrunk_cosines, shrunk_embeddings, unreadable
from refrestore.render.need import CLEARLY_SHARPER
from refrestore.render.tools import Tools
from refrestore.restore import burst
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.guard import (
    REFUSED,
    Belief,
    Choice,
    Evidence,
    GuardSettings,
    Judgement,
    clearer_than_shrunk,
    expected_gain,
    judge,
    recognise,
)
from refrestore.restore.restorer import Restored
from refrestore.types import FloatArray, IntArray

GUARD_EVERY = 15
"""Frames between the guard's samples of a track: twice a second at 30 per second. Between two
samples one decision gives way to the next evenly."""

DECISION_SIGMA = 3.0 * GUARD_EVERY
"""Frames over which what decides about a face is averaged: a track's faces are one face."""


@dataclass(frozen=True, slots=True)
class GuardSample:
    """What the guard saw of one face, and how much it may show of the second stage's."""

    frame: int
    track: int
    identity: int
    judgement: Judgement
    belief: Belief
    invented: float = 1.0


def sample_rows(work: FaceTable) -> IntArray:
    """Return the rows the guard judges: per track every `GUARD_EVERY` restored frames."""
    chosen: list[int] = []
    for _, rows in work.by_track():
        own = rows[(work.strength[rows] > 0) & work.own[rows]]
        count = -(-len(own) // GUARD_EVERY)
        places = (np.arange(count) + 0.5) * len(own) / max(count, 1)
        chosen.extend(own[places.astype(int)].tolist())
    return np.array(sorted(chosen), np.int64)


class RecognisedFaces(NamedTuple):
    """Sampled faces as the recogniser sees them.

    Parameters
    ----------
    rows : (N,)
        Of the work.
    as_input : (N, 512)
        Embeddings.
    unreferenced, restored : (N, 3, 512)
        Embeddings with each amount of what the second stage draws (`invention`); restored is NaN
        where there are no references.
    shrunk : (N, 3)
        See `render.low_resolution.shrunk_cosines`.
    from_afar : (N, 512)
        Embeddings of the faces shrunk to the largest of these sides.
    blur : (N, 6)
        See `restore.burst.blur_of`.
    """

    rows: IntArray
    as_input: FloatArray
    unreferenced: FloatArray
    restored: FloatArray
    shrunk: FloatArray
    from_afar: FloatArray
    blur: FloatArray

    @classmethod
    def together(cls, batches: Sequence[RecognisedFaces]) -> RecognisedFaces:
        """Return the faces of all batches in the work's order."""
        rows = np.concatenate([one.rows for one in batches])
        order = np.argsort(rows)
        columns = (
            np.concatenate(column)[order]
            for column in zip(*(one[1:] for one in batches), strict=True)
        )
        return cls(rows[order], *columns)


def look_at(
    work: FaceTable,
    rows: IntArray,
    around: FacesAround,
    tools: Tools,
) -> RecognisedFaces:
    """Restore the sampled faces with and without references, and embed all three."""
    pictures = around.faces
    landmarks, drawn, images = work.landmarks, pictures, pictures
    blur = np.zeros((len(rows), burst.TERMS), np.float32)
    if tools.switches.burst:
        seen = burst.measured(*around)
        blur = seen.blur()
        blur[[len(others) < burst.FEWEST for others in around.near]] = 0
        images, drawn = seen.images, burst.sharpened(pictures, seen.images, blur)
    banks = tools.banks_of(work)
    share = burst.share(blur)
    plain = tools.restorer.restore(drawn, landmarks, [None] * len(work), drawn=share)
    guided = tools.restorer.restore(
        for_references(pictures, drawn, banks, blur),
        landmarks,
        banks,
        exclude=tools.hidden(work, banks),
        references=max(1, tools.references),
        drawn=share,
        shut=work.shut,
    )
    recogniser = tools.models.recogniser

    def embed(made: Restored) -> FloatArray:
        right = put_right(made, images, landmarks, blur, banks=banks)
        return recogniser.embed(arcface_crops(right, landmarks))

    as_input = recogniser.embed(arcface_crops(pictures, landmarks))
    unreferenced, restored = invention.tried(plain, embed), invention.tried(guided, embed)
    restored[[bank is None for bank in banks]] = np.nan
    smaller = shrunk_embeddings(pictures, landmarks, recogniser)
    shrunk = shrunk_cosines(as_input, smaller)
    return RecognisedFaces(rows, as_input, unreferenced, restored, shrunk, smaller[-1], blur)


def judge_samples(
    whole: FaceTable, batches: Sequence[RecognisedFaces], tools: Tools
) -> list[GuardSample]:
    """Decide for each sampled face of a segment, by what is measured along its track."""
    if not batches:
        return []
    seen = RecognisedFaces.together(batches)
    work = whole.select(seen.rows)
    frames = work.faces.frame
    banks = tools.banks_of(work)
    excluded = tools.hidden(work, banks)
    centroids = [
        None if bank is None else bank.centroid_without(list(rows))
        for bank, rows in zip(banks, excluded, strict=True)
    ]
    witnesses = [
        None
        if bank is None
        else bank.centroid_without(
            bank.rows_between(*tools.rivals.frames_of(int(track), int(frame)))
        )
        for bank, track, frame in zip(banks, work.track, frames, strict=True)
    ]
    wanted = invention.ideals(centroids, seen.as_input, work.track, tools.rivals.means)
    most = {
        choice: invention.most(along_tracks(work, invention.likeness(tried, wanted)))
        for choice, tried in (
            (Choice.RESTORED, seen.restored),
            (Choice.UNREFERENCED, seen.unreferenced),
        )
    }
    rows = np.arange(len(work))
    unreferenced = seen.unreferenced[rows, most[Choice.UNREFERENCED]]
    restored = seen.restored[rows, most[Choice.RESTORED]]
    shrunk = along_tracks(work, seen.shrunk)
    both = tools.rivals.with_track(seen.as_input, work.track)
    rivals = [tools.rivals.of(int(identity)) for identity in work.identity]
    beliefs = _beliefs(both, unreadable(shrunk), centroids, rivals, witnesses)
    astray = np.isin(work.track, list(tools.rivals.astray))
    for row in np.flatnonzero(astray & [one is not None for one in centroids]):
        beliefs[row] = Belief.ANOTHER
    evidence = Evidence(shrunk, both, tools.cosines.gain)
    gains = expected_gain(seen.as_input, restored, centroids, evidence)
    clearer = clearer_than_shrunk(seen.as_input, seen.from_afar, centroids)
    judgements = judge(
        seen.as_input,
        unreferenced,
        restored,
        centroids,
        beliefs=beliefs,
        gains=along_tracks(work, gains),
        shrunk=shrunk,
        clearer=along_tracks(work, clearer),
        drawn=burst.share(along_tracks(work, seen.blur)),
        shown=shown_larger(work, banks),
        settings=GuardSettings(
            legible=tools.cosines.legible,
            recognised=tools.cosines.recognised,
            likely=tools.cosines.likely,
        ),
    )
    amounts = [
        invention.AMOUNTS[most.get(one.choice, most[Choice.UNREFERENCED])[row]]
        for row, one in enumerate(judgements)
    ]
    return [
        GuardSample(int(frame), int(track), int(identity), judgement, belief, amount)
        for frame, track, identity, judgement, belief, amount in zip(
            frames, work.track, work.identity, judgements, beliefs, amounts, strict=True
        )
    ]


def shown_larger(work: FaceTable, banks: Sequence[ReferenceBank | None]) -> NDArray[np.bool_]:
    """Say of each face whether the film's own close-ups show much more of it, whatever its blur."""
    sizes = [
        0.0 if bank is None or bank.photos_among(range(len(bank))) else np.median(bank.native_size)
        for bank in banks
    ]
    shown: NDArray[np.bool_] = np.array(sizes) >= CLEARLY_SHARPER * work.faces.size
    return shown


def along_tracks(work: FaceTable, values: FloatArray) -> FloatArray:
    """Average what was measured of sampled faces over their neighbours in the same track.

    A face that is now read as it is and now restored would flicker.
    """
    result = np.empty_like(values)
    for _, rows in work.by_track():
        frames = work.faces.frame[rows].astype(np.float64)
        apart = (frames[:, None] - frames) / DECISION_SIGMA
        weights = np.exp(-(apart**2) / 2)
        result[rows] = (weights / weights.sum(axis=1, keepdims=True)) @ values[rows]
    return result


def blurs_of(whole: FaceTable, batches: Sequence[RecognisedFaces]) -> FloatArray:
    """Return what the film did to every face, (N, 6), by the sampled ones of its track."""
    blurs = np.zeros((len(whole), burst.TERMS), np.float32)
    if not batches:
        return blurs
    seen = RecognisedFaces.together(batches)
    sampled = whole.select(seen.rows)
    steady = along_tracks(sampled, seen.blur)
    for track, rows in whole.by_track():
        own = sampled.track == track
        if own.any():
            frames = sampled.faces.frame[own]
            for term in range(burst.TERMS):
                blurs[rows, term] = np.interp(whole.faces.frame[rows], frames, steady[own, term])
    return blurs


def _beliefs(
    embeddings: FloatArray,
    illegible: FloatArray,
    centroids: Sequence[FloatArray | None],
    rivals: Sequence[FloatArray],
    witnesses: Sequence[FloatArray | None],
) -> list[Belief]:
    """Say of each face whether it is the person, where a centroid is known."""
    beliefs = []
    for row, centroid in enumerate(centroids):
        if centroid is None:
            beliefs.append(Belief.CANNOT_TELL)
            continue
        one = slice(row, row + 1)
        beliefs += recognise(
            embeddings[one],
            centroid,
            rivals[row],
            witness=witnesses[row],
            unreadable=illegible[one],
        )
    return beliefs


def weights_of(
    work: FaceTable, samples: list[GuardSample]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return per row the weight of the references, of restoring at all, and of what is invented.

    Between two samples of a track the weights go linearly from one decision to the next, and a
    decision that both its neighbours contradict is overruled: it would only be a flash. A face
    that is somebody else is never overruled; it gets nothing of the references.
    """
    guided = np.ones(len(work), np.float32)
    effect = np.ones(len(work), np.float32)
    invented = np.ones(len(work), np.float32)
    for track, rows in work.by_track():
        own = sorted((s for s in samples if s.track == track), key=lambda s: s.frame)
        if not own:
            continue
        frames = [sample.frame for sample in own]
        said = [sample.judgement for sample in own]
        for weights, wanted in (
            (guided, [one.share * (one.choice is Choice.RESTORED) for one in said]),
            (effect, [one.choice is not Choice.INPUT for one in said]),
        ):
            steady = median_filter(np.array(wanted, np.float64), size=3, mode="nearest")
            if weights is guided:
                steady[[sample.belief in REFUSED for sample in own]] = 0
            weights[rows] = np.interp(work.faces.frame[rows], frames, steady)
        amounts = [sample.invented for sample in own]
        invented[rows] = np.interp(work.faces.frame[rows], frames, amounts)
    return guided, effect, invented
