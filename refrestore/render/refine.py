"""First look at a segment: steady landmarks and the guard's word, before anything is painted.

The render reads each segment twice, one sequential reader a segment ahead of the other. This
pass keeps only landmarks and decisions, so smoothing can look both ways over the whole segment
while no picture is held back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.ndimage import maximum_filter, median_filter

from refrestore.faces.align import compose, invert, transform
from refrestore.faces.landmarker import MESH_SIZE
from refrestore.media.tensors import FrameTensor, crops
from refrestore.render.around import Around
from refrestore.render.crops import bytes_of, storage_to_square
from refrestore.render.face_table import FaceTable
from refrestore.render.guarding import (
    GuardSample,
    RecognisedFaces,
    blurs_of,
    judge_samples,
    look_at,
    sample_rows,
    weights_of,
)
from refrestore.render.tools import Tools
from refrestore.restore.temporal import smooth
from refrestore.types import DENSE_LANDMARKS, FloatArray, Frame, Geometry

LANDMARK_SIGMA_LARGE, LANDMARK_SIGMA_SMALL = 1.0, 3.0
"""Smoothing of dense landmarks in frames, for faces of `SURE_SIZE` pixels and for the smallest:
the smaller the face, the noisier the mesh and the less of its motion can be seen."""

SURE_SIZE, UNSURE_SIZE = 110.0, 24.0

LIDS_FRAMES = 3
"""Frames of which the middle one in how far eyes are shut counts: a blink is longer."""

BLINK_FRAMES = 13
"""Frames around a face in one of which eyes have to be more shut than open, or they are open in it:
a blink is shut somewhere, and noise says less of open eyes (docs/decisions/056)."""


@dataclass
class Refined:
    """A segment's work with steady landmarks, and the samples its weights rest on."""

    work: FaceTable
    samples: list[GuardSample] = field(default_factory=list)


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
    sampled = sample_rows(work).tolist() if asked else []
    around = Around(work, sampled, sampled if tools.switches.burst else [])
    to_square = storage_to_square(work.faces, geometry)
    from_square = compose(work.to_crop, invert(to_square))
    raw = np.zeros((len(work), DENSE_LANDMARKS, 2), np.float32)
    presence = np.zeros(len(work), np.float32)
    shut = np.zeros(len(work), np.float32)
    seen: list[RecognisedFaces] = []
    pending: list[tuple[int, torch.Tensor]] = []

    def look() -> None:
        if pending:
            rows = [row for row, _ in pending]
            squares = bytes_of(torch.stack([crop for _, crop in pending]))
            found, there = tools.models.landmarker.dense(squares)
            raw[rows] = transform(from_square[rows], found)
            presence[rows] = there
            if tools.restorer.lids is not None:
                banks = tools.banks_of(work.select(np.array(rows)))
                planes = squares.permute(0, 3, 1, 2).float() / 255
                shut[rows] = tools.restorer.lids.shut(planes, found, banks)
            pending.clear()

    def ask(last: int | None = None) -> None:
        look()
        for _, rows in work.by_side(around.take(last)):
            faces = work.select(rows).refined(raw[rows], shut=shut[rows])
            seen.append(look_at(faces, rows, around.of(rows), tools))
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
    samples = judge_samples(work, seen, tools) if tools.switches.guard else []
    guided, effect, invented = weights_of(work, samples)
    blur = blurs_of(work, seen)
    landmarks = _steady(work, raw, presence)
    found = {"guided": guided, "effect": effect, "blur": blur, "invented": invented}
    return Refined(work.refined(landmarks, shut=steady_lids(work, shut), **found), samples)


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


def steady_lids(work: FaceTable, shut: FloatArray) -> FloatArray:
    """Return how far eyes are shut, without what only single frames say, and without traces."""
    steady = np.zeros_like(shut)
    for _, rows in work.by_track():
        said = median_filter(shut[rows], size=LIDS_FRAMES, mode="nearest")
        most = maximum_filter(said, size=BLINK_FRAMES, mode="nearest")
        steady[rows] = np.where(most >= 0.5, said, 0)
    return steady
