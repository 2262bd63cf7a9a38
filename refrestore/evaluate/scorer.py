"""The independent recogniser: it scores, and takes no part in anything that is scored.

A restorer that is trained, selected or guarded with a recogniser pleases that recogniser. So
identity is scored by another network: MobileFaceNet (Apache-2.0), on 112-px ArcFace crops.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from refrestore.config import Device
from refrestore.models.runtime import onnx_session
from refrestore.types import FloatArray, ImageArray

SCORER_FILE = "mobilefacenet_scorer.onnx"

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


class IdentityScorer:
    """Embeds 112-px ArcFace crops for scoring only."""

    def __init__(self, path: Path, device: Device = "cpu", threads: int | None = None) -> None:
        self._session = onnx_session(path, device, threads)
        self._input = self._session.get_inputs()[0].name

    def embed(self, crops: ImageArray) -> FloatArray:
        """Return (N, 128) unit embeddings of (N, 112, 112, 3) RGB crops."""
        pixels = (crops.astype(np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_DEVIATION
        planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        # The file's batch size is fixed at 1.
        rows = [
            self._session.run(None, {self._input: planes[i : i + 1]})[0] for i in range(len(planes))
        ]
        if not rows:
            return np.zeros((0, 128), np.float32)
        embeddings = np.concatenate(rows).astype(np.float32)
        unit: FloatArray = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        return unit
