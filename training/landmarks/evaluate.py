"""Compare the landmark network with its teacher on people and clips it never saw.

    python -m training.landmarks.evaluate CACHE DATA MODELS [--weights models/lite/landmarks.onnx]

Errors are mean distances to the teacher's mesh of the clean picture over that mesh's interocular
distance. `box`: cut out by the detector's box as `FaceModels.mesh` does; `ffhq`: the FFHQ-aligned
crop. A face degraded to W px has its detector's box W px wide, noise of 6, JPEG 60, and is
enlarged back. Writes `evaluation.json` beside this file.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import av
import cv2
import numpy as np

from refrestore.evaluate.degrade import jpeg
from refrestore.faces.align import crops, invert, transform
from refrestore.faces.detector import Detector
from refrestore.faces.landmarker import MESH_SIZE, Landmarker, mesh_squares
from training.common.faces import INNER, SIDE, Bank
from training.common.mesh import LEFT_EYE, LIPS, RIGHT_EYE, interocular, turn
from training.common.split import CLIPS
from training.landmarks.data import usable

WIDTHS = (32, 24, 16)
NOISE, QUALITY = 6.0, 60
SEED = 11
TURNED = 0.5
"""Above this the head is turned far aside (about 40 degrees)."""

STEADY_FRAMES = 60
STEADINESS = ("clean", "32", "still at 32")
STILL_FRAMES, SHAKE = 24, 0.02
SPEED_ROUNDS = 12


def shrunk(image: np.ndarray, factor: float, random: np.random.Generator) -> np.ndarray:
    """Shrink a picture by a factor below 1, add noise and JPEG, enlarge it back."""
    height, width = image.shape[:2]
    size = (max(8, round(width * factor)), max(8, round(height * factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small = np.clip(small + random.normal(0, NOISE, small.shape), 0, 255).astype(np.uint8)
    return cv2.resize(jpeg(small, QUALITY), (width, height), interpolation=cv2.INTER_CUBIC)


def squares(corners: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Matrices bank crop → network input, as `FaceModels.mesh` cuts."""
    box = np.concatenate([corners.min(1), corners.max(1)], 1)
    return mesh_squares(box, keypoints)


def ffhq(count: int) -> np.ndarray:
    margin = (SIDE - INNER) / 2
    factor = MESH_SIZE / INNER
    # The edge of the crop, not its first pixel's centre, stays where it is (as cv2.resize).
    matrix = np.array([[factor, 0, 0], [0, factor, 0]])
    matrix[:, 2] = (0.5 - margin) * factor - 0.5
    return np.repeat(matrix[None], count, 0)


