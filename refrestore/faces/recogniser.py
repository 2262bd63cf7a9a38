"""Identity embeddings of aligned faces, in batches.

ArcFace: Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019.
Results are held to insightface's by tests/faces/test_oracles.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from refrestore.config import Device
from refrestore.errors import ModelError
from refrestore.faces.align import ARCFACE_SIZE, ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.normalisation import arcface_normalisation, zoo_normalisation
from refrestore.faces.sessions import computed, normalised, read_graph, readable
from refrestore.models.runtime import onnx_session, session_device
from refrestore.types import EMBEDDING_SIZE, FloatArray, ImageArray

if TYPE_CHECKING:
    from torch import Tensor

_BATCH = 8
_CUDA_BATCH = 64


class Recogniser:
    """An ArcFace-style network.

    Parameters
    ----------
    path
        ONNX file with a (N, 3, 112, 112) input and (N, 512) output.
    device, threads
        Where to run.

    Raises
    ------
    ModelError
        If the file is not such a network.
    """

    def __init__(self, path: Path, device: Device = "cpu", threads: int | None = None) -> None:
        session = onnx_session(path, device, threads)
        shape = session.get_inputs()[0].shape
        if list(shape[1:]) != [3, ARCFACE_SIZE, ARCFACE_SIZE]:
            raise ModelError(f"{path} is no recogniser: its input is {shape}, not (N, 3, 112, 112)")
        asked = zoo_normalisation(path, session, detector=False)
        self._normalisation = asked or arcface_normalisation(read_graph(path))
        self.session = session
        self.batch = _CUDA_BATCH if session_device(session) == "cuda" else _BATCH
        if isinstance(shape[0], int):
            self.batch = shape[0]

    def embed(self, aligned: ImageArray | Tensor) -> FloatArray:
        """Return unit embeddings (N, 512) float32 of (N, 112, 112, 3) uint8 RGB crops.

        Tensors on a GPU stay there, if the network computes there.
        """
        result = np.empty((len(aligned), EMBEDDING_SIZE), np.float32)
        aligned = readable(aligned, self.session)
        for start in range(0, len(aligned), self.batch):
            rows = slice(start, start + self.batch)
            planes = normalised(aligned[rows], *self._normalisation, planes=True)
            result[rows] = computed(self.session, planes)[0]
        result /= np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-12)
        return result

    def embed_faces(self, image: ImageArray, keypoints: FloatArray) -> FloatArray:
        """Return unit embeddings (N, 512) of faces in a picture, given (N, 5, 2) keypoints."""
        if not len(keypoints):
            return np.empty((0, EMBEDDING_SIZE), np.float32)
        matrices = similarity(keypoints, ARCFACE_TEMPLATE)
        return self.embed(crops(image, matrices, ARCFACE_SIZE))
