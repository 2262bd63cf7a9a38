"""The landmark network of the tree, on the six faces of the photo that insightface ships."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from refrestore.evaluate.demo import group_photo
from refrestore.faces.align import FFHQ_TEMPLATE, crops, invert, similarity, transform
from refrestore.faces.landmarker import MESH_SIZE, Landmarker, mesh_squares
from refrestore.faces.pose import mesh_keypoints

WEIGHTS = Path(__file__).resolve().parents[2] / "models/lite/landmarks.onnx"

# SCRFD-2.5g's answer on the photo, pixels.
BOXES = np.array(
    [
        [746, 340, 846, 481],
        [466, 266, 574, 417],
        [59, 263, 169, 396],
        [1132, 272, 1226, 399],
        [905, 55, 1014, 205],
        [270, 148, 372, 266],
    ],
    np.float32,
)
KEYPOINTS = np.array(
    [
        [[760.7, 396.2], [802.4, 401.6], [771.3, 431.2], [763.9, 438.2], [806.1, 442.3]],
        [[492.2, 319.4], [541.3, 332.4], [507.6, 361.2], [484.4, 367.6], [532.4, 378.9]],
        [[87.8, 330.9], [129.4, 306.8], [121.1, 337.3], [115.4, 369.6], [149.3, 350.1]],
        [[1148.8, 327.0], [1192.9, 322.7], [1168.0, 350.6], [1155.3, 367.0], [1196.2, 363.3]],
        [[916.8, 119.8], [945.3, 114.1], [919.7, 150.1], [937.3, 171.7], [958.8, 166.3]],
        [[287.5, 211.2], [321.1, 195.2], [305.6, 228.4], [311.7, 245.5], [338.4, 231.5]],
    ],
    np.float32,
)
EYES = np.linalg.norm(KEYPOINTS[:, 1] - KEYPOINTS[:, 0], axis=1)
SQUARES = mesh_squares(BOXES, KEYPOINTS)


@pytest.fixture(scope="module")
def landmarker():
    return Landmarker(WEIGHTS, "cpu", 1)


@pytest.fixture(scope="module")
def photo():
    return group_photo()


def find(landmarker, picture):
    points, presence = landmarker.dense(crops(picture, SQUARES, MESH_SIZE))
    return transform(invert(SQUARES), points), presence


def degraded(photo, width, seed=0):
    """Return the photo with the average face `width` px wide, noise and JPEG, enlarged back."""
    factor = width / float((BOXES[:, 2] - BOXES[:, 0]).mean())
    small = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(seed).normal(0, 6, small.shape)
    small = np.clip(small + noise, 0, 255).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 60])
    small = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return cv2.resize(small, photo.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def apart(points, others):
    """Return mean distances of points (6, K, 2), interocular distances."""
    return np.linalg.norm(points - others, axis=2).mean(1) / EYES


def test_mesh_lies_on_the_faces(landmarker, photo):
    points, presence = find(landmarker, photo)
    assert (presence > 0.9).all()
    assert apart(mesh_keypoints(points), KEYPOINTS).mean() < 0.09
    low, high = points.min(1), points.max(1)
    overlap = np.minimum(high, BOXES[:, 2:]) - np.maximum(low, BOXES[:, :2])
    union = np.prod(high - low, 1) + np.prod(BOXES[:, 2:] - BOXES[:, :2], 1) - overlap.prod(1)
    assert (overlap.prod(1) / union).min() > 0.6


def test_mesh_stays_when_the_face_is_blurred(landmarker, photo):
    clean, _ = find(landmarker, photo)
    # The teacher, never shown a degraded face, moves by 0.031, 0.052 and 0.071.
    for width, most in ((48, 0.03), (32, 0.05), (24, 0.05)):
        points, presence = find(landmarker, degraded(photo, width))
        assert apart(points, clean).mean() < most
        assert (presence > 0.5).all()


def test_mesh_is_the_same_in_aligned_crops(landmarker, photo):
    squares, _ = find(landmarker, photo)
    matrices = similarity(KEYPOINTS, FFHQ_TEMPLATE)
    points, presence = landmarker.dense(crops(photo, matrices, 512))
    assert (presence > 0.9).all()
    assert apart(transform(invert(matrices), points), squares).mean() < 0.06


def test_mirrored_faces_have_mirrored_keypoints(landmarker, photo):
    cut = crops(photo, SQUARES, MESH_SIZE)
    points, _ = landmarker.dense(cut)
    mirrored, _ = landmarker.dense(np.ascontiguousarray(cut[:, :, ::-1]))
    back = mesh_keypoints(mirrored)[:, [1, 0, 2, 4, 3]] * [-1, 1] + [MESH_SIZE - 1, 0]
    scale = 1 / np.linalg.norm(SQUARES[:, 0, :2], axis=1)
    assert (apart(back, mesh_keypoints(points)) * scale).mean() < 0.06


def test_one_face_is_found_like_many(landmarker, photo):
    cut = crops(photo, SQUARES, MESH_SIZE)
    together, _ = landmarker.dense(cut)
    alone, _ = landmarker.dense(cut[4:5])
    np.testing.assert_allclose(alone[0], together[4], atol=1e-2)


def test_no_face_in_noise_plain_colour_or_background(landmarker, photo):
    noise = np.random.default_rng(0).integers(0, 256, (MESH_SIZE, MESH_SIZE, 3), np.uint8)
    corner = np.ascontiguousarray(photo[: MESH_SIZE // 2, : MESH_SIZE // 2])
    corner = cv2.resize(corner, (MESH_SIZE, MESH_SIZE))
    _, presence = landmarker.dense(np.stack([noise, np.full_like(noise, 128), corner]))
    assert (presence < 0.2).all()
