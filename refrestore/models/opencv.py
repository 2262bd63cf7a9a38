"""ONNX networks in OpenCV, where no onnxruntime is installed.

Every installation has OpenCV, and its answers are onnxruntime's to rounding, for somewhat more time
(tests/models/test_opencv.py; docs/decisions/018).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.errors import ModelError

from .gpu import CPU_COMMAND

if TYPE_CHECKING:
    import onnx

OPENCV_PROVIDER = "OpenCV"


class Port(NamedTuple):
    """An input or output; axes without a fixed size have a name or None."""

    name: str
    shape: list[int | str | None]


class OpenCvNetwork:
    """The part of `onnxruntime.InferenceSession` that is used here, computed by OpenCV on the CPU.

    Parameters
    ----------
    path
        ONNX file.
    graph
        Serialised graph to open in its place.

    Notes
    -----
    Threads are OpenCV's own, all of them; answers are the same for any number.

    Raises
    ------
    ModelError
        If OpenCV cannot open it.
    """

    def __init__(self, path: Path, graph: bytes | None = None) -> None:
        import onnx

        try:
            content = graph or path.read_bytes()
            model = onnx.load_from_string(content)
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
        except Exception as error:  # protobuf's and OpenCV's, which have no typed names
            reason = str(error).strip() or type(error).__name__
            raise ModelError(
                f"{path} is not a network OpenCV can open: {reason.splitlines()[0]}"
            ) from error
        weights = {constant.name for constant in model.graph.initializer}
        self._inputs = [_port(value) for value in model.graph.input if value.name not in weights]
        self._outputs = [_port(value) for value in model.graph.output]
        self._path = path
        self._lock = threading.Lock()

    def get_inputs(self) -> list[Port]:
        """Return names and shapes."""
        return self._inputs

    def get_outputs(self) -> list[Port]:
        """Return names and shapes."""
        return self._outputs

    def get_providers(self) -> list[str]:
        """Return what computes."""
        return [OPENCV_PROVIDER]

    def run(self, names: Sequence[str] | None, feed: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Compute outputs, all of them without `names`.

        Raises
        ------
        ModelError
            If OpenCV cannot compute the network on these inputs.
        """
        wanted = list(names or (port.name for port in self._outputs))
        with self._lock:  # a network keeps its inputs
            try:
                for name, values in feed.items():
                    self._net.setInput(np.ascontiguousarray(values, np.float32), name)
                return [np.array(values) for values in self._net.forward(wanted)]
            except cv2.error as error:
                raise ModelError(
                    f"OpenCV cannot compute {self._path.name} ({error.err}); run: {CPU_COMMAND}"
                ) from error


def _port(value: onnx.ValueInfoProto) -> Port:
    axes = value.type.tensor_type.shape.dim
    return Port(
        value.name,
        [a.dim_value if a.HasField("dim_value") else (a.dim_param or None) for a in axes],
    )
