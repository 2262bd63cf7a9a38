"""Open and shut eyes, drawn and real."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from refrestore.config import RuntimeSettings
from refrestore.faces.analyser import load_face_models
from refrestore.faces.eyes import EYES, SHUT, eye_openness, open_level
from refrestore.models.pack import load_face_pack

CLIP = "data/clips/LatentSync__assets_demo1_video.mp4"
SHUT_FRAMES = (3, 51, 69, 93)
"""Mid-blink frames of the clip, found by eye; the mesh draws open lids on all of them."""

OPEN_FRAMES = (0, 12, 18, 24, 36, 45, 60, 78, 87)


def drawn(opening, *, width=40, slope=0.0, noise=0.0, seed=0):
    """A face of which only the eyes are drawn: skin, whites, an iris and the lash line."""
    picture = np.full((200, 300, 3), 170, np.uint8)
    landmarks = np.zeros((1, 468, 2), np.float32)
    for ring, x in zip(EYES, (90, 210), strict=True):
        angle = np.linspace(np.pi, 3 * np.pi, 16, endpoint=False)
        points = np.stack([x + width / 2 * np.cos(angle), 100 + width / 6 * np.sin(angle)], 1)
        landmarks[0, list(ring)] = points  # always open, as the network draws them
        if opening:
            size = (width // 2, max(1, round(opening * width / 6)))
            cv2.ellipse(picture, (x, 100), size, 0, 0, 360, (230,) * 3, -1)
            whole = np.zeros_like(picture)
            cv2.ellipse(whole, (x, 100), size, 0, 0, 360, (255,) * 3, -1)
            iris = np.zeros_like(picture)
            cv2.circle(iris, (x, 100), width // 6, (255,) * 3, -1)
            picture[(whole > 0) & (iris > 0)] = 50
        cv2.line(picture, (x - width // 2, 103), (x + width // 2, 103), (90,) * 3, 1)
    shaded = picture * (1 + slope * np.linspace(-1, 1, 300))[None, :, None]
    shaded = shaded + np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.clip(shaded, 0, 255).astype(np.uint8), landmarks


@pytest.mark.parametrize("width", [14, 24, 40, 70])
@pytest.mark.parametrize(("slope", "noise"), [(0, 0), (0.4, 0), (0, 8), (-0.3, 8)])
def test_shut_eyes_are_told_from_open_ones(width, slope, noise):
    level = eye_openness(*drawn(1.0, width=width, slope=slope, noise=noise))[0]
    shut = eye_openness(*drawn(0.0, width=width, slope=slope, noise=noise, seed=1))[0]
    again = eye_openness(*drawn(0.9, width=width, slope=slope, noise=noise, seed=2))[0]
    assert shut < SHUT * level < again


def test_a_turned_head_changes_little():
    picture, landmarks = drawn(1.0)
    straight = eye_openness(picture, landmarks)[0]
    turn = cv2.getRotationMatrix2D((150, 100), 30, 0.8)
    tilted = cv2.warpAffine(picture, turn, (300, 200), borderMode=cv2.BORDER_REPLICATE)
    points = (landmarks @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    assert eye_openness(tilted, points)[0] == pytest.approx(straight, rel=0.15)


def test_nobody_and_nothing_known():
    assert eye_openness(np.zeros((9, 9, 3), np.uint8), np.zeros((0, 468, 2), "f4")).shape == (0,)
    assert np.isfinite(eye_openness(np.zeros((9, 9, 3), np.uint8), np.zeros((1, 468, 2), "f4")))
    assert np.isnan(open_level([]))
    assert np.isnan(open_level([float("nan")]))
    assert open_level([0.1, 0.5, 0.5, 0.5, float("nan")]) == pytest.approx(0.5)


@pytest.mark.shared
def test_blinks_of_a_real_film(shared):
    runtime = RuntimeSettings(device="cpu", models_dir=shared / "models", threads=1)
    models = load_face_models(load_face_pack(runtime), "cpu", threads=1)
    found = {}
    with av.open(str(shared / CLIP)) as film:
        for number, frame in enumerate(film.decode(video=0)):
            if number in SHUT_FRAMES + OPEN_FRAMES:
                image = frame.to_ndarray(format="rgb24")
                face = models.describe(image, models.detector.detect([image], [0], 640)[[0]])
                found[number] = float(eye_openness(image, face.landmarks)[0])
            if number >= max(SHUT_FRAMES):
                break
    level = open_level(list(found.values()))
    assert max(found[number] for number in SHUT_FRAMES) < SHUT * level
    assert min(found[number] for number in OPEN_FRAMES) > SHUT * level
