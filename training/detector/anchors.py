"""Which anchor answers for which face."""

from __future__ import annotations

import numpy as np

from training.detector.data import Canvases, Labels
from training.detector.network import ANCHOR_SIZES, ANCHORS, STRIDES

NEAREST = 9
"""Candidate anchors of a face on each level (ATSS, CVPR 2020, section 3)."""

WINDOW = 6
"""Side in cells of the square they are looked for in."""


def anchor_table(side: int) -> tuple[np.ndarray, np.ndarray, list[slice]]:
    """Return centres (A, 2), sides (A,) and the part of each level, in the network's order."""
    centres, sides, parts = [], [], []
    start = 0
    for stride, sizes in zip(STRIDES, ANCHOR_SIZES, strict=True):
        count = side // stride
        y, x = np.mgrid[:count, :count] * stride
        cell = np.stack([x, y], -1).reshape(-1, 1, 2)
        centres.append(np.repeat(cell, len(sizes), 1).reshape(-1, 2).astype(np.float64))
        sides.append(np.tile(np.array(sizes, np.float64), count * count))
        parts.append(slice(start, start + len(sides[-1])))
        start = parts[-1].stop
    return np.concatenate(centres), np.concatenate(sides), parts


def near_anchors(middle: np.ndarray, centres: np.ndarray, parts: list[slice]) -> np.ndarray:
    """Return the rows of the anchors nearest to a point, NEAREST on each level."""
    chosen = []
    for stride, part in zip(STRIDES, parts, strict=True):
        across = round(np.sqrt((part.stop - part.start) / ANCHORS))
        x, y = np.clip(middle // stride - 2, 0, across - WINDOW).astype(int)
        cells = (y + np.arange(WINDOW))[:, None] * across + x + np.arange(WINDOW)
        rows = part.start + (cells.reshape(-1, 1) * ANCHORS + np.arange(ANCHORS)).ravel()
        distance = ((centres[rows] - middle) ** 2).sum(1)
        chosen.append(rows[np.argpartition(distance, NEAREST)[:NEAREST]])
    return np.concatenate(chosen)


def assign(
    labels: Labels, centres: np.ndarray, sides: np.ndarray, parts: list[slice]
) -> tuple[np.ndarray, np.ndarray]:
    """Give anchors their faces by ATSS.

    Returns
    -------
    rows : (A,) int64
        The face of each anchor, -1 for background, -2 for what is ignored.
    """
    rows = np.full(len(centres), -1)
    x, y = centres.T
    for x0, y0, x1, y1 in labels.ignored:
        near = 4.0  # half a cell of the finest level
        rows[(x > x0 - near) & (x < x1 + near) & (y > y0 - near) & (y < y1 + near)] = -2
    best = np.zeros(len(centres))
    for face, box in enumerate(labels.box):
        middle = (box[:2] + box[2:]) / 2
        chosen = near_anchors(middle, centres, parts)
        distance = ((centres[chosen] - middle) ** 2).sum(1)
        half = sides[chosen, None] / 2
        part = np.hstack([centres[chosen] - half, centres[chosen] + half])
        inner = np.minimum(part[:, 2:], box[2:]) - np.maximum(part[:, :2], box[:2])
        inner = np.prod(np.maximum(inner, 0), 1)
        overlap = inner / (sides[chosen] ** 2 + np.prod(box[2:] - box[:2]) - inner)
        inside = ((centres[chosen] > box[:2]) & (centres[chosen] < box[2:])).all(1)
        good = inside & (overlap >= overlap.mean() + overlap.std())
        if not good.any():
            good[np.argmax(overlap - 1e-4 * distance)] = True
        good &= overlap > best[chosen]
        best[chosen[good]] = overlap[good]
        rows[chosen[good]] = face
    return rows


def batch(
    source: Canvases, count: int, table: tuple[np.ndarray, np.ndarray, list[slice]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return canvases (B, S, S, 3), rows (B, A) and what they point at.

    The third is (B, A, 14) float32: box and keypoints of the anchor's face, zero for none.
    """
    images, rows, targets = [], [], []
    for _ in range(count):
        image, labels = source.one()
        row = assign(labels, *table)
        faces = np.hstack([labels.box, labels.keypoints.reshape(-1, 10)])
        target = np.zeros((len(row), 14), np.float32)
        target[row >= 0] = faces[row[row >= 0]]
        images.append(image)
        rows.append(row)
        targets.append(target)
    return np.stack(images), np.stack(rows), np.stack(targets)
