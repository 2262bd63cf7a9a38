"""Proof that torch and ONNX networks compute where they say, with nothing but themselves."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from refrestore.config import Device
from refrestore.errors import ModelError

from .runtime import onnx_session, session_device, torch_device

_SIDE = 8
_TOLERANCE = 1e-2  # TF32 convolutions keep ten bits


def write_tiny_network(path: Path) -> None:
    """Write an ONNX network `y = conv(x, ones 3x3)` for x of (1, 1, 8, 8), without padding."""
    from onnx import TensorProto, helper, numpy_helper, save

    shape = [1, 1, _SIDE, _SIDE]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, _SIDE - 2, _SIDE - 2])],
        [numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "w")],
    )
    # Old versions on purpose: every onnxruntime that is allowed opens them.
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def onnx_self_test(device: Device) -> str:
    """Run a convolution as an ONNX network and return where it ran, "cuda" or "cpu".

    Raises
    ------
    ModelError
        If it fails or the result is wrong.
    """
    x = np.arange(_SIDE**2, dtype=np.float32).reshape(1, 1, _SIDE, _SIDE) / _SIDE**2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "self-test.onnx"
        write_tiny_network(path)
        session = onnx_session(path, device, threads=1)
        try:
            (result,) = session.run(None, {"x": x})
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise ModelError(f"an ONNX network cannot run here: {error}") from error
    expected = sum(x[..., i : i + _SIDE - 2, j : j + _SIDE - 2] for i in range(3) for j in range(3))
    if not np.allclose(result, expected, atol=_TOLERANCE):
        raise ModelError("a convolution comes out wrong; install onnxruntime again.")
    return session_device(session)


def torch_self_test(device: Device) -> str:
    """Run a convolution in torch and return where it ran, "cuda" or "cpu".

    Raises
    ------
    UsageError
        If CUDA was asked for and torch has none.
    ModelError
        If it fails.
    """
    import torch

    place = torch_device(device)
    try:
        x = torch.ones(1, 1, _SIDE, _SIDE, device=place)
        result = torch.nn.functional.conv2d(x, torch.ones(1, 1, 3, 3, device=place))
        right = bool((result - 9).abs().max() < _TOLERANCE)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"torch cannot compute on {place}: {reason}") from error
    if not right:
        raise ModelError(f"torch computes a convolution wrongly on {place}.")
    return place.type
