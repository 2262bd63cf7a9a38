"""Dense landmarks: the 468-point face mesh on aligned crops, in batches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.special import expit

from refrestore.config import Device
from refrestore.errors import ModelError
from refrestore.faces.sessions import (
    computed,
    free_dimensions,
    normalised,
    open_session,
    read_graph,
    readable,
)
from refrestore.models.runtime import session_device
from refrestore.types import DENSE_LANDMARKS, DoubleArray, FloatArray, ImageArray

if TYPE_CHECKING:
    from torch import Tensor

MESH_SIZE = 192
"""Side of the network's input in pixels."""

_BATCH = 8
"""Faces a call; beyond this a CPU's cache overflows and each face takes longer (2 cores: 1.2 ms a
face at 4, 1.5 ms at 8, 4 ms at 16)."""

_CUDA_BATCH = 64


_SQUARE = 1.25
"""Side of the square the mesh is looked for in, over the longer side of the detector's box. In a
profile an FFHQ crop centres on the cheek's edge and the mesh slips into the background; this
square keeps it on the face (yaw of full profiles on the real film: 50-57 instead of 13-34)."""


def mesh_squares(box: FloatArray, keypoints: FloatArray, size: int = MESH_SIZE) -> DoubleArray:
    """Return matrices (N, 2, 3) picture → upright square around each face.

    Parameters
    ----------
    box : (N, 4)
        Detector's boxes, pixels of the picture.
    keypoints : (N, 5, 2)
        Tell which way is up: from between the mouth's corners to between the eyes, which holds
        in profile too.
    size
        Side of the square in pixels.
    """
    corners = np.asarray(box, np.float64)
    centre = (corners[:, :2] + corners[:, 2:]) / 2
    side = _SQUARE * np.maximum((corners[:, 2:] - corners[:, :2]).max(1), 1.0)
    down = keypoints[:, 3:].mean(1) - keypoints[:, :2].mean(1)
    down = down / np.maximum(np.linalg.norm(down, axis=1, keepdims=True), 1e-6)
    linear = np.empty((len(corners), 2, 2))
    linear[:, 0] = down[:, ::-1] * (1, -1)
    linear[:, 1] = down
    linear *= (size / side)[:, None, None]
    shift = (size - 1) / 2 - (linear @ centre[:, :, None])
    return np.concatenate([linear, shift], 2)


class Landmarker:
    """The face mesh network.

    Parameters
    ----------
    path
        ONNX file: (1, 192, 192, 3) RGB 0..1 in, 468 x (x, y, z) in 0..192 and a presence logit out.
    device, threads
        Where to run.

    Raises
    ------
    ModelError
        If the file is not such a network.
    """

    def __init__(self, path: Path, device: Device = "cpu", threads: int | None = None) -> None:
        from onnx import numpy_helper

        model = read_graph(path)
        shape = [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim]
        if shape[1:] != [MESH_SIZE, MESH_SIZE, 3]:
            raise ModelError(f"{path} is no face mesh: its input is {shape}, not (N, 192, 192, 3)")
        free_dimensions(model, {0: "faces"})
        targets = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
        for constant in model.graph.initializer:
            if constant.name in targets:
                values = numpy_helper.to_array(constant).copy()
                values[0] = -1
                constant.CopyFrom(numpy_helper.from_array(values, constant.name))
        self.session = open_session(path, model, device, threads)
        self.batch = _CUDA_BATCH if session_device(self.session) == "cuda" else _BATCH

    def dense(self, crops: ImageArray | Tensor) -> tuple[FloatArray, FloatArray]:
        """Find the mesh in FFHQ-aligned crops.

        Parameters
        ----------
        crops : (N, S, S, 3) uint8
            RGB, aligned to the FFHQ template at any side S; 192 is taken as it is. Tensors of that
            side stay on a GPU, if the network computes there.

        Returns
        -------
        landmarks : (N, 468, 2) float32
            In pixels of the crops (pixel centres at integers).
        presence : (N,) float32
            0..1, whether there is a face at all.
        """
        size = crops.shape[1] if len(crops) else MESH_SIZE
        landmarks = np.empty((len(crops), DENSE_LANDMARKS, 2), np.float32)
        presence = np.empty(len(crops), np.float32)
        crops = readable(crops, self.session)
        for start in range(0, len(crops), self.batch):
            rows = slice(start, start + self.batch)
            part = normalised(_at_mesh_size(crops[rows]), 0, 255, planes=False)
            points, logits = computed(self.session, part)
            landmarks[rows] = points.reshape(len(part), DENSE_LANDMARKS, 3)[..., :2]
            presence[rows] = expit(logits.reshape(-1))
        # The network counts from the picture's edge, not from the first pixel's centre: mirroring
        # its input turns x into 192 - x, not 191 - x.
        landmarks *= size / MESH_SIZE
        landmarks -= 0.5
        return landmarks, presence


def _at_mesh_size(crops: ImageArray | Tensor) -> ImageArray | Tensor:
    """Return crops, (N, S, S, 3), as the network takes them; those of another side as an array."""
    size = crops.shape[1]
    if size == MESH_SIZE:
        return crops
    way = cv2.INTER_AREA if size > MESH_SIZE else cv2.INTER_LINEAR
    seen = crops if isinstance(crops, np.ndarray) else crops.cpu().numpy()
    return np.stack([cv2.resize(one, (MESH_SIZE, MESH_SIZE), interpolation=way) for one in seen])
