"""ONNX files with half-precision weights that compute in float32."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

OPSET = 13
IR_VERSION = 8  # every onnxruntime that is allowed opens it
SMALLEST = 64


def export(
    network: nn.Module,
    path: Path,
    example: torch.Tensor,
    *,
    inputs: str,
    outputs: list[str],
    axes: dict[str, dict[int, str]],
    about: str,
) -> None:
    """Write a network; weights of more than 64 numbers are stored as float16 behind a Cast.

    onnxruntime folds the casts when it opens the file, so the computation is float32 at full
    speed and the file half as large. Batch normalisation is folded into the convolutions first.

    Parameters
    ----------
    network
        In eval mode, float32, contiguous.
    path
        Where; replaced at once.
    example
        An input.
    inputs, outputs, axes
        Names, and which axes are free (as `torch.onnx.export`'s `dynamic_axes`).
    about
        Goes into the file's description.
    """
    buffer = io.BytesIO()
    network = network.float().eval().to(memory_format=torch.contiguous_format)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=[inputs],
            output_names=outputs,
            dynamic_axes=axes,
            do_constant_folding=True,
        )
    model = onnx.load_from_string(buffer.getvalue())
    casts = []
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < SMALLEST:
            continue
        name = constant.name
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.ir_version = IR_VERSION
    model.doc_string = about
    onnx.checker.check_model(model)
    temporary = path.with_suffix(".tmp")
    onnx.save(model, str(temporary))
    temporary.replace(path)
