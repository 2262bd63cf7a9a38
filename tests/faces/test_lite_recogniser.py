"""The recogniser in the tree, on the six people of the photo inside insightface."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from refrestore.evaluate.demo import group_photo
from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.recogniser import Recogniser

WEIGHTS = Path(__file__).parents[2] / "models/lite/recogniser.onnx"

KEYPOINTS = np.array(
    [
        [[87.8, 330.9], [129.4, 306.8], [121.1, 337.3], [115.4, 369.6], [149.3, 350.1]],
        [[287.5, 211.2], [321.1, 195.2], [305.6, 228.4], [311.7, 245.5], [338.4, 231.5]],
        [[492.2, 319.4], [541.3, 332.4], [507.6, 361.2], [484.4, 367.6], [532.4, 378.9]],
        [[760.7, 396.2], [802.4, 401.6], [771.3, 431.2], [763.9, 438.2], [806.1, 442.3]],
        [[916.8, 119.8], [945.3, 114.1], [919.8, 150.1], [937.3, 171.7], [958.8, 166.3]],
        [[1148.8, 327.0], [1192.9, 322.7], [1168.0, 350.6], [1155.3, 367.0], [1196.2, 363.3]],
    ],
    np.float32,
)
"""What SCRFD finds, from left to right."""

FACE_WIDTH = 100
SAME_PERSON = 0.4  # what scanning asks of two tracks of one person


@pytest.fixture(scope="module")
def recogniser():
    return Recogniser(WEIGHTS, threads=1)


@pytest.fixture(scope="module")
def photo():
    return group_photo()


@pytest.fixture(scope="module")
def clean(recogniser, photo):
    return recogniser.embed_faces(photo, KEYPOINTS)


def _shrunk(photo, width):
    height, full = photo.shape[:2]
    size = (round(full * width / FACE_WIDTH), round(height * width / FACE_WIDTH))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(1).normal(0, 5, small.shape)
    small = np.clip(small + noise, 0, 255).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 65])
    small = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return cv2.resize(small, (full, height), interpolation=cv2.INTER_CUBIC), KEYPOINTS


def _mirrored(photo):
    keypoints = KEYPOINTS[:, [1, 0, 2, 4, 3]].copy()
    keypoints[..., 0] = photo.shape[1] - 1 - keypoints[..., 0]
    return np.ascontiguousarray(photo[:, ::-1]), keypoints


def _lit(photo):
    light = np.linspace(0.35, 1.1, photo.shape[0])[:, None, None]
    return np.clip(photo * light * [1.1, 1.0, 0.85], 0, 255).astype(np.uint8), KEYPOINTS


def _misplaced(photo):
    eyes = np.linalg.norm(KEYPOINTS[:, 1] - KEYPOINTS[:, 0], axis=1)[:, None, None]
    off = np.random.default_rng(2).normal(0, 0.05, KEYPOINTS.shape)
    return photo, (KEYPOINTS + off * eyes).astype(np.float32)


@pytest.mark.parametrize(
    "change",
    [
        _mirrored,
        _lit,
        _misplaced,
        lambda photo: _shrunk(photo, 48),
        lambda photo: _shrunk(photo, 24),
    ],
    ids=["mirrored", "lit", "keypoints off", "48 px", "24 px"],
)
def test_everybody_stays_nearest_to_themselves(recogniser, photo, clean, change):
    found = recogniser.embed_faces(*change(photo)) @ clean.T
    own = np.diag(found).copy()
    np.fill_diagonal(found, -1)
    assert (own > found.max(1) + 0.1).all()
    assert (own > SAME_PERSON).all()


def test_two_people_are_apart(clean):
    alike = clean @ clean.T
    assert (alike[~np.eye(len(alike), dtype=bool)] < SAME_PERSON).all()


def test_embeddings_are_unit_and_a_batch_is_its_faces_one_by_one(recogniser, photo, clean):
    assert np.allclose(np.linalg.norm(clean, axis=1), 1, atol=1e-5)
    alone = [recogniser.embed_faces(photo, keypoints[None])[0] for keypoints in KEYPOINTS]
    assert np.allclose(np.stack(alone), clean, atol=1e-4)


def test_the_file_takes_pixels_from_minus_one_to_one(recogniser, photo, clean):
    """insightface guesses the range from the names of the first nodes."""
    import onnxruntime

    aligned = crops(photo, similarity(KEYPOINTS, ARCFACE_TEMPLATE), 112)
    planes = (aligned.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
    session = onnxruntime.InferenceSession(str(WEIGHTS), providers=["CPUExecutionProvider"])
    plain = session.run(None, {session.get_inputs()[0].name: planes})[0]
    plain /= np.linalg.norm(plain, axis=1, keepdims=True)
    assert np.allclose(plain, clean, atol=1e-4)
