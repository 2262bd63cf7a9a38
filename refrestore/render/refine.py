"""First look at a segment: steady landmarks and the guard's word, before anything is painted.

The render reads each segment twice, one sequential reader a segment ahead of the other. This
pass keeps only landmarks and decisions, so smoothing can look both ways over the whole segment
while no picture is held back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from refrestore.faces.align import compose, invert, transform
from refrestore.faces.analyser import FaceModels
from refrestore.faces.landmarker import MESH_SIZE
from refrestore.media.tensors import FrameTensor, crops
from refrestore.profiles.cosines import Cosines, cosines
from refrestore.render import invention
from refrestore.render.around import Around, FacesAround
from refrestore.render.believed import for_references, put_right
from refrestore.render.crops import arcface_crops, bytes_of, storage_to_square
from refrestore.render.face_table import FaceTable
from refrestore.render.low_resolution import shrunk_cosines, shrunk_embeddings, unreadable
from refrestore.render.need import CLEARLY_SHARPER
from refrestore.render.rivals import Rivals
from refrestore.render.switches import ALL_ON, Switches
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
from refrestore.restore.restorer import Restored, Restorer
from refrestore.restore.temporal import smooth
from refrestore.types import (
    DENSE_LANDMARKS,
    FloatArray,
    Frame,
    Geometry,
    IntArray,
)

LANDMARK_SIGMA_LARGE, LANDMARK_SIGMA_SMALL = 1.0, 3.0
"""Smoothing of dense landmarks in frames, for faces of `SURE_SIZE` pixels and for the smallest:
the smaller the face, the noisier the mesh and the less of its motion can be seen."""

SURE_SIZE, UNSURE_SIZE = 110.0, 24.0

GUARD_EVERY = 15
"""Frames between the guard's samples of a track: twice a second at 30 per second. Between two
samples one decision gives way to the next evenly."""


LIDS_FRAMES = 3
"""Frames of which the middle one in how far eyes are shut counts: a blink is longer."""

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


@dataclass
class Refined:
    """A segment's work with steady landmarks, and the samples its weights rest on."""

    work: FaceTable
    samples: list[GuardSample] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Tools:
    """What a render needs beside the pictures.

    Parameters
    ----------
    models
        Landmarks and recogniser.
    restorer
        The restorer.
    banks
        Reference bank per identity id.
    references
        Used per face; 0 restores everybody without.
    batch
        Faces worked on together.
    rivals
        Who a face could be besides the person it is said to be.
    switches
        What is left out, to measure what it is worth.
    cosines
        What those of the recogniser are like.
    unreferenced
        Tracks that are restored without references (`TrackPlan.referenced`).
    """

    models: FaceModels
    restorer: Restorer
    banks: Mapping[int, ReferenceBank]
    references: int
    batch: int
    rivals: Rivals = field(default_factory=Rivals)
    switches: Switches = ALL_ON
    cosines: Cosines = field(default_factory=lambda: cosines(""))
    unreferenced: Set[int] = frozenset()

    def banks_of(self, work: FaceTable) -> list[ReferenceBank | None]:
        """Return the references to restore each face from, or None."""
        usable = {number: bank for number, bank in self.banks.items() if len(bank)}
        return [
            usable.get(identity) if self.references and track not in self.unreferenced else None
            for identity, track in zip(work.identity.tolist(), work.track.tolist(), strict=True)
        ]

    def hidden(
        self, work: FaceTable, banks: Sequence[ReferenceBank | None]
    ) -> list[Collection[int]]:
        """Return per face the rows of its bank that it is not restored from."""
        return [
            () if bank is None else self.rivals.hidden(bank, int(track), int(frame))
            for bank, track, frame in zip(banks, work.track, work.faces.frame, strict=True)
        ]


def refine(work: FaceTable, frames: Iterable[Frame], geometry: Geometry, tools: Tools) -> Refined:
    """Find and steady the landmarks of a segment's faces, and ask the guard about samples.

    Parameters
    ----------
    work
        From `gather`, context rows included.
    frames
        The frames the work is on, in order; others are passed over.
    geometry
        Of the frames.
    """
    asked = tools.switches.guard or tools.switches.burst
    sampled = _sample_rows(work).tolist() if asked else []
    around = Around(work, sampled, sampled if tools.switches.burst else [])
    to_square = storage_to_square(work.faces, geometry)
    from_square = compose(work.to_crop, invert(to_square))
    raw = np.zeros((len(work), DENSE_LANDMARKS, 2), np.float32)
    presence = np.zeros(len(work), np.float32)
    shut = np.zeros(len(work), np.float32)
    seen: list[_RecognisedFaces] = []
    pending: list[tuple[int, torch.Tensor]] = []

    def look() -> None:
        if pending:
            rows = [row for row, _ in pending]
            squares = bytes_of(torch.stack([crop for _, crop in pending]))
            found, there = tools.models.landmarker.dense(squares)
            raw[rows] = transform(from_square[rows], found)
            presence[rows] = there
            if tools.restorer.lids is not None:
                planes = squares.permute(0, 3, 1, 2).float() / 255
                shut[rows] = tools.restorer.lids.shut(planes, found)
            pending.clear()

    def ask(last: int | None = None) -> None:
        look()
        for _, rows in work.by_side(around.take(last)):
            faces = work.select(rows).refined(raw[rows], shut=shut[rows])
            seen.append(_look(faces, rows, around.of(rows), tools))
        around.forget()

    for frame in frames:
        rows = work.rows_of_frame(frame.index)
        if not len(rows):
            continue
        picture = FrameTensor.of(frame.picture).to(tools.restorer.device)
        small = crops([picture] * len(rows), to_square[rows], MESH_SIZE)
        pending += zip(rows.tolist(), small, strict=True)
        for side, cut in work.by_side(rows[around.wanted[rows]]):
            around.add(cut, crops([picture] * len(cut), work.to_crop[cut], side))
        if len(pending) >= tools.batch:
            look()
        if around.ready(tools.batch, frame.index):
            ask(frame.index)
    ask()
    samples = _judge(work, seen, tools) if tools.switches.guard else []
    guided, effect, invented = _weights(work, samples)
    blur = _blurs(work, seen)
    landmarks = _steady(work, raw, presence)
    found = {"guided": guided, "effect": effect, "blur": blur, "invented": invented}
    return Refined(work.refined(landmarks, shut=_steady_lids(work, shut), **found), samples)


