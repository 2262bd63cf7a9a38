"""The 468-point mesh as trainings need it: mirrored, and where the eyes and lips are."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

# Rings of the MediaPipe face mesh (face_mesh_connections.py of MediaPipe).
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415),
)
NOSE_TIP, FOREHEAD, CHIN = 1, 10, 152
CHEEKS = (234, 454)


def mirror_order(landmarks: np.ndarray) -> np.ndarray:
    """Mesh index of each point's mirror image, from the mean of meshes (N, 468, 2)."""
    mean = landmarks.mean(0)
    middle = mean[:, 0].mean()
    mirrored = mean * [-1, 1] + [2 * middle, 0]
    cost = np.linalg.norm(mean[:, None] - mirrored[None], axis=2)
    return linear_sum_assignment(cost)[1]


def interocular(landmarks: np.ndarray) -> np.ndarray:
    """Distance (N,) between the middles of the eyes of meshes (N, 468, 2)."""
    eyes = [landmarks[:, list(eye)].mean(1) for eye in (RIGHT_EYE, LEFT_EYE)]
    return np.linalg.norm(eyes[0] - eyes[1], axis=1)


def turn(landmarks: np.ndarray) -> np.ndarray:
    """How far heads (N,) are turned aside: 0 for frontal, towards 1 for a profile."""
    sides = [np.linalg.norm(landmarks[:, NOSE_TIP] - landmarks[:, c], axis=1) for c in CHEEKS]
    return np.abs(sides[0] - sides[1]) / (sides[0] + sides[1])