def found(
    landmarker: Landmarker, pictures: np.ndarray, matrices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Meshes (N, 468, 2) in the pictures' pixels and presences (N,)."""
    cut = np.concatenate(
        [crops(p, m[None], MESH_SIZE) for p, m in zip(pictures, matrices, strict=True)]
    )
    points, presence = landmarker.dense(cut)
    return transform(invert(matrices), points), presence


def summary(points: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Mean errors in interocular distances."""
    apart = np.linalg.norm(points - target, axis=2) / interocular(target)[:, None]
    turned = turn(target) > TURNED
    return {
        "mean": float(apart.mean()),
        "median": float(np.median(apart.mean(1))),
        "p95": float(np.percentile(apart.mean(1), 95)),
        "eyelids": float(apart[:, [*RIGHT_EYE, *LEFT_EYE]].mean()),
        "lips": float(apart[:, list(LIPS)].mean()),
        "turned": float(apart[turned].mean()) if turned.any() else 0.0,
    }


def jitter(landmarker: Landmarker, pictures: np.ndarray, matrix: np.ndarray) -> float:
    """Second difference of the points from frame to frame, interocular distances.

    The mean over the points, the median over the frames: a cut or a nod does not count.
    """
    points, _ = found(landmarker, pictures, np.repeat(matrix, len(pictures), 0))
    second = points[2:] - 2 * points[1:-1] + points[:-2]
    moved = np.linalg.norm(second, axis=2).mean(1) / interocular(points)[1:-1]
    return float(np.median(moved))


def unrest(
    landmarker: Landmarker, picture: np.ndarray, matrix: np.ndarray, factor: float, seed: int
) -> float:
    """Mean distance of the points from their mean on a still, interocular distances.

    The still is shrunk again for each frame (other noise) and its square shaken by up to 2 %.
    """
    random = np.random.default_rng(seed)
    pictures = np.stack([shrunk(picture, factor, random) for _ in range(STILL_FRAMES)])
    matrices = np.repeat(matrix, STILL_FRAMES, 0)
    matrices[:, :, 2] += random.uniform(-SHAKE, SHAKE, (STILL_FRAMES, 2)) * MESH_SIZE
    points, _ = found(landmarker, pictures, matrices)
    mean = points.mean(0, keepdims=True)
    return float(np.linalg.norm(points - mean, axis=2).mean() / interocular(mean)[0])


def opening(path: Path, count: int) -> np.ndarray:
    """The first frames of a clip."""
    with av.open(str(path)) as source:
        frames = []
        for frame in source.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == count:
                break
    return np.stack(frames)


def empty_squares(pictures: np.ndarray, boxes: np.ndarray, random: np.random.Generator):
    """Squares of a clip's first picture that no detected box touches."""
    height, width = pictures.shape[1:3]
    kept = []
    for _ in range(60):
        side = int(random.integers(48, min(height, width) // 2))
        left, top = random.integers(width - side), random.integers(height - side)
        apart = (
            (boxes[:, 2] < left)
            | (boxes[:, 0] > left + side)
            | (boxes[:, 3] < top)
            | (boxes[:, 1] > top + side)
        )
        if apart.all():
            part = pictures[0, top : top + side, left : left + side]
            kept.append(cv2.resize(part, (MESH_SIZE, MESH_SIZE), interpolation=cv2.INTER_AREA))
    return np.array(kept, np.uint8).reshape(-1, MESH_SIZE, MESH_SIZE, 3)


def speed(landmarkers: dict[str, Landmarker]) -> dict[str, float]:
    """Milliseconds a face, one thread; rounds take turns, the fastest counts."""
    pictures = np.zeros((8, MESH_SIZE, MESH_SIZE, 3), np.uint8)
    best = dict.fromkeys(landmarkers, np.inf)
    for _ in range(SPEED_ROUNDS):
        for name, landmarker in landmarkers.items():
            start = time.perf_counter()
            landmarker.dense(pictures)
            best[name] = min(best[name], (time.perf_counter() - start) / len(pictures) * 1e3)
    return best


def clips_figures(
    landmarkers: dict[str, Landmarker], detector: Detector, data: Path, random: np.random.Generator
) -> dict:
    """Steadiness on held-out clips, and presence where there is no face."""
    steady: dict[str, list[dict[str, float]]] = {name: [] for name in landmarkers}
    nothing = []
    for stem in CLIPS:
        paths = [p for p in (data / "clips").iterdir() if p.stem == stem]
        if not paths:
            continue
        pictures = opening(paths[0], STEADY_FRAMES)
        faces = detector.detect([pictures[0]], [0], size=640)
        nothing.append(empty_squares(pictures, faces.box, random))
        faces = faces[[int(np.argmax(faces.size))]]
        matrix = mesh_squares(faces.box, faces.keypoints)
        width = float(faces.box[0, 2] - faces.box[0, 0])
        small = np.stack([shrunk(picture, 32 / width, random) for picture in pictures])
        for name, landmarker in landmarkers.items():
            steady[name].append(
                {
                    "clean": jitter(landmarker, pictures, matrix),
                    "32": jitter(landmarker, small, matrix),
                    "still at 32": unrest(landmarker, pictures[0], matrix, 32 / width, SEED),
                }
            )
    squares_without = np.concatenate(nothing)
    return {
        name: {
            "jitter": {k: float(np.mean([c[k] for c in steady[name]])) for k in STEADINESS},
            "present_without_face": float((landmarker.dense(squares_without)[1] >= 0.5).mean()),
            "squares_without_face": len(squares_without),
        }
        for name, landmarker in landmarkers.items()
    }


def figures(bank: Bank, data: Path, models: Path, weights: Path) -> dict:
    """All figures of the student and of the teacher."""
    landmarkers = {
        "student": Landmarker(weights, threads=1),
        "teacher": Landmarker(models / "face_landmark_468.onnx", threads=1),
    }
    detector = Detector(models / "scrfd_2.5g_kps.onnx", threads=1)
    random = np.random.default_rng(SEED)
    rows = usable(bank, validation=True)
    pictures, target = bank.crops[rows], bank.landmarks[rows].astype(np.float64)
    ways = {
        "box": squares(bank.box[rows], bank.keypoints[rows]),
        "ffhq": ffhq(len(rows)),
    }
    across = np.ptp(bank.box[rows][:, :, 0], axis=1)
    inputs = {"clean": pictures}
    for width in WIDTHS:
        inputs[str(width)] = np.stack(
            [shrunk(p, width / w, random) for p, w in zip(pictures, across, strict=True)]
        )
    result: dict = {"faces": len(rows), "people": len(np.unique(bank.person[rows]))}
    result["turned_faces"] = int((turn(target) > TURNED).sum())
    on_clips = clips_figures(landmarkers, detector, data, random)
    milliseconds = speed(landmarkers)
    for name, landmarker in landmarkers.items():
        table: dict = {}
        for level, images in inputs.items():
            for way, matrices in ways.items():
                points, presence = found(landmarker, images, matrices)
                table[f"{level} {way}"] = summary(points, target) | {
                    "present": float((presence >= 0.5).mean())
                }
        result[name] = {"error": table, "milliseconds": milliseconds[name], **on_clips[name]}
    result["student"]["bytes"] = weights.stat().st_size
    return result


def rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("cache", "data", "models"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--weights", type=Path, default=Path("models/lite/landmarks.onnx"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("evaluation.json"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    bank = Bank.open(arguments.cache)
    result = figures(bank, arguments.data, arguments.models, arguments.weights)
    for name in ("student", "teacher"):
        part = result[name]
        print(f"{name}: {part['milliseconds']:.2f} ms a face, jitter {part['jitter']}, "
              f"present without a face {part['present_without_face']:.3f}")  # fmt: skip
        for case, row in part["error"].items():
            print(f"  {case:12}", *(f"{key} {value:.4f}" for key, value in row.items()))
    arguments.out.write_text(json.dumps(rounded(result), indent=1) + "\n")


if __name__ == "__main__":
    main()
