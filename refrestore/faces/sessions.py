"""ONNX graphs made ready to run: freed of a fixed batch or picture size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from refrestore.config import Device
from refrestore.errors import ModelError
from refrestore.models.runtime import Network, onnx_session
from refrestore.plain_file import check_plain

if TYPE_CHECKING:
    import onnx


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
