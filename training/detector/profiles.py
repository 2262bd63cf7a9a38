"""Turn frontal faces to profiles: the data have few of them.

    python -m training.detector.profiles MODELS CACHE

Reads `scenes.pkl`, turns its larger faces about the vertical axis with the depth of the mesh (as
300W-LP does, CVPR 2016, section 4: points around the face carry the hair and the background along),
labels the results with the teacher like real pictures, and writes `profiles.pkl`, more scenes.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import Delaunay

from refrestore.faces.detector import Detector
from refrestore.faces.landmarker import MESH_SIZE, Landmarker, mesh_squares
from refrestore.faces.pose import head_pose
from refrestore.faces.sessions import computed
from training.detector.prepare import TEACHER
from training.detector.scenes import FACE, SEEN, Scene

SIDE = 288
FACE_SIDE = 112.0
"""Side of the mesh's square on a picture of SIDE."""

SMALLEST = 40.0
FRONTAL = 35.0
TARGET = (45.0, 88.0)
"""Yaw in degrees after turning."""

GROUPS = ("portrait", "person", "clip", "crowd", "lfw")
"""Whose faces are turned."""

MOST_LFW = 900


class Turner:
    """Renders faces as seen from the side."""

    def __init__(self, path: Path) -> None:
        self._mesh = Landmarker(path, threads=1)

    def look(self, scene: Scene, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return an upright picture (288, 288, 4) around a face and its mesh (468, 3).

        The fourth channel is 255 where the scene has pixels.
        """
        matrix = mesh_squares(scene.box[[row]], scene.keypoints[[row]])[0]
        crop = cv2.warpAffine(scene.image, matrix, (MESH_SIZE, MESH_SIZE))
        pixels = crop[None].astype(np.float32) / 255
        points = computed(self._mesh.session, pixels)[0].reshape(-1, 3) - [0.5, 0.5, 0]
        factor = FACE_SIDE / MESH_SIZE
        shift = (SIDE - FACE_SIDE) / 2
        wide = matrix * factor
        wide[:, 2] += shift
        picture = cv2.warpAffine(scene.image, wide, (SIDE, SIDE), flags=cv2.INTER_AREA)
        known = np.full(scene.image.shape[:2], 255, np.uint8)
        known = cv2.warpAffine(known, wide, (SIDE, SIDE))[..., None]
        picture = np.concatenate([picture, known], 2)
        return picture, points * factor + [shift, shift, 0]

    def turn(self, picture: np.ndarray, mesh: np.ndarray, degrees: float) -> np.ndarray:
        """Turn a face by degrees about the vertical axis; positive moves the nose to the left."""
        hull = cv2.convexHull(mesh[:, :2].astype(np.float32), returnPoints=False).ravel()
        rim = mesh[hull]
        middle = rim[:, :2].mean(0)
        width = np.ptp(mesh[:, 0])
        rings = [mesh]
        for factor, depth in ((1.2, 0.3), (1.45, 0.65)):
            ring = rim.copy()
            ring[:, :2] = middle + (rim[:, :2] - middle) * factor
            ring[:, 1] -= np.where(ring[:, 1] < middle[1], (factor - 1) * 0.3 * width, 0)
            ring[:, 2] = rim[:, 2].mean() + depth * width
            rings.append(ring)
        turning = sum(len(ring) for ring in rings)
        steps = np.linspace(-0.2 * SIDE, 1.2 * SIDE, 8)
        x, y = np.meshgrid(steps, steps)
        still = np.stack([x.ravel(), y.ravel(), np.full(x.size, 9e3)], 1)
        far = np.linalg.norm((still[:, :2] - middle) / [1.0, 1.2], axis=1) > 1.25 * width
        still = still[far]
        points = np.concatenate([*rings, still])
        angle = np.deg2rad(degrees)
        axis = rim[:, 2].mean() + 0.35 * width
        out = points.copy()
        off = points[:turning, 0] - middle[0]
        deep = points[:turning, 2] - axis
        out[:turning, 0] = middle[0] + off * np.cos(angle) + deep * np.sin(angle)
        out[:turning, 2] = axis - off * np.sin(angle) + deep * np.cos(angle)
        triangles = Delaunay(points[:, :2]).simplices
        before = points[triangles][..., :2]
        after = out[triangles]
        flipped = signed(before) * signed(after[..., :2]) <= 0
        inside = (triangles < len(mesh)).all(1)
        keep = ~(flipped & inside)
        triangles, before, after, flipped = (
            values[keep] for values in (triangles, before, after, flipped)
        )
        depth = after[..., 2].mean(1) + 1e4 * flipped
        owner = np.full((SIDE, SIDE), -1, np.int32)
        for index in np.argsort(-depth):
            corners = np.round(after[index, :, :2] * 16).astype(np.int32)
            cv2.fillConvexPoly(owner, corners, int(index), cv2.LINE_8, 4)
        ones = np.ones((len(triangles), 3, 1))
        system = np.concatenate([after[..., :2], ones], 2)
        system += 1e-6 * np.eye(3)
        back = np.linalg.solve(system, before)
        y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
        place = np.stack([x, y, np.ones_like(x)], -1)
        found = np.einsum("hwk,hwkc->hwc", place, back[np.maximum(owner, 0)])
        found[owner < 0] = -1e4
        maps = found.astype(np.float32)
        return cv2.remap(
            picture, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )


def signed(triangles: np.ndarray) -> np.ndarray:
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--most", type=int, default=10**6)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with (arguments.cache / "scenes.pkl").open("rb") as file:
        scenes: list[Scene] = pickle.load(file)
    random = np.random.default_rng(0)
    turner = Turner(arguments.models / "face_landmark_468.onnx")
    teacher = Detector(arguments.models / TEACHER, threads=1, min_score=SEEN, passes=(1.0,))
    plain = [scene for scene in scenes if not (scene.score >= SEEN).any()]
    made, tried, lfw = [], 0, 0
    for at in random.permutation(len(scenes)):
        scene = scenes[at]
        size = np.sqrt(np.prod(scene.box[:, 2:] - scene.box[:, :2], 1))
        rows = np.flatnonzero((scene.score >= FACE + 0.1) & (size >= SMALLEST))
        lfw += scene.group == "lfw"
        if scene.group == "lfw" and lfw > MOST_LFW:
            continue
        for row in rows:
            picture, mesh = turner.look(scene, int(row))
            yaw = float(head_pose(mesh[None, :, :2].astype(np.float32))[0, 0])
            if abs(yaw) > FRONTAL:
                continue
            lean = mesh[1, 0] - mesh[[33, 263], 0].mean()  # nose tip, outer eye corners
            if scene.group in GROUPS:
                side = -np.sign(lean) if abs(yaw) > 8 else random.choice([-1.0, 1.0])
                target = random.uniform(*TARGET)
                turned = turner.turn(picture, mesh, side * (target - abs(yaw)))
                ground = plain[random.integers(len(plain))].image
                low = int(random.integers(0, max(1, min(ground.shape[:2]) // 2)))
                ground = cv2.resize(ground[low : low + SIDE, low : low + SIDE], (SIDE, SIDE))
                share = turned[..., 3:].astype(np.float32) / 255
                mixed = turned[..., :3] * share + ground * (1 - share)
                turned = mixed.astype(np.uint8)
                tried += 1
                found = teacher.detect([turned], [0], SIDE)
                if (found.score >= FACE).any():
                    made.append(
                        Scene(
                            "profile", scene.name, turned, found.box, found.keypoints, found.score
                        )
                    )
        if len(made) >= arguments.most:
            break
    print(f"{len(made)} of {tried}")
    with (arguments.cache / "profiles.pkl").open("wb") as file:
        pickle.dump(made, file, protocol=5)


if __name__ == "__main__":
    main()
