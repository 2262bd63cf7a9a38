import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.transform import SimilarityTransform

from refrestore.faces.align import (
    ARCFACE_TEMPLATE,
    CROP_SIZE,
    FFHQ_TEMPLATE,
    compose,
    crops,
    invert,
    resized,
    scale_of,
    similarity,
    transform,
)
from refrestore.types import Geometry

# scikit-image 0.26 names `estimate` anew; the older one, for Python 3.10, has no other name.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

coordinates = st.floats(-2000, 2000, allow_nan=False, width=32)


def scattered(points):
    return points[np.ptp(points, (1, 2)) > 1] if len(points) else points


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (3, 5, 2), elements=coordinates))
def test_similarity_equals_skimage(points):
    points = scattered(points)
    if not len(points):
        return
    found = similarity(points, FFHQ_TEMPLATE)
    for matrix, keypoints in zip(found, points, strict=True):
        oracle = SimilarityTransform()
        if not oracle.estimate(keypoints.astype(float), FFHQ_TEMPLATE):
            continue
        if not np.isfinite(oracle.params).all():
            continue
        corners = np.concatenate([keypoints, keypoints + 100])
        expected = oracle(corners)
        got = transform(matrix[None], corners[None])[0]
        np.testing.assert_allclose(got, expected, atol=1e-4 * max(1, np.abs(expected).max()))


def test_similarity_equals_insightface():
    from insightface.utils.face_align import estimate_norm

    points = ARCFACE_TEMPLATE[None] * 3.7 + np.random.default_rng(0).normal(0, 4, (6, 5, 2))
    expected = np.stack([estimate_norm(row) for row in points])
    np.testing.assert_allclose(similarity(points, ARCFACE_TEMPLATE), expected, atol=1e-4)


@pytest.mark.parametrize("points", [np.ones((1, 5, 2)), np.full((1, 5, 2), np.nan)])
def test_similarity_refuses_one_point(points):
    with pytest.raises(ValueError, match="finite keypoints"):
        similarity(points, FFHQ_TEMPLATE)


def test_invert_and_compose_undo_each_other():
    matrices = similarity(FFHQ_TEMPLATE[None] * 0.2 + [[[30, 50]]], FFHQ_TEMPLATE)
    identity = compose(invert(matrices), matrices)
    np.testing.assert_allclose(identity[0], [[1, 0, 0], [0, 1, 0]], atol=1e-9)
    assert scale_of(matrices)[0] == pytest.approx(5)
    assert scale_of(resized(matrices, 0.5))[0] == pytest.approx(2.5)


def test_compose_chains_display_to_storage():
    geometry = Geometry(640, 360, 27 / 20)
    matrices = similarity(FFHQ_TEMPLATE[None] * 0.2, FFHQ_TEMPLATE)
    storage_to_crop = compose(matrices, geometry.storage_to_display()[None])
    point = np.array([[[100.0, 50.0]]])
    stored = transform(geometry.display_to_storage()[None], point)
    np.testing.assert_allclose(transform(storage_to_crop, stored), transform(matrices, point))


def test_crop_of_identity_is_the_picture():
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    identity = np.array([[[1.0, 0, 0], [0, 1, 0]]])
    np.testing.assert_array_equal(crops(image, identity, 64)[0], image)


@pytest.mark.parametrize("factor", [3, 4, 8])
def test_shrinking_crop_is_the_area_average(factor):
    image = np.random.default_rng(2).integers(0, 256, (64 * factor, 64 * factor, 3), np.uint8)
    shift = (1 / factor - 1) / 2
    matrix = np.array([[[1 / factor, 0, shift], [0, 1 / factor, shift]]])
    expected = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA).astype(int)
    difference = np.abs(crops(image, matrix, 64)[0].astype(int) - expected)
    assert difference.max() <= 1


def test_shrinking_crop_does_not_alias():
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = np.array([[[0.11, 0, 3], [0, 0.11, 3]]])
    # Blocks of nine columns hold four or five white ones; point sampling would give 127.
    assert crops(stripes, matrix, 60)[0][10:-10, 10:-10].std() < 15


def test_crop_beyond_the_edge_is_mirrored_and_keeps_its_type():
    image = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    matrix = np.array([[[1.0, 0, 8], [0, 1.0, 0]]])
    crop = crops(image, matrix, 32)[0]
    assert crop.dtype == np.float32
    np.testing.assert_allclose(crop[:, 7], image[:, 1])
    np.testing.assert_allclose(crop[:, 8:], image[:, :24])


def test_no_faces_give_no_crops():
    image = np.zeros((10, 10, 3), np.uint8)
    assert crops(image, np.zeros((0, 2, 3))).shape == (0, CROP_SIZE, CROP_SIZE, 3)
