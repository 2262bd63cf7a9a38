"""What the dense mesh says about a head: where it looks, how far the mouth is open.

Indices are those of MediaPipe's canonical face topology. "Left" and "right" are the picture's.
"""

from __future__ import annotations

import numpy as np

from refrestore.types import DoubleArray, FloatArray

RIGID_SHAPE = {
    10: (-0.000, -0.506, -0.167),
    151: (-0.000, -0.321, -0.194),
    9: (-0.000, -0.128, -0.211),
    8: (-0.000, -0.031, -0.192),
    168: (0.000, 0.052, -0.185),
    6: (0.000, 0.141, -0.227),
    197: (0.000, 0.221, -0.277),
    195: (0.000, 0.295, -0.332),
    5: (0.000, 0.374, -0.389),
    4: (0.000, 0.470, -0.410),
    1: (0.000, 0.542, -0.383),
    2: (0.000, 0.605, -0.211),
    33: (-0.500, 0.096, 0.058),
    133: (-0.196, 0.117, -0.000),
    362: (0.196, 0.117, -0.000),
    263: (0.500, 0.096, 0.058),
    109: (-0.210, -0.499, -0.149),
    338: (0.210, -0.499, -0.149),
    67: (-0.385, -0.468, -0.078),
    297: (0.385, -0.468, -0.078),
    54: (-0.648, -0.303, 0.187),
    284: (0.648, -0.303, 0.187),
    21: (-0.708, -0.180, 0.325),
    251: (0.708, -0.180, 0.325),
    127: (-0.743, 0.112, 0.593),
    356: (0.743, 0.112, 0.593),
    234: (-0.731, 0.267, 0.653),
    454: (0.731, 0.267, 0.653),
}
"""Points of the mesh that no expression moves: x right, y down, z away from the camera, in outer
eye distances. The mean head of the landmark network itself (training/rigid_face.py)."""

_EYES = (
    # corner, corner, then pairs of upper and lower lid
    (33, 133, ((160, 144), (159, 145), (158, 153))),
    (362, 263, ((385, 380), (386, 374), (387, 373))),
)
_INNER_LIPS = (13, 14)
_INNER_MOUTH_CORNERS = (78, 308)
_MOUTH_CORNERS = (61, 291)
_NOSE_TIP = (1, 4)
_NOSE_TIP_SHARE = 0.7
"""SCRFD puts the nose this far from mesh point 4 to point 1 (79 portraits: -0.074 and +0.031 of the
interocular distance below it)."""


def distance_over_radius(points: FloatArray, expected: FloatArray) -> FloatArray:
    """Return how far keypoints (N, 5, 2) are from expected ones, over the face's radius, (N,).

    The radius is the expected keypoints' mean distance from their middle.
    """
    radius = np.linalg.norm(expected - expected.mean(1, keepdims=True), axis=-1).mean(1)
    distance = np.linalg.norm(points - expected, axis=-1).mean(1)
    ratio: FloatArray = distance / np.maximum(radius, 1e-6)
    return ratio


def head_pose(landmarks: FloatArray) -> FloatArray:
    """Return yaw, pitch and roll of each head, degrees.

    Weak perspective: the affine map from the mean head's rigid points to the picture is a linear
    regression; the nearest rotation (by singular values) of its two rows is the pose. Exact for
    a head far from the camera, within a few degrees for a close-up.

    Parameters
    ----------
    landmarks : (N, 468, 2)
        Dense landmarks in square pixels of any upright picture or crop.

    Returns
    -------
    (N, 3) float32
        Yaw (positive looks to the picture's right), pitch (positive looks up), roll (positive
        tilts clockwise). In a crop the roll is what is left of it after alignment.
    """
    shape = np.array(list(RIGID_SHAPE.values()))
    shape -= shape.mean(0)
    points = np.asarray(landmarks, np.float64)[:, list(RIGID_SHAPE)]
    points = points - points.mean(1, keepdims=True)
    affine = np.swapaxes(np.linalg.pinv(shape) @ points, 1, 2)
    left, _, right = np.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    rotation = np.stack([rows[:, 0], rows[:, 1], np.cross(rows[:, 0], rows[:, 1])], 1)
    nose = -rotation[:, :, 2]
    yaw = np.arctan2(nose[:, 0], -nose[:, 2])
    pitch = np.arcsin(np.clip(-nose[:, 1], -1, 1))
    roll = np.arctan2(rotation[:, 1, 0], rotation[:, 1, 1])
    pose: FloatArray = np.degrees(np.stack([yaw, pitch, roll], 1)).astype(np.float32)
    return pose


def mouth_opening(landmarks: FloatArray) -> FloatArray:
    """Return how far the mouth is open, (N,): distance of the inner lips over the mouth's width."""
    points = np.asarray(landmarks, np.float64)
    ratio: FloatArray = (
        _distance(points, *_INNER_LIPS) / _distance(points, *_INNER_MOUTH_CORNERS)
    ).astype(np.float32)
    return ratio


def mesh_keypoints(landmarks: FloatArray) -> FloatArray:
    """Return the five keypoints (N, 5, 2) a detector would give, taken from the mesh.

    Eyes are the middle of the four eye corners and lids, the nose is its tip.
    """
    points = np.asarray(landmarks, np.float64)
    eyes = [
        points[:, [outer, inner, *(index for pair in lids for index in pair)]].mean(1)
        for outer, inner, lids in _EYES
    ]
    lower, upper = _NOSE_TIP
    nose = _NOSE_TIP_SHARE * points[:, lower] + (1 - _NOSE_TIP_SHARE) * points[:, upper]
    mouth = [points[:, corner] for corner in _MOUTH_CORNERS]
    keypoints: FloatArray = np.stack([*eyes, nose, *mouth], 1).astype(np.float32)
    return keypoints


def _distance(points: DoubleArray, first: int, second: int) -> DoubleArray:
    distance: DoubleArray = np.linalg.norm(points[:, first] - points[:, second], axis=-1)
    return np.maximum(distance, 1e-6)
