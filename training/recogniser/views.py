"""What the student sees of a face: clean, or as a small, noisy, coded picture would show it."""

from __future__ import annotations

import math

import cv2
import numpy as np

from refrestore.evaluate.degrade import jpeg, motion_blur
from training.recogniser.prepare import MARGIN, SIDE

SIZE = 112
FACE = 75.0
"""Width of the detector's box of a face on the 112-px template, median."""

SMALLEST, LARGEST = 10.0, 70.0
CLEAN = 0.35
CENTRE = (SIDE - 1) / 2


def _about_centre(angle: float, scale: float, shift: np.ndarray, to: float) -> np.ndarray:
    """(3, 3): turn (radians) and scale about the middle of the stored face, which goes to `to`."""
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[c, -s], [s, c]])
    moved = to + shift - linear @ np.full(2, CENTRE)
    return np.vstack([np.c_[linear, moved], [0, 0, 1]])


def misplaced(random: np.random.Generator, amount: float) -> np.ndarray:
    """(3, 3): stored face → 112-px crop as aligned by keypoints that are a little wrong."""
    shift = random.normal(0, 1.2 * amount, 2)
    angle = random.normal(0, math.radians(2.2) * amount)
    return _about_centre(angle, math.exp(random.normal(0, 0.03 * amount)), shift, CENTRE - MARGIN)


def shrunk(
    face: np.ndarray, width: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the face `width` pixels wide, noisy and coded, and the matrix (3, 3) to it."""
    scale = width / FACE
    side = max(8, math.ceil(SIDE * scale))
    angle = random.normal(0, 0.15)
    matrix = _about_centre(angle, scale, random.uniform(-0.5, 0.5, 2), (side - 1) / 2)
    blur = random.uniform(0.2, 0.75) / scale
    if random.random() < 0.12:
        face = motion_blur(
            face, max(3, round(random.uniform(0.5, 2.5) / scale)), random.uniform(0, 180)
        )
    if blur > 0.3:
        face = cv2.GaussianBlur(face, (0, 0), blur)
    small = cv2.warpAffine(face, matrix[:2], (side, side), borderMode=cv2.BORDER_REFLECT_101)
    if random.random() < 0.85:
        shape = small.shape if random.random() < 0.7 else (side, side, 1)
        spread = random.normal(0, random.uniform(0, 11), shape)
        small = np.clip(small + spread, 0, 255).astype(np.uint8)
    if random.random() < 0.85:
        small = jpeg(small, int(random.integers(35, 96)))
    return small, matrix


def hide(view: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Put a rectangle of one colour or of another place of the picture over a part."""
    height, width = (int(v) for v in random.integers(16, 48, 2))
    y, x = int(random.integers(SIZE - height)), int(random.integers(SIZE - width))
    view = view.copy()
    if random.random() < 0.5:
        view[y : y + height, x : x + width] = random.integers(0, 256, 3)
    else:
        top, left = int(random.integers(SIZE - height)), int(random.integers(SIZE - width))
        patch = view[top : top + height, left : left + width].copy()
        view[y : y + height, x : x + width] = patch
    return view


def plain_view(face: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The middle of the stored face as it is, or spoiled a little, but neither moved nor turned."""
    out = face[MARGIN : MARGIN + SIZE, MARGIN : MARGIN + SIZE]
    if random.random() < 0.35:
        return out
    if random.random() < 0.4:
        out = cv2.GaussianBlur(out, (0, 0), random.uniform(0.3, 1.6))
    if random.random() < 0.4:
        noisy = out + random.normal(0, random.uniform(0, 8), out.shape)
        out = np.clip(noisy, 0, 255).astype(np.uint8)
    return jpeg(out, int(random.integers(45, 98))) if random.random() < 0.4 else out


def view(face: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(136, 136, 3) uint8 stored face → (112, 112, 3) uint8 as the student gets it."""
    if random.random() < CLEAN:
        matrix = misplaced(random, 0.6)
        out = cv2.warpAffine(face, matrix[:2], (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT_101)
        if random.random() < 0.3:
            out = jpeg(out, int(random.integers(60, 98)))
    else:
        width = math.exp(random.uniform(math.log(SMALLEST), math.log(LARGEST)))
        small, to_small = shrunk(face, width, random)
        amount = 0.7 + 0.6 * (1 - width / LARGEST)
        matrix = misplaced(random, amount) @ np.linalg.inv(to_small)
        way = cv2.INTER_LINEAR if random.random() < 0.5 else cv2.INTER_CUBIC
        out = cv2.warpAffine(
            small, matrix[:2], (SIZE, SIZE), flags=way, borderMode=cv2.BORDER_REFLECT_101
        )
    if random.random() < 0.5:
        out = out[:, ::-1]
    if random.random() < 0.3:
        table = (np.arange(256) / 255) ** math.exp(random.normal(0, 0.25))
        table = table * math.exp(random.normal(0, 0.12)) * 255
        out = np.clip(table, 0, 255).astype(np.uint8)[out]
    if random.random() < 0.12:
        out = hide(out, random)
    return out
