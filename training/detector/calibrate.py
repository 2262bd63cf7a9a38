"""Choose the score shift on training clips and write the calibrated detector.

    python -m training.detector.calibrate DATA MODELS RUN --out models/lite/detector.onnx

Frames of the training clips, as they are and spoilt (darkened, halved and through libx264). The
threshold with the fewest missed and false faces, both as shares, becomes 0.5.
"""

from __future__ import annotations

import argparse
import copy
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch

from refrestore.faces.detector import Detector
from training.common.degrade import h264
from training.detector.network import DetectorNet
from training.detector.prepare import TEACHER, validation_clip
from training.detector.scenes import frames
from training.detector.score import POSSIBLE, agreement, look
from training.detector.train import write

THRESHOLDS = np.arange(0.2, 0.8, 0.02)
CLIP_FRAMES = 12


def spoil(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    gain, gamma = random.uniform(0.3, 0.9), random.uniform(1.0, 2.0)
    table = (255 * gain * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    height, width = picture.shape[:2]
    half = cv2.resize(table[picture], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return h264(half, int(random.integers(20, 34)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    teacher = Detector(arguments.models / TEACHER, threads=1, min_score=POSSIBLE)
    student = Detector(arguments.run / "detector_raw.onnx", threads=1, min_score=0.1)
    random = np.random.default_rng(0)
    seen = []
    for room in ("clips", "lq"):
        for path in sorted((arguments.data / room).iterdir()):
            if validation_clip(path.stem):
                continue
            part = list(frames(path, Fraction(7, 10), CLIP_FRAMES))
            seen += look(part, teacher, student)
            seen += look([spoil(picture, random) for picture in part], teacher, student)
    totals = [agreement(seen, threshold) for threshold in THRESHOLDS]
    for threshold, total in zip(THRESHOLDS, totals, strict=True):
        print(f"{threshold:.2f} recall {total.recall:.4f} extra {total.extra_share:.4f}")
    costs = [1 - total.recall + total.extra_share for total in totals]
    least = np.flatnonzero(np.array(costs) <= min(costs) + 5e-4)
    best = float(THRESHOLDS[least].mean())
    shift = float(np.log((1 - best) / best))
    print(f"threshold {best:.3f}, shift {shift:.4f}")
    network = DetectorNet()
    state = torch.load(arguments.run / "state.pt", weights_only=True)
    network.load_state_dict(state["average"])
    write(copy.deepcopy(network).eval(), arguments.out, shift)


if __name__ == "__main__":
    main()
