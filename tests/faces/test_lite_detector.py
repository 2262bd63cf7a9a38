"""The lite pack's own detector on the photo that insightface ships."""

import cv2
import numpy as np
import pytest

from refrestore.config import tree_directory
from refrestore.evaluate.demo import group_photo
from refrestore.faces.align import FFHQ_TEMPLATE, similarity, transform
from refrestore.faces.detector import Detector

EYES = np.array(
    [
        [[88, 331], [129, 307]],
        [[287, 211], [321, 195]],
        [[492, 319], [541, 332]],
        [[761, 396], [802, 402]],
        [[917, 120], [945, 114]],
        [[1149, 327], [1193, 323]],
    ],
    np.float32,
)
"""Left and right eye of the six people, from left to right, by eye and SCRFD 2.5G."""


@pytest.fixture(scope="module")
def detector():
    return Detector(tree_directory("models") / "lite/detector.onnx", "cpu", 1)


@pytest.fixture(scope="module")
def group():
    return group_photo()


@pytest.mark.parametrize("size", [640, 800, 1280])
def test_six_people_and_their_keypoints(detector, group, size):
    found = detector.detect([group], [0], size)
    assert len(found) == len(EYES)
    found = found[np.argsort(found.box[:, 0])]
    error = np.linalg.norm(found.keypoints[:, :2] - EYES, axis=2).mean(1) / found.size
    assert error.max() < 0.12  # at 320 px two of the six are missed
    assert error.mean() < 0.06
    # All five lie as in a face: after alignment near the template's places.
    placed = transform(similarity(found.keypoints, FFHQ_TEMPLATE), found.keypoints)
    assert np.linalg.norm(placed - FFHQ_TEMPLATE, axis=2).mean() < 15  # of 512


def test_mirrored_photo_has_mirrored_faces(detector, group):
    found = detector.detect([group], [0], 640)
    mirrored = detector.detect([np.ascontiguousarray(group[:, ::-1])], [0], 640)
    middles = np.sort(found.box[:, [0, 2]].mean(1))
    others = np.sort(group.shape[1] - 1 - mirrored.box[:, [0, 2]].mean(1))
    np.testing.assert_allclose(middles, others, atol=8)
    eyes = mirrored.keypoints[:, 1, 0] - mirrored.keypoints[:, 0, 0]
    assert (eyes > 0).all()


def test_dark_and_noisy_photo_keeps_its_faces(detector, group):
    random = np.random.default_rng(0)
    dark = 0.3 * group + random.normal(0, 4, group.shape)
    assert len(detector.detect([np.clip(dark, 0, 255).astype(np.uint8)], [0], 640)) == len(EYES)


def test_face_that_fills_the_picture(detector, group):
    left, top, size = 430, 240, 200
    close = cv2.resize(group[top : top + size, left : left + size], (800, 800))
    found = detector.detect([close], [0], 640)
    assert len(found) == 1
    assert found.size[0] > 0.4 * 800


def test_pictures_together_are_as_one_by_one(detector, group):
    pictures = [group, np.ascontiguousarray(group[:, ::-1]), np.zeros_like(group)]
    together = detector.detect(pictures, [3, 4, 5], 640)
    alone = [detector.detect([picture], [0], 640) for picture in pictures]
    assert [int((together.frame == frame).sum()) for frame in (3, 4, 5)] == [6, 6, 0]
    boxes = np.concatenate([faces.box for faces in alone])
    points = np.concatenate([faces.keypoints for faces in alone])
    np.testing.assert_allclose(together.box, boxes, atol=0.05)
    np.testing.assert_allclose(together.keypoints, points, atol=0.05)


def test_no_face_where_there_is_none(detector, group):
    random = np.random.default_rng(1)
    noise = random.integers(0, 256, (360, 640, 3), np.uint8)
    clouds = cv2.resize(random.integers(0, 256, (9, 16, 3), np.uint8), (640, 360))
    stripes = np.repeat(((np.arange(640) // 12 % 2) * 255).astype(np.uint8)[None], 360, 0)
    text = np.full((360, 640, 3), 240, np.uint8)
    for row in range(30, 360, 40):
        cv2.putText(text, "the quick brown fox", (10, row), cv2.FONT_HERSHEY_SIMPLEX, 1.4, 0, 2)
    stripes = np.ascontiguousarray(np.repeat(stripes[..., None], 3, 2))
    found = detector.detect([noise, clouds, stripes, text], [0, 1, 2, 3], 640)
    assert len(found) == 0
    # Shirts and trousers: the photo without its upper two thirds.
    legs = np.ascontiguousarray(group[560:])
    assert len(detector.detect([legs], [0], 640)) == 0
