"""What one photo of a person has and another has not: glasses, marks on the skin, hair in front.

Painted on crops along their mesh, so that a network meets references that disagree with the face.
They need not be beautiful: degraded, they have the contrast and the place of the real thing.
"""

from __future__ import annotations

import cv2
import numpy as np

EYE_CORNERS = ((33, 133), (362, 263))
TEMPLES = (127, 356)
BRIDGE = 6
SUB = 3
"""Bits of a pixel that shapes are placed by."""


def worn(image: np.ndarray, mesh: np.ndarray, seed: int) -> np.ndarray:
    """Return a face, (S, S, 3) uint8, with something on it; the same seed gives the same thing.

    Parameters
    ----------
    mesh : (468, 2)
        In pixels of the crop.
    """
    random = np.random.default_rng(seed)
    what = random.choice((_glasses, _marks, _strands), p=(0.6, 0.2, 0.2))
    image = np.ascontiguousarray(image).copy()
    return what(image, mesh.astype(np.float64), random)


def _at(points: np.ndarray) -> np.ndarray:
    return np.rint(points * (1 << SUB)).astype(np.int32)


def _laid(image: np.ndarray, mask: np.ndarray, colour: np.ndarray, share: float) -> np.ndarray:
    weight = (mask.astype(np.float32) / 255 * share)[..., None]
    return np.rint(image * (1 - weight) + colour * weight).astype(np.uint8)


def _glasses(image: np.ndarray, mesh: np.ndarray, random: np.random.Generator) -> np.ndarray:
    size = image.shape[0]
    frames, lenses = (np.zeros(image.shape[:2], np.uint8) for _ in range(2))
    thick = max(1, round(random.uniform(0.004, 0.022) * size))
    wide, high = random.uniform(0.85, 1.15), random.uniform(0.5, 0.95)
    power = random.uniform(2, 5)
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    cosine, sine = np.cos(turn), np.sin(turn)
    ring = np.stack([np.sign(f) * np.abs(f) ** (2 / power) for f in (cosine, sine)], 1)
    drop = random.uniform(0.0, 0.25)
    inner, outer = [], []
    for corners in EYE_CORNERS:
        first, second = mesh[list(corners)]
        along = (second - first) * 0.9
        across = np.array([-along[1], along[0]])
        middle = (first + second) / 2 + drop * across
        shape = middle + ring[:, :1] * wide * along + ring[:, 1:] * high * across
        cv2.fillPoly(lenses, [_at(shape)], 255, cv2.LINE_AA, SUB)
        cv2.polylines(frames, [_at(shape)], True, 255, thick, cv2.LINE_AA, SUB)
        ends = shape[np.argsort(np.abs(shape[:, 0] - mesh[BRIDGE, 0]))]
        inner.append(ends[0])
        outer.append(ends[-1])
    lines = [inner, *([end, mesh[temple]] for end, temple in zip(outer, TEMPLES, strict=True))]
    for line in lines:
        cv2.polylines(frames, [_at(np.array(line))], False, 255, thick, cv2.LINE_AA, SUB)
    tint = random.uniform(0.5, 0.95) if random.random() < 0.3 else random.uniform(0, 0.15)
    image = _laid(image, lenses, random.uniform(0, 50, 3), tint)
    grey = random.uniform(0, 60) if random.random() < 0.75 else random.uniform(60, 220)
    return _laid(image, frames, grey + random.normal(0, 15, 3), random.uniform(0.7, 1))


def _marks(image: np.ndarray, mesh: np.ndarray, random: np.random.Generator) -> np.ndarray:
    size = image.shape[0]
    for _ in range(int(random.integers(1, 5))):
        mask = np.zeros(image.shape[:2], np.uint8)
        centre = mesh[int(random.integers(len(mesh)))]
        stride, count = random.uniform(0.005, 0.03) * size, int(random.integers(2, 9))
        steps = random.normal(0, stride, (count, 2))
        curve = _at(centre + np.cumsum(steps, 0))
        thick = max(1, round(random.uniform(0.006, 0.03) * size))
        cv2.polylines(mask, [curve], False, 255, thick, cv2.LINE_AA, SUB)
        image = _laid(image, mask, random.uniform(10, 110, 3), random.uniform(0.4, 0.9))
    return image


def _strands(image: np.ndarray, mesh: np.ndarray, random: np.random.Generator) -> np.ndarray:
    size = image.shape[0]
    mask = np.zeros(image.shape[:2], np.uint8)
    top = mesh[10] + [random.normal(0, 0.12) * size, -0.08 * size]
    for _ in range(int(random.integers(3, 30))):
        begin = top + random.normal(0, 0.05 * size, 2)
        end = begin + np.array([random.normal(0, 0.1), random.uniform(0.1, 0.45)]) * size
        bend = (begin + end) / 2 + random.normal(0, 0.05 * size, 2)
        t = np.linspace(0, 1, 12)[:, None]
        curve = (1 - t) ** 2 * begin + 2 * t * (1 - t) * bend + t**2 * end
        thick = int(random.integers(1, max(2, size // 60)))
        cv2.polylines(mask, [_at(curve)], False, 255, thick, cv2.LINE_AA, SUB)
    return _laid(image, mask, random.uniform(5, 140) * random.uniform(0.7, 1.1, 3), 0.85)
