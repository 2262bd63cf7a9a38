"""A cleaner close-up from neighbouring frames, where the best one is noisy.

Grain is new in every frame and the face is not: the mean of nine aligned frames has a third of it.
What the encoder did to the face is much the same in all of them, so compressed footage gains
nothing and is left alone (docs/decisions/012).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from refrestore.faces.align import FFHQ_TEMPLATE, crops, invert, scale_of, similarity, transform
from refrestore.faces.analyser import PRESENT, SLIPPED, FaceModels
from refrestore.faces.pose import distance_over_radius, mesh_keypoints
from refrestore.faces.quality import noise, sharpness
from refrestore.scan.samples import Candidate, CloseUpCrop
from refrestore.types import FloatArray, ImageArray

REACH = 4
"""Frames before and after that are looked at: 0.16 s, in which an expression hardly changes."""

NOISY = 2.0
"""Grey levels of noise (RMS of the finest octave on skin) from which averaging surely pays: grain
of 20 levels at CRF 26 leaves 2.3 to 3.6 and 2.9 dB are gained. Grain of 10 at CRF 23 leaves 1.2 to
1.7, and so do sharp faces of clean films, for which reading the video again would be in vain
(docs/decisions/012)."""

_LESS_NOISE, _AS_SHARP = 0.8, 0.85
"""What a fused close-up may have of the plain one's noise and must have of its sharpness."""

_FLOW_SIDE = 256
"""Side of the pictures between which motion is measured: these faces have no more pixels."""

_SMOOTH = 1.2
"""Blur before measuring motion and difference, pixels at that side: noise is no motion."""

_ALIKE = 8.0
"""Difference in grey levels, blurred, at which a neighbour's pixel counts exp(-1/2)."""


Measure = Callable[[ImageArray, FloatArray], FloatArray]


def packed(candidate: Candidate) -> Candidate:
    """Return a candidate as it is sent and kept: its crop packed, the crop's noise measured."""
    crop = candidate.close_up
    if not isinstance(crop, CloseUpCrop):
        return candidate
    known = candidate.matrix is not None
    level = _native(noise, candidate, crop) if known else float("nan")
    return replace(candidate, close_up=crop.packed(), noise=level)


def noisy(candidate: Candidate) -> bool:
    """Say whether a packed close-up has noise that neighbouring frames could take away."""
    return candidate.noise >= NOISY


def fuse(
    candidate: Candidate,
    close_up: CloseUpCrop,
    pictures: Mapping[int, ImageArray],
    models: FaceModels,
    person: FloatArray,
) -> Candidate | None:
    """Return the close-up made of its own and neighbouring frames, None if it is not better.

    Better: clearly less noise, still as sharp at its own resolution, and more like the person.

    Parameters
    ----------
    candidate, close_up
        The close-up; `candidate.matrix` and `candidate.box` are known.
    pictures
        RGB pictures in display pixels by frame, of one shot: its own and neighbours of it.
    models
        Networks.
    person : (512,)
        What the person is like, unit, this close-up left out.
    """
    others = _neighbours(candidate, close_up, pictures, models)
    if not others:
        return None
    image = _blend(close_up, others)
    merged = CloseUpCrop(image, close_up.landmarks)
    before, after = (_native(noise, candidate, one) for one in (close_up, merged))
    sharp, still = (_native(sharpness, candidate, one) for one in (close_up, merged))
    if after > _LESS_NOISE * before or still < _AS_SHARP * sharp:
        return None
    embedding = models.recogniser.embed_faces(image, mesh_keypoints(close_up.landmarks[None]))[0]
    if float(embedding @ person) <= float(candidate.embedding @ person):
        return None
    return replace(candidate, close_up=merged, embedding=embedding, frames=1 + len(others))


def _neighbours(
    candidate: Candidate,
    close_up: CloseUpCrop,
    pictures: Mapping[int, ImageArray],
    models: FaceModels,
) -> list[ImageArray]:
    """Follow the face into neighbouring frames; return its crops there, aligned by the mesh."""
    assert candidate.matrix is not None
    assert candidate.box is not None
    back = invert(candidate.matrix[None])
    start = transform(back, mesh_keypoints(close_up.landmarks[None])).astype(np.float32)
    found = []
    for step in (-1, 1):
        points, box = start, candidate.box[None]
        for frame in range(candidate.frame + step, candidate.frame + step * (REACH + 1), step):
            if frame not in pictures:
                break
            landmarks, presence = models.mesh(pictures[frame], box, points)
            seen = mesh_keypoints(landmarks)
            if presence[0] < PRESENT or distance_over_radius(seen, points)[0] > SLIPPED:
                break
            box = box + np.tile((seen - points).mean(1), 2)
            points = seen
            found.append(crops(pictures[frame], similarity(points, FFHQ_TEMPLATE))[0])
    return found


def _blend(close_up: CloseUpCrop, others: Sequence[ImageArray]) -> ImageArray:
    """Return the weighted mean of a crop and of others moved onto it."""
    target = close_up.image
    size = target.shape[0]
    shape, total = target.astype(np.float32), np.ones((size, size), np.float32)
    grey = _smooth(target)
    steps = np.mgrid[:size, :size].astype(np.float32)
    motion = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    mean = shape.copy()
    for other in others:
        still = np.zeros((_FLOW_SIDE, _FLOW_SIDE, 2), np.float32)
        flow = motion.calc(grey, _smooth(other), still)
        wide = cv2.resize(flow, (size, size), interpolation=cv2.INTER_LINEAR) * (size / _FLOW_SIDE)
        moved = cv2.remap(
            other.astype(np.float32),
            steps[1] + wide[..., 0],
            steps[0] + wide[..., 1],
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        # Where the two still differ once noise is blurred away, the face moved or is covered.
        apart = cv2.GaussianBlur((moved - shape).mean(-1), (0, 0), 2 * size / _FLOW_SIDE * _SMOOTH)
        weight = np.exp(-np.square(apart / _ALIKE) / 2)
        mean += weight[..., None] * moved
        total += weight
    return np.asarray(np.clip(np.rint(mean / total[..., None]), 0, 255), np.uint8)


def _smooth(image: ImageArray) -> ImageArray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_FLOW_SIDE, _FLOW_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), _SMOOTH), np.uint8)


def _native(measure: Measure, candidate: Candidate, close_up: CloseUpCrop) -> float:
    """Measure a crop at the resolution it was taken at."""
    assert candidate.matrix is not None
    factor = min(1.0, 1 / float(scale_of(candidate.matrix[None])[0]))
    side = round(factor * close_up.image.shape[0])
    small = cv2.resize(close_up.image, (side, side), interpolation=cv2.INTER_AREA)
    points = ((close_up.landmarks + 0.5) * factor - 0.5).astype(np.float32)
    return float(measure(np.asarray(small, np.uint8), points[None])[0])
