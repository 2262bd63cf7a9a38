"""Derive refrestore/restore/tessellation.npz: the triangles of the face mesh.

    python -m training.tessellation LANDMARKS.onnx FOLDER_OF_512_PX_FFHQ_CROPS OUT.npz

The network gives 468 points in three dimensions. Their mean over many faces after generalised
Procrustes alignment, made symmetric, is unrolled from a point behind the head, so that no part lies
over another, and triangulated (Delaunay). Triangles are oriented as they are seen from the front
(positive area where x goes right and y down) and sorted from the back to the front.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from scipy.spatial import Delaunay

from training.common.mesh import mirror_order
from training.rigid_face import fit

ITERATIONS = 10
EYE_CORNERS = (33, 263)
BEHIND = 1.5
"""Where it is unrolled from: outer eye distances behind the mean point."""


def meshes(model: str, pictures: list[Path]) -> np.ndarray:
    """Return the meshes (N, 468, 3) that are found, pixels of 192."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found = []
    for path in pictures:
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        small = cv2.resize(picture, (192, 192), interpolation=cv2.INTER_AREA)
        feed = {session.get_inputs()[0].name: small[None].astype(np.float32) / 255}
        points, presence = session.run(None, feed)
        if presence.item() > 0:
            found.append(points.reshape(-1, 3).astype(np.float64))
    return np.stack(found)


def mean_shape(shapes: np.ndarray) -> np.ndarray:
    """Return the mean head (468, 3) in outer eye distances: symmetric, z away from the camera."""
    order = mirror_order(shapes[..., :2])
    mean = shapes[0]
    for _ in range(ITERATIONS):
        mean = np.mean([fit(shape, mean) for shape in shapes], 0)
        mean = (mean + fit(mean[order] * (-1, 1, 1), mean)) / 2
    across = mean[EYE_CORNERS[1]] - mean[EYE_CORNERS[0]]
    return (mean - mean.mean(0)) / np.linalg.norm(across)


def unrolled(shape: np.ndarray) -> np.ndarray:
    """Return positions (468, 2) by the angle seen from behind, azimuthal equidistant."""
    rays = shape - (0, 0, BEHIND)
    radius = np.linalg.norm(rays[:, :2], axis=1)
    angle = np.arctan2(radius, -rays[:, 2])
    return rays[:, :2] * (angle / np.maximum(radius, 1e-9))[:, None]


def triangles(shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (T, 3), back to front, and the longest edge of each in eye distances."""
    flat = unrolled(shape)
    corners = Delaunay(flat).simplices
    one, other = (flat[corners[:, place]] - flat[corners[:, 0]] for place in (1, 2))
    turned = one[:, 0] * other[:, 1] < one[:, 1] * other[:, 0]
    corners[turned] = corners[turned][:, ::-1]
    corners = corners[np.argsort(-shape[corners].mean(1)[:, 2], kind="stable")]
    edges = shape[corners] - shape[np.roll(corners, 1, axis=1)]
    return corners, np.linalg.norm(edges, axis=2).max(1)


def main(model: str, folder: str, out: str) -> None:
    shapes = meshes(model, sorted(Path(folder).iterdir()))
    corners, longest = triangles(mean_shape(shapes))
    np.savez(out, triangles=corners.astype(np.int16), longest=longest.astype(np.float32))
    print(f"{len(corners)} triangles of the mean of {len(shapes)} faces")


if __name__ == "__main__":
    main(*sys.argv[1:])
