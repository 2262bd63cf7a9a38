"""Draw hands: palm, jointed fingers and a forearm of tapered capsules, lit and textured."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

FINGER_BASES = ((-0.36, 1.02), (-0.12, 1.10), (0.12, 1.08), (0.36, 0.98))
FINGER_LENGTHS = (0.82, 0.95, 0.88, 0.68)
"""Index to little, in palm widths; the wrist is the origin and fingers point to +y."""

SEGMENTS = (0.45, 0.30, 0.25)
FOLDS = (55.0, 100.0, 70.0)
"""How far each joint bends in a fist, degrees."""


@dataclass
class Layer:
    """What is drawn so far: colour of the light on it, coverage, and cloth instead of skin."""

    light: np.ndarray
    alpha: np.ndarray
    cloth: np.ndarray
    random: np.random.Generator
    direction: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))

    @classmethod
    def empty(cls, size: int, random: np.random.Generator) -> Layer:
        way = random.normal(0, 0.6, 3)
        way[2] = abs(way[2]) + 0.6
        planes = [np.zeros((size, size), np.float32) for _ in range(3)]
        return cls(planes[0], planes[1], planes[2], random, way / np.linalg.norm(way))

    def capsule(
        self, a: np.ndarray, b: np.ndarray, ra: float, rb: float, *, cloth: bool = False
    ) -> None:
        """Draw a tapered capsule from `a` to `b` (pixels) over what is there."""
        size = len(self.alpha)
        reach = max(ra, rb) + 2
        low = np.maximum(np.floor(np.minimum(a, b) - reach).astype(int), 0)
        high = np.minimum(np.ceil(np.maximum(a, b) + reach).astype(int) + 1, size)
        if (low >= high).any():
            return
        y, x = np.mgrid[low[1] : high[1], low[0] : high[0]].astype(np.float32)
        along = (b - a).astype(np.float32)
        length = float(along @ along) + 1e-6
        part = np.clip(((x - a[0]) * along[0] + (y - a[1]) * along[1]) / length, 0, 1)
        dx, dy = x - (a[0] + part * along[0]), y - (a[1] + part * along[1])
        radius = ra + part * (rb - ra)
        distance = np.sqrt(dx * dx + dy * dy)
        cover = np.clip(radius - distance + 0.5, 0, 1)
        inside = np.minimum(distance / radius, 1)
        up = np.sqrt(1 - 0.94 * inside * inside)
        lx, ly, lz = self.direction
        light = 0.5 + 0.5 * (lx * dx / radius + ly * dy / radius + lz * up)
        light *= 0.72 + 0.28 * up
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        # The contact between two fingers is dark.
        near = np.clip(radius + 0.12 * radius - distance, 0, 1) * (1 - cover)
        self.light[window] *= 1 - 0.35 * near
        self.light[window] += cover * (light - self.light[window])
        self.alpha[window] = np.maximum(self.alpha[window], cover)
        self.cloth[window] += cover * (float(cloth) - self.cloth[window])

    def mark(self, where: np.ndarray, axes: tuple[float, float], turn: float, gain: float) -> None:
        """Lighten or darken an ellipse: a nail, a crease."""
        spot = np.zeros_like(self.alpha)
        box = (tuple(map(float, where)), (max(axes[0], 0.8), max(axes[1], 0.8)), turn)
        cv2.ellipse(spot, box, 1.0, -1, cv2.LINE_AA)
        self.light *= 1 + (gain - 1) * spot * self.alpha


def draw_hand(
    size: int, wrist: np.ndarray, angle: float, palm: float, random: np.random.Generator
) -> Layer:
    """Draw a hand.

    Parameters
    ----------
    size
        Side of the canvas in pixels.
    wrist
        Where, pixels.
    angle
        Where its fingers point, radians, 0 to the right and pi/2 down.
    palm
        Width of the palm, pixels.
    random
        Pose, light, sleeve.
    """
    layer = Layer.empty(size, random)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]]) * (1 if random.random() < 0.5 else -1)
    squeeze = random.uniform(0.55, 1.0) if random.random() < 0.4 else 1.0

    def at(x: float, y: float) -> np.ndarray:
        return wrist + palm * (squeeze * x * across + y * along)

    pose = random.random()
    fold = random.uniform(0, 0.25, 4)
    if pose < 0.25:
        fold = random.uniform(0.75, 1.0, 4)  # a fist
    elif pose < 0.45:
        fold = np.array([random.uniform(0, 0.2), *random.uniform(0.7, 1.0, 3)])  # pointing
    elif pose < 0.75:
        fold = random.uniform(0.1, 0.6) + random.uniform(-0.1, 0.1, 4)
    spread = np.radians(random.uniform(0, 16))
    lean = np.radians(random.uniform(-12, 12))
    thick = random.uniform(0.9, 1.15)
    forearm = at(random.uniform(-0.5, 0.5), -random.uniform(2.5, 4))
    layer.capsule(wrist, forearm, 0.30 * palm * thick, 0.42 * palm * thick)
    if random.random() < 0.5:
        start = wrist + (forearm - wrist) * random.uniform(0.1, 0.4)
        layer.capsule(start, forearm, 0.42 * palm, 0.6 * palm, cloth=True)
    thumb_first = random.random() < 0.5

    def thumb() -> None:
        out = np.radians(random.uniform(15, 65))
        base, turn = at(-0.34, 0.35), at(-np.sin(out), np.cos(out)) - wrist
        middle = base + 0.45 * turn
        bent = at(-np.sin(out * 0.5), np.cos(out * 0.5)) - wrist
        layer.capsule(base, middle, 0.19 * palm * thick, 0.14 * palm * thick)
        layer.capsule(middle, middle + 0.36 * bent, 0.14 * palm * thick, 0.105 * palm * thick)

    if thumb_first:
        thumb()
    for x, _ in FINGER_BASES:
        layer.capsule(at(x * 0.55, 0.12), at(x * 0.95, 0.95), 0.26 * palm, 0.17 * palm)
    body = cv2.GaussianBlur(layer.light, (0, 0), 0.06 * palm)
    layer.light += 0.6 * layer.alpha * (body - layer.light)
    nails, creases = random.random() < 0.5, random.random() < 0.7
    for finger in (3, 2, 1, 0) if random.random() < 0.5 else (0, 1, 2, 3):
        turn = (finger - 1.5) * spread + lean
        point, bend, radius = at(*FINGER_BASES[finger]), 0.0, 0.135 * palm * thick
        heading = at(np.sin(turn), np.cos(turn)) - wrist
        for number, (share, most) in enumerate(zip(SEGMENTS, FOLDS, strict=True)):
            bend += most * fold[finger]
            step = FINGER_LENGTHS[finger] * share * np.cos(np.radians(bend))
            end, smaller = point + step * heading, radius * random.uniform(0.86, 0.95)
            layer.capsule(point, end, radius, smaller)
            degrees = float(np.degrees(np.arctan2(heading[1], heading[0])))
            if creases and number:
                layer.mark(point, (0.05 * palm, 1.5 * radius), degrees, random.uniform(0.8, 0.95))
            point, radius = end, smaller
        if nails and bend < 60:
            tip = point - 0.2 * radius * heading / (np.linalg.norm(heading) + 1e-6)
            layer.mark(tip, (1.3 * radius, 1.1 * radius), degrees, random.uniform(1.05, 1.3))
    if not thumb_first:
        thumb()
    # Soft light leaves fingers nearly flat.
    layer.light = 0.85 + random.uniform(0.3, 1) * (layer.light - 0.85)
    return layer
