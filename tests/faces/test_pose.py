import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refrestore.faces.pose import (
    RIGID_SHAPE,
    head_pose,
    mesh_keypoints,
    mouth_opening,
)


def turned(yaw, pitch, roll, scale=80.0, centre=(200, 150)):
    """Project the mean head, turned as asked, without perspective."""
    yaw, pitch, roll = np.radians([yaw, pitch, roll])
    around_y = [[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]]
    around_x = [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    around_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    rotation = np.array(around_y) @ np.array(around_x) @ np.array(around_z)
    landmarks = np.zeros((1, 468, 2), np.float32)
    points = np.array(list(RIGID_SHAPE.values())) @ rotation.T
    landmarks[0, list(RIGID_SHAPE)] = scale * points[:, :2] + centre
    return landmarks


@settings(max_examples=50, deadline=None)
@given(st.floats(-75, 75), st.floats(-60, 60), st.floats(-170, 170), st.floats(5, 500))
def test_pose_is_recovered(yaw, pitch, roll, scale):
    found = head_pose(turned(yaw, pitch, roll, scale))[0]
    np.testing.assert_allclose(found, [yaw, pitch, roll], atol=0.05)


def test_signs_are_the_pictures():
    # The tip of the nose (4) moves to where the head turns, relative to the bridge (168).
    right, up = turned(30, 0, 0)[0], turned(0, 20, 0)[0]
    straight = turned(0, 0, 0)[0]
    assert right[4, 0] - right[168, 0] > straight[4, 0] - straight[168, 0] + 5
    assert up[4, 1] - up[168, 1] < straight[4, 1] - straight[168, 1] - 5
    clockwise = turned(0, 0, 20)[0]
    assert clockwise[263, 1] > clockwise[33, 1]


def test_the_mouths_opening_is_a_ratio():
    landmarks = np.zeros((2, 468, 2), np.float32)
    landmarks[:, 78], landmarks[:, 308] = (20, 60), (60, 60)
    landmarks[1, 13], landmarks[1, 14] = (40, 50), (40, 70)
    np.testing.assert_allclose(mouth_opening(landmarks), [0, 0.5], atol=1e-6)


def test_keypoints_are_in_the_detectors_order():
    landmarks = np.zeros((1, 468, 2), np.float32)
    for index in (33, 133, 160, 144, 159, 145, 158, 153):
        landmarks[0, index] = (10, 10)
    for index in (362, 263, 385, 380, 386, 374, 387, 373):
        landmarks[0, index] = (30, 10)
    landmarks[0, [1, 4]] = (20, 20)
    landmarks[0, 61], landmarks[0, 291] = (12, 30), (28, 30)
    expected = [[10, 10], [30, 10], [20, 20], [12, 30], [28, 30]]
    np.testing.assert_allclose(mesh_keypoints(landmarks)[0], expected)


@pytest.mark.parametrize("function", [head_pose, mouth_opening, mesh_keypoints])
def test_no_faces(function):
    assert len(function(np.zeros((0, 468, 2), np.float32))) == 0
