"""Faces with five keypoints: SCRFD on pictures of any size, several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.config import Device
from refrestore.errors import ModelError
from refrestore.faces.sessions import free_dimensions, open_session, read_graph
from refrestore.types import KEYPOINTS, Faces, FloatArray, ImageArray, IntArray

_STRIDES = (8, 16, 32)
_ANCHORS = 2
_OUTPUTS = 3 * len(_STRIDES)
_MULTIPLE = 32
"""Sides of the network's input are multiples of its largest stride."""

PASSES = (1.0, 0.4)
"""At 640 px SCRFD misses faces that fill the picture, for which its largest anchors are too small;
a second look at 256 px finds them for a sixth of the time."""

_NMS_OVERLAP = 0.4
"""insightface's own threshold for SCRFD (model_zoo/scrfd.py)."""


class _Candidates(NamedTuple):
    box: FloatArray
    keypoints: FloatArray
    score: FloatArray


class Detector:
    """An SCRFD network with keypoints, freed of its export's fixed input size.

    insightface's class knows the normalisation and suppresses overlaps; decoding is done here
    because its own takes one picture of one size a call. On the size a graph was exported with
    both give the same faces (tests/faces/test_detector.py).

    Parameters
    ----------
    path
        ONNX file with 9 outputs: scores, boxes, keypoints at strides 8, 16 and 32.
    device, threads
        Where to run.
    min_score
        Faces below this confidence are dropped.
    passes
        Sizes to look at a picture in, as parts of the size asked for.

    Raises
    ------
    ModelError
        If the file is not such a network.
    """

    def __init__(
        self,
        path: Path,
        device: Device = "cpu",
        threads: int | None = None,
        *,
        min_score: float = 0.5,
        passes: Sequence[float] = PASSES,
    ) -> None:
        from insightface.model_zoo.scrfd import SCRFD

        model = read_graph(path)
        if len(model.graph.output) != _OUTPUTS:
            raise ModelError(f"{path} is no SCRFD with keypoints: it has no {_OUTPUTS} outputs")
        # A graph whose outputs have no axis of pictures gives one picture's a call.
        self._batched = len(model.graph.output[0].type.tensor_type.shape.dim) == 3
        free_dimensions(model, {**({0: "n"} if self._batched else {}), 2: "height", 3: "width"})
        self._network = SCRFD(session=open_session(path, model, device, threads))
        self._network.nms_thresh = _NMS_OVERLAP
        self.min_score = min_score
        self._passes = tuple(passes)

    def detect(
        self,
        images: Sequence[ImageArray],
        frames: Sequence[int],
        size: int = 640,
        *,
        passes: Sequence[float] | None = None,
    ) -> Faces:
        """Find the faces in pictures of one size.

        Parameters
        ----------
        images : sequence of (H, W, 3) uint8
            RGB.
        frames
            Frame index of each.
        size
            Longer side of what the network sees, in pixels. Smaller pictures are enlarged.
        passes
            As the constructor's, for this call.

        Returns
        -------
        Faces
            In pixels of the given pictures, in the order of the pictures, best score first.
        """
        if not images:
            return Faces.empty()
        looks = [self._pass(images, round(size * share)) for share in passes or self._passes]
        tables = []
        for frame, found in zip(frames, zip(*looks, strict=True), strict=True):
            together = _Candidates(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
            tables.append(self._suppress(together, frame))
        return Faces.concatenate(tables)

    def _pass(self, images: Sequence[ImageArray], size: int) -> list[_Candidates]:
        """Look once at all pictures, in a given size; candidates in the pictures' pixels."""
        height, width = images[0].shape[:2]
        scale = size / max(height, width)
        shown = (max(1, round(width * scale)), max(1, round(height * scale)))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        padded = [_MULTIPLE * -(-side // _MULTIPLE) for side in shown]
        canvas = np.zeros((len(images), padded[1], padded[0], 3), np.uint8)
        for row, image in zip(canvas, images, strict=True):
            row[: shown[1], : shown[0]] = cv2.resize(image, shown, interpolation=way)
        # Edge-aligned resizing: the centre of pixel x lies at (x + 0.5) * factor - 0.5.
        factor = np.array([width / shown[0], height / shown[1]], np.float32)
        shift = (factor - 1) / 2
        return [
            _Candidates(
                box=found.box * np.tile(factor, 2) + np.tile(shift, 2),
                keypoints=(found.keypoints * factor + shift).astype(np.float32),
                score=found.score,
            )
            for found in self._candidates(canvas)
        ]

    def _candidates(self, canvas: ImageArray) -> list[_Candidates]:
        """Run the network and decode what is above the threshold, one entry a picture."""
        mean, spread = self._network.input_mean, self._network.input_std
        planes = (canvas.transpose(0, 3, 1, 2).astype(np.float32) - mean) / spread
        found = []
        step = len(planes) if self._batched else 1
        for start in range(0, len(planes), step):
            part = planes[start : start + step]
            feed = {self._network.input_name: part}
            outputs = self._network.session.run(self._network.output_names, feed)
            per_picture = [values.reshape(len(part), -1, values.shape[-1]) for values in outputs]
            found += [
                self._decode([values[row] for values in per_picture], canvas.shape[1:3])
                for row in range(len(part))
            ]
        return found

    def _decode(self, outputs: list[NDArray[Any]], size: tuple[int, ...]) -> _Candidates:
        """Turn one picture's distances from anchors into boxes and points."""
        levels = []
        for level, stride in enumerate(_STRIDES):
            scores, distances, offsets = outputs[level :: len(_STRIDES)]
            rows: IntArray = np.flatnonzero(scores[:, 0] >= self.min_score)
            cell = rows // _ANCHORS
            across = size[1] // stride
            centre = np.stack([cell % across, cell // across], 1).astype(np.float32)
            reach = distances[rows]
            box = np.hstack([centre - reach[:, :2], centre + reach[:, 2:]]) * stride
            points = (centre[:, None] + offsets[rows].reshape(-1, KEYPOINTS, 2)) * stride
            levels.append((box, points, scores[rows, 0]))
        box, points, score = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        return _Candidates(box, points, score)

    def _suppress(self, found: _Candidates, frame: int) -> Faces:
        """Drop weaker boxes over stronger ones."""
        boxes = np.column_stack([found.box, found.score])
        keep = self._network.nms(boxes) if len(boxes) else []
        return Faces(
            frame=np.full(len(keep), frame),
            box=found.box[keep],
            keypoints=found.keypoints[keep],
            score=found.score[keep],
        )
