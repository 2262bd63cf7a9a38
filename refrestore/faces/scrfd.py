"""The SCRFD network's side of detection: pictures in, boxes and keypoints out.

SCRFD: Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022.
The file's format (nine outputs, anchors, normalisation) is that of insightface's exports; results
are held to that package's by tests/faces/test_oracles.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refrestore.config import Device
from refrestore.errors import ModelError
from refrestore.faces.normalisation import SCRFD, zoo_normalisation
from refrestore.faces.sessions import (
    computed,
    free_dimensions,
    normalised,
    open_session,
    read_graph,
)
from refrestore.types import KEYPOINTS, FloatArray, ImageArray, IntArray

STRIDES = (8, 16, 32)
"""Pixels from one cell of a level to the next."""

MULTIPLE = STRIDES[-1]
"""Sides of the network's input are multiples of its largest stride."""

_ANCHORS = 2
"""Anchors of a cell, one behind the other in the outputs."""

_OUTPUTS = 3 * len(STRIDES)

NMS_OVERLAP = 0.4
"""insightface's own threshold for SCRFD (model_zoo/scrfd.py)."""


class Candidates(NamedTuple):
    """Faces before overlaps are suppressed.

    Parameters
    ----------
    box : (N, 4)
        Left, top, right, bottom.
    keypoints : (N, 5, 2)
    score : (N,)
    """

    box: FloatArray
    keypoints: FloatArray
    score: FloatArray


class Scrfd:
    """An SCRFD network with keypoints, freed of its export's fixed input size.

    Parameters
    ----------
    path
        ONNX file with nine outputs: scores, boxes, keypoints at strides 8, 16 and 32.
    device, threads
        Where to run.

    Raises
    ------
    ModelError
        If the file is not such a network.
    """

    def __init__(self, path: Path, device: Device = "cpu", threads: int | None = None) -> None:
        model = read_graph(path)
        if len(model.graph.output) != _OUTPUTS:
            raise ModelError(f"{path} is no SCRFD with keypoints: it has no {_OUTPUTS} outputs")
        # A graph whose outputs have no axis of pictures gives one picture's a call.
        self._batched = len(model.graph.output[0].type.tensor_type.shape.dim) == 3
        free_dimensions(model, {**({0: "n"} if self._batched else {}), 2: "height", 3: "width"})
        self.session = open_session(path, model, device, threads)
        self._normalisation = zoo_normalisation(path, self.session, detector=True) or SCRFD

    def candidates(self, canvas: ImageArray, min_score: float) -> list[Candidates]:
        """Return what is above a confidence, one entry a picture, in pixels of the canvas.

        Parameters
        ----------
        canvas : (N, H, W, 3) uint8
            RGB; H and W are multiples of `MULTIPLE`.
        min_score
            Confidence from which a candidate counts.
        """
        planes = normalised(canvas, *self._normalisation, planes=True)
        found = []
        step = len(planes) if self._batched else 1
        for start in range(0, len(planes), step):
            part = planes[start : start + step]
            outputs = computed(self.session, part)
            per_picture = [values.reshape(len(part), -1, values.shape[-1]) for values in outputs]
            found += [
                _decode([values[row] for values in per_picture], canvas.shape[2], min_score)
                for row in range(len(part))
            ]
        return found


def _decode(outputs: list[NDArray[Any]], width: int, min_score: float) -> Candidates:
    """Turn one picture's distances from anchors into boxes and points."""
    levels = []
    for level, stride in enumerate(STRIDES):
        scores, distances, offsets = outputs[level :: len(STRIDES)]
        rows: IntArray = np.flatnonzero(scores[:, 0] >= min_score)
        cell = rows // _ANCHORS
        across = width // stride
        centre = np.stack([cell % across, cell // across], 1).astype(np.float32)
        reach = distances[rows]
        box = np.hstack([centre - reach[:, :2], centre + reach[:, 2:]]) * stride
        points = (centre[:, None] + offsets[rows].reshape(-1, KEYPOINTS, 2)) * stride
        levels.append((box, points, scores[rows, 0]))
    return Candidates(*(np.concatenate(parts) for parts in zip(*levels, strict=True)))


def suppress(box: FloatArray, score: FloatArray) -> IntArray:
    """Return the rows that stay, best first: none overlaps a better one by more than 0.4.

    Overlap is intersection over union, with both edges counted as pixels (as insightface does).
    """
    order: IntArray = np.argsort(-score, kind="stable")
    low, high = box[:, :2], box[:, 2:]
    area = (high - low + 1).prod(1)
    keep = []
    while len(order):
        best, others = order[0], order[1:]
        keep.append(best)
        sides = np.minimum(high[best], high[others]) - np.maximum(low[best], low[others]) + 1
        shared = np.maximum(sides, 0).prod(1)
        overlap = shared / (area[best] + area[others] - shared)
        order = others[overlap <= NMS_OVERLAP]
    return np.array(keep, np.int64)
