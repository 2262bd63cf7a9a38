"""A recogniser that gradients pass through: its ONNX graph, run by torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from refrestore.errors import ModelError
from refrestore.faces.align import ARCFACE_SIZE

Attributes = Mapping[str, Any]
Inputs = Sequence[torch.Tensor]


def _even(values: Sequence[int]) -> int:
    """Return the one padding that ONNX gives for each side."""
    if len(set(values)) > 1:
        raise ValueError(f"padding {list(values)}")
    return values[0]


def _convolution(inputs: Inputs, said: Attributes) -> torch.Tensor:
    x, weight, bias = inputs
    return F.conv2d(
        x,
        weight,
        bias,
        stride=said["strides"],
        padding=_even(said["pads"]),
        dilation=said["dilations"],
        groups=said["group"],
    )


def _pool(inputs: Inputs, said: Attributes) -> torch.Tensor:
    return F.avg_pool2d(inputs[0], said["kernel_shape"], said["strides"], _even(said["pads"]))


def _linear(inputs: Inputs, said: Attributes) -> torch.Tensor:
    if said.get("alpha", 1) != 1 or said.get("beta", 1) != 1 or not said.get("transB"):
        raise ValueError(f"Gemm with {dict(said)}")
    return F.linear(*inputs)


OPERATIONS: Mapping[str, Callable[[Inputs, Attributes], torch.Tensor]] = {
    "Add": lambda inputs, said: inputs[0] + inputs[1],
    "AveragePool": _pool,
    "Cast": lambda inputs, said: inputs[0].float(),
    "Conv": _convolution,
    "Flatten": lambda inputs, said: inputs[0].flatten(said.get("axis", 1)),
    "Gemm": _linear,
    "Relu": lambda inputs, said: F.relu(inputs[0]),
}
"""All that the recogniser of `models/lite` is made of (its batch norms are folded)."""


class OnnxNetwork(nn.Module):
    """A small ONNX network as a torch module, equal to onnxruntime's to rounding.

    Parameters
    ----------
    path
        A network of one input and one output, made of `OPERATIONS`.

    Raises
    ------
    ModelError
        If it is made of something else.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        import onnx

        graph = onnx.load(str(path)).graph
        values = {
            one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()).float()
            for one in graph.initializer
        }
        names = {name: f"weight_{index}" for index, name in enumerate(values)}
        for name, value in values.items():
            self.register_buffer(names[name], value)
        self._names = names
        self._input, self._output = graph.input[0].name, graph.output[0].name
        self._nodes = []
        for node in graph.node:
            said = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            if node.op_type not in OPERATIONS:
                raise ModelError(
                    f"{path} has an operation {node.op_type} that gradients are not known of here; "
                    "use models/lite/recogniser.onnx of this version."
                )
            self._nodes.append((node.op_type, list(node.input), node.output[0], said))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the network's output."""
        known = {self._input: x}
        known |= {name: getattr(self, own) for name, own in self._names.items()}
        for kind, inputs, output, said in self._nodes:
            known[output] = OPERATIONS[kind]([known[name] for name in inputs], said)
        return known[self._output]


class Likeness(nn.Module):
    """A recogniser's view of a face, through a differentiable alignment of a blurred picture.

    Parameters
    ----------
    path
        `models/lite/recogniser.onnx`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.network = OnnxNetwork(path).eval()
        kernel = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("kernel", (kernel[:, None] * kernel).expand(3, 1, 3, 3).clone())

    def forward(self, images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
        """Return unit embeddings (B, 512) of faces.

        Parameters
        ----------
        images : (B, 3, T, T)
            RGB 0..1, of a crop of 256 px.
        matrices : (B, 2, 3)
            Pixels of `images` to ArcFace's 112 px.
        """
        aligned = aligned_faces(images, matrices, self.get_buffer("kernel"))
        embedding: torch.Tensor = self.network((aligned - 0.5) / 0.5)
        return F.normalize(embedding.float(), dim=1)


def aligned_faces(
    images: torch.Tensor, matrices: torch.Tensor, kernel: torch.Tensor
) -> torch.Tensor:
    """Cut (B, 3, 112, 112) out of pictures, blurred first: 1.8 pixels go into one.

    It would alias otherwise, and the gradient would draw what only the recogniser sees.
    """
    padded = F.pad(images.float(), (1, 1, 1, 1), mode="replicate")
    blurred = F.conv2d(padded, kernel, groups=3)
    last = matrices.new_tensor([[0, 0, 1]]).expand(len(matrices), 1, 3)
    back = torch.linalg.inv(torch.cat([matrices, last], 1))[:, :2]
    axis = torch.arange(ARCFACE_SIZE, dtype=torch.float32, device=images.device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], -1)
    where = torch.einsum("bij,hwj->bhwi", back, points)
    grid = (where + 0.5) * 2 / images.shape[-1] - 1
    return F.grid_sample(blurred, grid, align_corners=False, padding_mode="border")
