"""What a blurred track's frames show together: nearer to the person than what each shows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from refrestore.config import RuntimeSettings
from refrestore.evaluate.tape import TAPES, on_tape
from refrestore.faces.analyser import load_face_models
from refrestore.models.pack import load_face_pack
from refrestore.restore import burst
from refrestore.scan.blurred import MOMENTS, embeddings, known_better, moments
from refrestore.scan.tracks import ENOUGH_QUALITY, ShotTrack
from refrestore.types import Faces, Frame, Geometry, Track

COUNT = 40
RUNTIME = RuntimeSettings(device="cpu", threads=1)


@pytest.fixture(scope="module")
def models():
    return load_face_models(load_face_pack(RUNTIME), "cpu", threads=1)


@pytest.fixture(scope="module")
def truth(models):
    """A face of 90 pixels that wanders through a picture of 480 lines, and where it is."""
    small = cv2.resize(astronaut(), (300, 300), interpolation=cv2.INTER_AREA)
    detected = models.detector.detect([small], [0])
    found = models.describe(small, detected, embed=False)
    row = int(np.argmax(found.size))
    pictures, points = [], []
    for number in range(COUNT):
        place = 40 + number, 60 + number // 2
        picture = np.full((480, 640, 3), 90, np.uint8)
        picture[place[1] : place[1] + 300, place[0] : place[0] + 300] = small
        pictures.append(picture)
        points.append(found.keypoints[row] + place)
    return pictures, np.array(points, np.float32)


def part_of(points, quality=0.05, embedding=None, count=COUNT):
    unit = np.eye(1, 512, dtype=np.float32)[0] if embedding is None else embedding
    track = Track(7, 0, 100, 100 + count, unit, 0.05, quality, 90.0, weak=True)
    low, high = points.min(1), points.max(1)
    faces = Faces(
        frame=np.arange(100, 100 + count),
        box=np.concatenate([low, high], 1),
        keypoints=points,
        score=np.ones(count),
    )
    return ShotTrack(track, faces, (), None)


def frames_of(pictures):
    for number, picture in enumerate(pictures, start=100):
        shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
        yield Frame(number, Fraction(number, 25), shown, Geometry(640, 480))


def embedded(models, picture, points):
    return models.recogniser.embed_faces(picture, points[None])[0]


def test_a_blurred_face_is_known_better(models, truth):
    pictures, points = truth
    person = embedded(models, pictures[0], points[0])
    taped = list(on_tape(pictures, TAPES["worn tape"], np.random.default_rng(0)))
    each = np.mean([embedded(models, taped[n], points[n]) for n in range(0, COUNT, 4)], axis=0)
    seen = (each / np.linalg.norm(each)).astype(np.float32)
    part = part_of(points, embedding=seen)
    todo = list(moments(part))
    assert len(todo) == len(MOMENTS)
    found = embeddings(todo, frames_of(taped), models.recogniser)
    assert list(found) == [7]
    known = known_better(part.track, found[7])
    assert float(known @ person) > float(seen @ person) + 0.02
    assert np.linalg.norm(known) == pytest.approx(1, abs=1e-5)


def test_a_face_that_is_not_blurred_stays_what_it_is(models, truth):
    pictures, points = truth
    assert not embeddings(list(moments(part_of(points))), frames_of(pictures), models.recogniser)


def test_what_is_looked_at_again(truth):
    _, points = truth
    asked = list(moments(part_of(points)))
    for one in asked:
        assert 100 <= one.first < one.stop <= 100 + COUNT
        assert set(one.matrices) <= set(range(one.frame - burst.REACH, one.frame + burst.REACH + 1))
        assert len(one.matrices) > burst.FEWEST
    assert not list(moments(part_of(points, quality=ENOUGH_QUALITY)))
    assert not list(moments(part_of(points[:4], count=4)))  # too few to be drawn from
    unknown = part_of(points)
    assert not list(moments(replace(unknown, track=replace(unknown.track, embedding=None))))


def test_a_film_that_breaks_off_tells_what_was_read(models, truth):
    pictures, points = truth
    taped = list(on_tape(pictures[:25], TAPES["worn tape"], np.random.default_rng(0)))
    todo = list(moments(part_of(points)))
    assert not embeddings(todo, frames_of(taped[:3]), models.recogniser)
    assert not embeddings(todo, [], models.recogniser)
    assert list(embeddings(todo, frames_of(taped), models.recogniser)) == [7]
