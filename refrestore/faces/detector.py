"""Faces with five keypoints: SCRFD on pictures of any size, several at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from refrestore.config import Device
from refrestore.faces.scrfd import MULTIPLE, Candidates, Scrfd, suppress
from refrestore.types import Faces, ImageArray

PASSES = (1.0, 0.4)
"""At 640 px SCRFD misses faces that fill the picture, for which its largest anchors are too small;
a second look at 256 px finds them for a sixth of the time."""


class Detector:
    """Finds faces in pictures of any size, by an SCRFD network.

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
        self.network = Scrfd(path, device, threads)
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
            together = Candidates(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
            tables.append(self._suppress(together, frame))
        return Faces.concatenate(tables)

    def _pass(self, images: Sequence[ImageArray], size: int) -> list[Candidates]:
        """Look once at all pictures, in a given size; candidates in the pictures' pixels."""
        height, width = images[0].shape[:2]
        scale = size / max(height, width)
        shown = (max(1, round(width * scale)), max(1, round(height * scale)))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        padded = [MULTIPLE * -(-side // MULTIPLE) for side in shown]
        canvas = np.zeros((len(images), padded[1], padded[0], 3), np.uint8)
        for row, image in zip(canvas, images, strict=True):
            row[: shown[1], : shown[0]] = cv2.resize(image, shown, interpolation=way)
        # Edge-aligned resizing: the centre of pixel x lies at (x + 0.5) * factor - 0.5.
        factor = np.array([width / shown[0], height / shown[1]], np.float32)
        shift = (factor - 1) / 2
        return [
            Candidates(
                box=found.box * np.tile(factor, 2) + np.tile(shift, 2),
                keypoints=(found.keypoints * factor + shift).astype(np.float32),
                score=found.score,
            )
            for found in self.network.candidates(canvas, self.min_score)
        ]

    def _suppress(self, found: Candidates, frame: int) -> Faces:
        """Drop weaker boxes over stronger ones."""
        keep = suppress(found.box, found.score)
        return Faces(
            frame=np.full(len(keep), frame),
            box=found.box[keep],
            keypoints=found.keypoints[keep],
            score=found.score[keep],
        )
