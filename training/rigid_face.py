"""Derive `RIGID_SHAPE` of refrestore/faces/pose.py from the landmark network's own depth.

    python training/rigid_face.py LANDMARKS.onnx FOLDER_OF_512_PX_FFHQ_CROPS

The network gives 468 points in three dimensions. Their mean over many faces after generalised
Procrustes alignment, made symmetric, and of it the points that no expression moves, in units of
the distance between the outer eye corners.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

RIGID = (
    *(10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2),  # forehead, bridge and tip of the nose
    *(33, 133, 362, 263),  # eye corners
    *(109, 338, 67, 297, 54, 284, 21, 251),  # hairline
    *(127, 356, 234, 454),  # temples, in front of the ears
)
MIRRORED = (
    *(10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2),
    *(263, 362, 133, 33),
    *(338, 109, 297, 67, 284, 54, 251, 21),
    *(356, 127, 454, 234),
)
ITERATIONS = 20


def fit(shape, goal):
    """Return `shape` moved onto `goal` by the best three-dimensional similarity."""
    centred, target = shape - shape.mean(0), goal - goal.mean(0)
    left, spread, right = np.linalg.svd(target.T @ centred)
    sign = np.diag([1, 1, np.sign(np.linalg.det(left @ right))])
    scale = (spread * np.diag(sign)).sum() / (centred**2).sum()
    return scale * centred @ (left @ sign @ right).T + goal.mean(0)


def main(model, folder):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    shapes = []
    for path in sorted(Path(folder).iterdir()):
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        small = cv2.resize(picture, (192, 192), interpolation=cv2.INTER_AREA)
        feed = {session.get_inputs()[0].name: small[None].astype(np.float32) / 255}
        points, presence = session.run(None, feed)
        if presence.item() > 0:
            shapes.append(points.reshape(-1, 3)[list(RIGID)])
    mean = shapes[0]
    swap = [RIGID.index(point) for point in MIRRORED]
    for _ in range(ITERATIONS):
        mean = np.mean([fit(shape, mean) for shape in shapes], 0)
        flipped = mean[swap] * (-1, 1, 1)
        mean = (mean + fit(flipped, mean)) / 2
    # Upright: eyes level, and the base of the nose straight below the glabella.
    across = mean[RIGID.index(263)] - mean[RIGID.index(33)]
    mean = (mean - mean.mean(0)) / np.linalg.norm(across)
    across /= np.linalg.norm(across)
    down = mean[RIGID.index(2)] - mean[RIGID.index(9)]
    down -= across * (down @ across)
    down /= np.linalg.norm(down)
    mean = mean @ np.stack([across, down, np.cross(across, down)]).T
    np.set_printoptions(precision=4, suppress=True)
    print(len(shapes), "faces")
    for point, row in zip(RIGID, mean, strict=True):
        print(f"    {point}: ({row[0]:.3f}, {row[1]:.3f}, {row[2]:.3f}),")


if __name__ == "__main__":
    main(*sys.argv[1:])
