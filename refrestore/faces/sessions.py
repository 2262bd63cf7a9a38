"""ONNX graphs made ready to run: freed of a fixed batch or picture size, and given pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from refrestore.config import Device
from refrestore.errors import ModelError
from refrestore.models.runtime import Network, onnx_session, session_device
from refrestore.plain_file import check_plain
from refrestore.types import FloatArray, ImageArray

if TYPE_CHECKING:
    import onnx
    from torch import Tensor


def read_graph(path: Path) -> onnx.ModelProto:
    """Return the graph of an ONNX file.

    Raises
    ------
    ModelError
        If the file cannot be read as ONNX.
    """
    import onnx

    try:
        check_plain(path)
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own, which has no typed name
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise ModelError(
            f"{path} is not a readable ONNX network ({reason}); `refrestore models verify` says "
            "which files are damaged."
        ) from error
    if any(one.data_location == onnx.TensorProto.EXTERNAL for one in model.graph.initializer):
        raise ModelError(f"{path} keeps its weights in other files, whose digests nobody checks.")
    if not model.graph.input or not model.graph.output:
        raise ModelError(f"{path} is no network: it has no inputs or no outputs.")
    return model


def free_dimensions(model: onnx.ModelProto, axes: dict[int, str]) -> None:
    """Make axes of the first input symbolic, and forget the shapes that followed from them."""
    shape = model.graph.input[0].type.tensor_type.shape
    if len(shape.dim) <= max(axes):
        raise ModelError(
            f"The input {model.graph.input[0].name} of a network has {len(shape.dim)} axes, not "
            f"{max(axes) + 1}: it is another network than its name says."
        )
    for axis, name in axes.items():
        shape.dim[axis].dim_param = name
    for output in model.graph.output:
        for axis, size in enumerate(output.type.tensor_type.shape.dim):
            size.dim_param = f"{output.name}_{axis}"
    del model.graph.value_info[:]


def open_session(
    path: Path, graph: onnx.ModelProto, device: Device, threads: int | None
) -> Network:
    """Open an edited graph of a file on the device asked for."""
    return onnx_session(path, device, threads, graph=graph.SerializeToString())


def computed(network: Network, pictures: FloatArray | Tensor) -> list[FloatArray]:
    """Return all outputs of a network that has one input.

    Parameters
    ----------
    network
        Opened.
    pictures
        The input. A tensor is read where it lies (`readable` says whether the network can).
    """
    if isinstance(pictures, np.ndarray):
        return network.run(None, {network.get_inputs()[0].name: pictures})
    return _bound(network, pictures)


def readable(pictures: ImageArray | Tensor, network: Network) -> ImageArray | Tensor:
    """Return pictures as a network reads them: on a GPU they stay there if it computes there too.

    All others become arrays, without a copy where they are in the CPU's memory.
    """
    if isinstance(pictures, np.ndarray):
        return pictures
    if pictures.device.type == session_device(network) == "cuda":
        return pictures
    array: ImageArray = pictures.cpu().numpy()
    return array


def normalised(
    pictures: ImageArray | Tensor, mean: float, spread: float, *, planes: bool
) -> FloatArray | Tensor:
    """Return `(pixel - mean) / spread` of pictures (N, H, W, 3), as float32 where they lie.

    Parameters
    ----------
    planes
        Whether as (N, 3, H, W).
    """
    if isinstance(pictures, np.ndarray):
        seen = pictures.transpose(0, 3, 1, 2) if planes else pictures
        result: FloatArray = np.ascontiguousarray(seen, np.float32)
        # In place: pages for what lies between take longer than the arithmetic.
        result -= mean
        result /= spread
        return result
    there = pictures.permute(0, 3, 1, 2) if planes else pictures
    return ((there.float() - mean) / spread).contiguous()


def _bound(network: Any, pictures: Tensor) -> list[FloatArray]:
    """Let onnxruntime read a tensor of the device that it computes on; outputs come to the CPU."""
    device = pictures.device
    if device.type == "cuda":  # onnxruntime computes in a stream of its own
        import torch

        torch.cuda.current_stream(device).synchronize()
    binding = network.io_binding()
    binding.bind_input(
        network.get_inputs()[0].name,
        device.type,
        device.index or 0,
        np.float32,
        tuple(pictures.shape),
        pictures.data_ptr(),
    )
    for output in network.get_outputs():
        binding.bind_output(output.name)
    network.run_with_iobinding(binding)
    outputs: list[FloatArray] = binding.copy_outputs_to_cpu()
    return outputs
