"""Compare the lite detector with its teacher on films and people it never saw.

    python -m training.detector.evaluate DATA MODELS [--weights models/lite/detector.onnx]
        [--pictures FOLDER]

Writes `training/detector/evaluation.json`. `--pictures` draws frames, missed and extra faces.
"""

from __future__ import annotations

import argparse
import json
import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from refrestore.faces.detector import Detector
from refrestore.faces.sessions import computed
from refrestore.types import Faces
from training.detector.prepare import ASL, TEACHER, validation_clip
from training.detector.scenes import frames
from training.detector.score import POSSIBLE, Seen, agreement, extras, look, missed

SPACING = Fraction(1, 2)
LIMIT = 150
THRESHOLD = 0.5
SPEED_RIVAL = "scrfd_500m_kps.onnx"
SHAPES = ((384, 640), (640, 640))
"""Height and width; 640x360 is padded to 384 rows."""

ROUNDS = 30


def group(stem: str) -> str:
    if stem.startswith(ASL):
        return "asl (three people)"
    for name in ("tears_of_steel_360p", "tears_of_steel_720p", "ghost"):
        if name in stem:
            return name
    return "talking heads"


def validation(data: Path, teacher: Detector, student: Detector) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    for room in ("film", "clips", "lq"):
        for path in sorted((data / room).iterdir()):
            if validation_clip(path.stem):
                part = look(frames(path, SPACING, LIMIT), teacher, student)
                found.setdefault(group(path.stem), []).extend(part)
    return found


def speeds(networks: dict[str, Detector]) -> dict[str, dict[str, float]]:
    """Return the median milliseconds of a call, the networks taking turns."""
    table: dict[str, dict[str, float]] = {}
    for height, width in SHAPES:
        picture = np.random.default_rng(0).random((1, 3, height, width), np.float32)
        times: dict[str, list[float]] = {name: [] for name in networks}
        for _ in range(ROUNDS):
            for name, detector in networks.items():
                network = detector.network  # its decoding is the same for all
                start = time.perf_counter()
                computed(network.session, picture)
                times[name].append(time.perf_counter() - start)
        table[f"{width}x{height}"] = {
            name: round(1e3 * float(np.median(values[2:])), 2) for name, values in times.items()
        }
    return table


def figures(seen: dict[str, list[Seen]], threshold: float = THRESHOLD) -> dict[str, dict]:
    """Return recall, extras and keypoint errors by group and in all."""
    everything = [picture for part in seen.values() for picture in part]
    table = {}
    for name, part in {**seen, "all": everything}.items():
        total = agreement(part, threshold)
        table[name] = {
            "pictures": len(part),
            "faces": total.wanted,
            "recall": round(total.recall, 4),
            "found": total.found,
            "extra": total.extra,
            "extra_share": round(total.extra_share, 4),
            "keypoints_mean": round(float(np.mean(total.errors or [0])), 4),
            "keypoints_median": round(float(np.median(total.errors or [0])), 4),
            "keypoints_of_box": round(float(np.mean(total.relative or [0])), 4),
        }
    return table


def draw(seen: Seen, faces: Faces, colour: tuple[int, int, int], picture: np.ndarray) -> None:
    for row in range(len(faces)):
        x0, y0, x1, y1 = (int(value * seen.scale) for value in faces.box[row])
        cv2.rectangle(picture, (x0, y0), (x1, y1), colour, 1)
        label = f"{faces.score[row]:.2f}"
        cv2.putText(picture, label, (x0, y0 - 2), cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, 1)
        for x, y in faces.keypoints[row] * seen.scale:
            cv2.circle(picture, (int(x), int(y)), 1, colour, -1)


def sheets(seen: dict[str, list[Seen]], folder: Path) -> None:
    """Draw frames (teacher green, student red): some of each group, and all that differ."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in seen.items():
        differ = [s for s in part if len(extras(s, THRESHOLD)) or len(missed(s, THRESHOLD))]
        every = part[:: max(1, len(part) // 12)][:12]
        for kind, chosen in (("some", every), ("differ", differ[:24])):
            shown = []
            for one in chosen:
                height, width = one.picture.shape[:2]
                size = (round(width * one.scale), round(height * one.scale))
                picture = cv2.resize(one.picture, size, interpolation=cv2.INTER_AREA)
                draw(one, one.teacher, (0, 255, 0), picture)
                strong = np.flatnonzero(one.student.score >= THRESHOLD)
                draw(one, one.student[strong], (255, 0, 0), picture)
                tall = np.zeros((480, 640, 3), np.uint8)
                factor = min(1.0, 480 / size[1])
                picture = cv2.resize(picture, None, fx=factor, fy=factor)
                tall[: picture.shape[0], : picture.shape[1]] = picture[:480, :640]
                shown.append(tall[: 300 if size[1] < 300 else 480])
            for start in range(0, len(shown), 12):
                rows = shown[start : start + 12]
                rows += [np.zeros_like(rows[0])] * (-len(rows) % 3)
                sheet = np.concatenate(
                    [np.concatenate(rows[i : i + 3], 1) for i in range(0, len(rows), 3)]
                )
                cv2.imwrite(str(folder / f"{name}_{kind}_{start}.png"), sheet[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("models/lite/detector.onnx"))
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("evaluation.json"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    teacher = Detector(arguments.models / TEACHER, threads=1, min_score=POSSIBLE)
    student = Detector(arguments.weights, threads=1, min_score=0.2)
    seen = validation(arguments.data, teacher, student)
    table = figures(seen)
    for name, row in table.items():
        print(name, row)
    curve = {}
    for threshold in (0.3, 0.4, 0.5, 0.6, 0.7):
        total = agreement([one for part in seen.values() for one in part], threshold)
        curve[f"{threshold}"] = [round(total.recall, 4), round(total.extra_share, 4)]
    rival = Detector(arguments.models / SPEED_RIVAL, threads=1)
    rivals = validation(arguments.data, teacher, rival)
    other = figures(rivals)
    print(SPEED_RIVAL, other["all"])
    speed = speeds({"student": student, SPEED_RIVAL: rival, TEACHER: teacher})
    print(speed, curve)
    result = {
        "groups": table,
        "recall_and_extra_by_threshold": curve,
        SPEED_RIVAL: other,
        "milliseconds": speed,
        "bytes": arguments.weights.stat().st_size,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.pictures:
        sheets(seen, arguments.pictures)


if __name__ == "__main__":
    main()