def _sample_rows(work: FaceTable) -> IntArray:
    """Return the rows the guard judges: per track every `GUARD_EVERY` restored frames."""
    chosen: list[int] = []
    for _, rows in work.by_track():
        own = rows[(work.strength[rows] > 0) & work.own[rows]]
        count = -(-len(own) // GUARD_EVERY)
        places = (np.arange(count) + 0.5) * len(own) / max(count, 1)
        chosen.extend(own[places.astype(int)].tolist())
    return np.array(sorted(chosen), np.int64)


def _steady(work: FaceTable, raw: FloatArray, presence: FloatArray) -> FloatArray:
    """Smooth each track's landmarks over time, the more the smaller the face.

    Sides of crops change along a track: shares of the side are smoothed.
    """
    sides = work.side[:, None, None]
    shares = ((raw + 0.5) / sides).astype(np.float32)
    steady = shares.copy()
    for _, rows in work.by_track():
        size = float(np.median(work.faces.size[rows]))
        share = np.clip((SURE_SIZE - size) / (SURE_SIZE - UNSURE_SIZE), 0, 1)
        sigma = LANDMARK_SIGMA_LARGE + share * (LANDMARK_SIGMA_SMALL - LANDMARK_SIGMA_LARGE)
        trust = np.clip(presence[rows], 0.02, 1)
        steady[rows] = smooth(shares[rows], work.faces.frame[rows], sigma=sigma, weights=trust)
    pixels: FloatArray = (steady * sides - 0.5).astype(np.float32)
    return pixels


def _steady_lids(work: FaceTable, shut: FloatArray) -> FloatArray:
    """Return how far eyes are shut without what only single frames say."""
    steady = np.zeros_like(shut)
    for _, rows in work.by_track():
        steady[rows] = median_filter(shut[rows], size=LIDS_FRAMES, mode="nearest")
    return steady


class _RecognisedFaces(NamedTuple):
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
    def together(cls, batches: Sequence[_RecognisedFaces]) -> _RecognisedFaces:
        """Return the faces of all batches in the work's order."""
        rows = np.concatenate([one.rows for one in batches])
        order = np.argsort(rows)
        columns = (
            np.concatenate(column)[order]
            for column in zip(*(one[1:] for one in batches), strict=True)
        )
        return cls(rows[order], *columns)


def _look(
    work: FaceTable,
    rows: IntArray,
    around: FacesAround,
    tools: Tools,
) -> _RecognisedFaces:
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
    return _RecognisedFaces(rows, as_input, unreferenced, restored, shrunk, smaller[-1], blur)


def _judge(
    whole: FaceTable, batches: Sequence[_RecognisedFaces], tools: Tools
) -> list[GuardSample]:
    """Decide for each sampled face of a segment, by what is measured along its track."""
    if not batches:
        return []
    seen = _RecognisedFaces.together(batches)
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
        choice: invention.most(_along_tracks(work, invention.likeness(tried, wanted)))
        for choice, tried in (
            (Choice.RESTORED, seen.restored),
            (Choice.UNREFERENCED, seen.unreferenced),
        )
    }
    rows = np.arange(len(work))
    unreferenced = seen.unreferenced[rows, most[Choice.UNREFERENCED]]
    restored = seen.restored[rows, most[Choice.RESTORED]]
    shrunk = _along_tracks(work, seen.shrunk)
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
        gains=_along_tracks(work, gains),
        shrunk=shrunk,
        clearer=_along_tracks(work, clearer),
        drawn=burst.share(_along_tracks(work, seen.blur)),
        shown=_shown(work, banks),
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


def _shown(work: FaceTable, banks: Sequence[ReferenceBank | None]) -> NDArray[np.bool_]:
    """Say of each face whether the film's own close-ups show much more of it, whatever its blur."""
    sizes = [
        0.0 if bank is None or bank.photos_among(range(len(bank))) else np.median(bank.native_size)
        for bank in banks
    ]
    shown: NDArray[np.bool_] = np.array(sizes) >= CLEARLY_SHARPER * work.faces.size
    return shown


def _along_tracks(work: FaceTable, values: FloatArray) -> FloatArray:
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


def _blurs(whole: FaceTable, batches: Sequence[_RecognisedFaces]) -> FloatArray:
    """Return what the film did to every face, (N, 6), by the sampled ones of its track."""
    blurs = np.zeros((len(whole), burst.TERMS), np.float32)
    if not batches:
        return blurs
    seen = _RecognisedFaces.together(batches)
    sampled = whole.select(seen.rows)
    steady = _along_tracks(sampled, seen.blur)
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


def _weights(
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
