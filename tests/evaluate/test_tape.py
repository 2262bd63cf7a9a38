"""Tapes: less detail, less colour, noise that moves, lines that do not begin in one place."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from refrestore.config import RuntimeSettings
from refrestore.evaluate.demo import group_photo
from refrestore.evaluate.film_maker import Filmed, Scene, make_film
from refrestore.evaluate.rows import film_pictures
from refrestore.evaluate.tape import TAPES, on_tape
from refrestore.faces.analyser import load_face_models
from refrestore.media.probe import probe
from refrestore.media.stills import write_picture
from refrestore.models import load_face_pack
from refrestore.types import FloatArray, ImageArray

QUIET = replace(TAPES["tape"], noise=0.0, chroma_noise=0.0, jitter=0.0)


def played(picture: ImageArray, tape=QUIET, count: int = 1, seed: int = 0) -> list[ImageArray]:
    return list(on_tape([picture] * count, tape, np.random.default_rng(seed)))


def stripes(lines: float, height: int = 240, width: int = 320) -> ImageArray:
    """Return so many upright light and dark lines across a picture's height."""
    across = 128 + 100 * np.sin(np.pi * lines / height * np.arange(width))
    return np.repeat(np.tile(across, (height, 1))[..., None], 3, 2).astype(np.uint8)


def contrast(picture: ImageArray) -> float:
    return float(picture[40:-40, 40:-40].astype(np.float32).std())


def test_lines_finer_than_the_tape_keeps_are_gone() -> None:
    once = replace(QUIET, generations=1)
    kept = [
        contrast(played(stripes(lines), once)[0]) / contrast(stripes(lines))
        for lines in (40, once.luma_lines, 235)
    ]
    assert kept[0] > 0.95
    assert 0.25 < kept[1] < 0.45
    assert kept[2] < kept[1] < kept[0]
    twice = played(stripes(once.luma_lines), replace(once, generations=2))[0]
    assert contrast(twice) < 0.5 * contrast(played(stripes(once.luma_lines), once)[0])


def test_colour_has_fewer_lines_than_light() -> None:
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[:, :160, 0], picture[:, 160:, 1] = 200, 102  # of one luma
    seen = played(picture)[0]
    bands = cv2.cvtColor(seen, cv2.COLOR_RGB2YCrCb)[120].astype(np.float32)

    def rise(band: FloatArray) -> int:
        low, high = np.sort(band[[20, 300]])
        return int(((band > low + 0.1 * (high - low)) & (band < high - 0.1 * (high - low))).sum())

    assert rise(bands[:, 1]) > 3 * max(rise(bands[:, 0]), 2)


def test_noise_moves_and_is_drawn_from_the_seed() -> None:
    grey = np.full((96, 128, 3), 120, np.uint8)
    one, two = played(grey, TAPES["tape"], 2)
    assert np.abs(one.astype(int) - two).mean() > 1
    again = played(grey, TAPES["tape"], 2)
    assert np.array_equal(one, again[0])
    assert np.array_equal(two, again[1])
    # Smeared along the lines: neighbours in a line are alike, lines are not.
    luma = one.astype(np.float32).mean(2) - one.mean()
    along, across = ((luma * np.roll(luma, 1, axis)).mean() / luma.var() for axis in (1, 0))
    assert along > across > 0


def test_a_camera_moves_over_a_photo_and_the_film_is_the_tapes(tmp_path) -> None:
    photo = tmp_path / "photo.png"
    write_picture(photo, np.ascontiguousarray(group_photo()[190:460, 0:230]))
    models = load_face_models(load_face_pack(RuntimeSettings(threads=1)), "cpu", threads=1)
    film, truth = tmp_path / "film.mkv", tmp_path / "truth.mkv"
    labels = make_film(
        [Scene((Filmed(photo, 0.0, 90.0),), 0.4)],
        film,
        truth,
        models=models,
        size=(320, 240),
        rate=Fraction(25),
        tape=TAPES["worn tape"],
    )
    assert [(one.first, one.stop, one.degraded) for one in labels] == [(0, 10, True)]
    clean, seen = list(film_pictures(truth)), list(film_pictures(film))
    assert len(clean) == len(seen) == 10
    faces = [models.detector.detect([picture], [0], 320) for picture in clean]
    middles = np.stack([one.keypoints[0].mean(0) for one in faces])
    assert np.ptp(middles, axis=0).max() > 1
    assert np.abs(middles - middles[0]).max() < 12
    height = faces[0].box[0, 3] - faces[0].box[0, 1]
    assert height == pytest.approx(90, abs=12)
    assert probe(film).frames == 10
    sharp, soft = (cv2.Laplacian(one[5][..., 1], cv2.CV_32F).std() for one in (clean, seen))
    assert soft < sharp
