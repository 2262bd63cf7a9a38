"""Cut hands out of the signers' clips by the colour of their skin.

    python -m training.mask.real_hands DATA MODELS hands.npz [sheet.png]

The clips show people before a light wall, so a model of a face's own colours finds their hands.
The cut-outs (RGBA, about 40-110 px) serve training only and are not kept with the project.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import cv2
import numpy as np

from refrestore.faces.align import crops, invert, transform
from refrestore.faces.detector import Detector
from refrestore.faces.hull import hull_polygon
from refrestore.faces.landmarker import Landmarker, mesh_squares

LOOKED_AT = ("brother", "eat", "thanks", "night", "sister", "school")
"""Clips from which nothing is taken: hands pass faces in them, results are looked at there."""

STEP = 3
LIKENESS = 3.2
"""Mahalanobis distance in Cr, Cb to which a colour is skin."""

AREA = (0.2, 1.1)
"""Of the face's hull."""

LEAST_RED = 0.8
"""Mean redness (Cr above grey) over the face's: greyer things are clothes and paper."""


def skin(frame: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Return (H, W) uint8, 1 where the colour is one of the face's own."""
    colours = cv2.cvtColor(cv2.GaussianBlur(frame, (0, 0), 1), cv2.COLOR_RGB2YCrCb)
    colours = colours.astype(np.float32)
    inside = colours[face > 0]
    bright = inside[inside[:, 0] > np.percentile(inside[:, 0], 35)]
    mean, spread = bright[:, 1:].mean(0), np.cov(bright[:, 1:].T) + 4 * np.eye(2)
    away = colours[..., 1:] - mean
    distance = np.einsum("hwi,ij,hwj->hw", away, np.linalg.inv(spread), away)
    level = colours[..., 0]
    usual = (level > 0.45 * bright[:, 0].mean()) & (level < 1.6 * bright[:, 0].mean())
    found = ((distance < LIKENESS**2) & usual).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))


def hands(frame: np.ndarray, face: np.ndarray) -> list[np.ndarray]:
    """Return cut-outs (h, w, 4) uint8."""
    found = skin(frame, face)
    ys, xs = np.nonzero(face)
    low, high = np.array([xs.min(), ys.min()]), np.array([xs.max(), ys.max()])
    margin = 0.45 * (high - low)
    x0, y0 = np.maximum(low - margin, 0).astype(int)
    x1, y1 = (high + margin).astype(int)
    found[y0:y1, x0:x1] = 0
    number, labels, table, _ = cv2.connectedComponentsWithStats(found)
    redness = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb)[..., 1].astype(np.float32) - 128
    least = LEAST_RED * redness[face > 0].mean()
    results = []
    for index in range(1, number):
        x, y, w, h, area = table[index]
        whole = AREA[0] * (face > 0).sum() < area < AREA[1] * (face > 0).sum()
        border = x == 0 or y == 0 or x + w == frame.shape[1] or y + h == frame.shape[0]
        if not whole or border or area < 0.3 * w * h:
            continue
        if redness[labels == index].mean() < least:
            continue
        part = np.s_[max(y - 3, 0) : y + h + 3, max(x - 3, 0) : x + w + 3]
        shape = (labels[part] == index).astype(np.uint8)
        outlines, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(shape, outlines, -1, 1, -1)  # rings and pale knuckles leave holes
        alpha = cv2.GaussianBlur(shape.astype(np.float32) * 255, (0, 0), 1.5)
        alpha = np.clip(alpha * 1.6 - 90, 0, 255).astype(np.uint8)
        results.append(np.dstack([frame[part], alpha]))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("sheet", type=Path, nargs="?")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    detector = Detector(arguments.models / "scrfd_2.5g_kps.onnx", threads=1)
    landmarker = Landmarker(arguments.models / "face_landmark_468.onnx", threads=1)
    cut: list[np.ndarray] = []
    for path in sorted((arguments.data / "clips").glob("*asl_gestures*")):
        if path.stem.rsplit("_", 1)[-1] in LOOKED_AT:
            continue
        with av.open(str(path)) as source:
            for number, picture in enumerate(source.decode(video=0)):
                if number % STEP:
                    continue
                frame = picture.to_ndarray(format="rgb24")
                found = detector.detect([frame], [0], size=640)
                if len(found) != 1:
                    continue
                squares = mesh_squares(found.box, found.keypoints)
                mesh, _ = landmarker.dense(crops(frame, squares, 192))
                mesh = transform(invert(squares), mesh)[0]
                height, width = frame.shape[:2]
                face = hull_polygon(mesh[None], max(height, width))[0][:height, :width]
                cut += hands(frame, face)
    np.savez_compressed(arguments.output, *cut)
    print(f"{len(cut)} cut-outs")
    if arguments.sheet:
        tiles = []
        for piece in cut[:: max(1, len(cut) // 80)][:80]:
            alpha = piece[..., 3:] / 255
            shown = piece[..., :3] * alpha + np.array([0, 160, 0]) * (1 - alpha)
            tile = np.zeros((120, 120, 3))
            shown = shown[:120, :120]
            tile[: shown.shape[0], : shown.shape[1]] = shown
            tiles.append(tile)
        tiles += [np.zeros((120, 120, 3))] * (-len(tiles) % 16)
        rows = [np.hstack(tiles[i : i + 16]) for i in range(0, len(tiles), 16)]
        cv2.imwrite(str(arguments.sheet), np.vstack(rows)[..., ::-1].astype(np.uint8))


if __name__ == "__main__":
    main()
