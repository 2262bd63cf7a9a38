"""Any face restorer in an ONNX file, such as the facefusion community's; its shapes describe it.

Faces are RGB in -1..1, as all of these take them. A second input of one number is CodeFormer's
fidelity. What else a file is, and so whose licence holds, its name says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from refrestore.config import Device
from refrestore.errors import ModelError
from refrestore.faces.sessions import read_graph
from refrestore.models.runtime import Network, onnx_session
from refrestore.restore.second.kind import Asked, Kind
from refrestore.restore.second.stage import Descriptor, Template

SUFFIX = ".onnx"

NAME = "onnx"

UNKNOWN = "its publisher's, which the file does not name"

USUAL_SIDE = 512
"""Of a file that leaves the size of its pictures open."""

GPEN_SIDE, GPEN_MARGIN = 256, 8 / 112
"""GPEN's file of this size sees ArcFace's template with 8 of its 112 px more on every edge
(facefusion, face_enhancer: arcface_128)."""

FIDELITY = 0.5

_KINDS_OF_NUMBER = {1: np.float32, 10: np.float16, 11: np.float64}
"""As onnx.TensorProto numbers them."""


@dataclass(frozen=True, slots=True)
class _Port:
    name: str
    shape: tuple[int | None, ...]
    dtype: Any


@dataclass(frozen=True, eq=False)
class OnnxStage:
    """A second stage in an ONNX file; see `SecondStage`.

    Parameters
    ----------
    descriptor
        As in the protocol.
    network
        Opened.
    pictures, weight
        Its inputs; the second is the fidelity, where it takes one.
    output
        Name of the restored faces.
    fidelity
        What it is told.
    device
        Where the faces are wanted.
    """

    descriptor: Descriptor
    network: Network
    pictures: _Port
    weight: _Port | None
    output: str
    fidelity: float
    device: torch.device
    dtype: torch.dtype = torch.float32

    def __call__(self, faces: Tensor, landmarks: Tensor, confidence: Tensor) -> Tensor:
        """Restore a batch, or one after the other where the file holds a batch of one."""
        array = faces.float().cpu().numpy().astype(self.pictures.dtype)
        most = self.pictures.shape[0] or len(array)
        made = [self._run(array[start : start + most]) for start in range(0, len(array), most)]
        return torch.from_numpy(np.concatenate(made).astype(np.float32)).to(self.device)

    def _run(self, array: Any) -> Any:
        short = (self.pictures.shape[0] or len(array)) - len(array)
        padded = np.concatenate([array, array[-1:].repeat(short, 0)]) if short else array
        feed = {self.pictures.name: padded}
        if self.weight is not None:
            shape = [side or 1 for side in self.weight.shape]
            feed[self.weight.name] = np.full(shape, self.fidelity, self.weight.dtype)
        return self.network.run([self.output], feed)[0][: len(array)]


def licence_of(path: Path, kinds: Sequence[Kind], graph: Any = None) -> Kind | None:
    """Return the kind that a file is by its inputs or its name, or None."""
    graph = read_graph(path) if graph is None else graph
    by_name = {kind.name: kind for kind in kinds}
    if _weight(_inputs(graph, path)) is not None:
        return by_name.get("codeformer")
    plain = path.stem.lower().replace("-", "").replace("_", "")
    return next((kind for name, kind in by_name.items() if name in plain), None)


def open_onnx(path: Path, asked: Asked, kinds: Sequence[Kind]) -> OnnxStage:
    """Open a face restorer in an ONNX file, and try it on a grey face.

    Raises
    ------
    ModelError
        It is damaged, keeps weights in other files, or restores no faces.
    """
    graph = read_graph(path)
    inputs = _inputs(graph, path)
    pictures, weight = _pictures(inputs, path), _weight(inputs)
    kind = licence_of(path, kinds, graph)
    side = pictures.shape[2] or USUAL_SIDE
    template: Template = "ffhq"
    margin = 0.0
    if kind is not None and kind.name == "gpen" and side == GPEN_SIDE:
        template, margin = "arcface", GPEN_MARGIN
    about = Descriptor(
        name=NAME if kind is None else kind.name,
        title=path.stem if kind is None else f"{kind.title} (ONNX)",
        side=side,
        licence=UNKNOWN if kind is None else kind.licence,
        template=template,
        margin=margin,
        precisions=(torch.float32,),
        takes_fidelity=weight is not None,
    )
    about.check(asked.dtype)
    device: Device = "cuda" if asked.device.type == "cuda" else "cpu"
    network = onnx_session(path, device, 1 if device == "cpu" else None)
    fidelity = FIDELITY if asked.fidelity is None else asked.fidelity
    output = graph.graph.output[0].name
    stage = OnnxStage(about, network, pictures, weight, output, fidelity, asked.device)
    _try(stage, path)
    return stage


def _inputs(graph: Any, path: Path) -> list[_Port]:
    constants = {one.name for one in graph.graph.initializer}
    ports = []
    for one in graph.graph.input:
        if one.name in constants:
            continue
        axes = one.type.tensor_type.shape.dim
        shape = tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in axes)
        dtype = _KINDS_OF_NUMBER.get(one.type.tensor_type.elem_type)
        if dtype is None:
            raise ModelError(f"{path} restores no faces: its input {one.name} is of whole numbers.")
        ports.append(_Port(one.name, shape, dtype))
    return ports


def _pictures(inputs: Sequence[_Port], path: Path) -> _Port:
    found = [one for one in inputs if len(one.shape) == 4]
    rest = [one for one in inputs if len(one.shape) != 4 and not _is_number(one)]
    if len(found) != 1 or rest or found[0].shape[1] not in (3, None):
        raise ModelError(
            f"{path} restores no faces: its inputs are not one colour picture, with or without a "
            "weight; name the ONNX file of a face restorer."
        )
    height, width = found[0].shape[2:]
    if height != width:
        raise ModelError(
            f"{path} restores no faces: its pictures are of {width or 'any'} x {height or 'any'} "
            "px, not square."
        )
    return found[0]


def _weight(inputs: Sequence[_Port]) -> _Port | None:
    return next((one for one in inputs if _is_number(one)), None)


def _is_number(port: _Port) -> bool:
    return len(port.shape) < 2 and all(side in (1, None) for side in port.shape)


def _try(stage: OnnxStage, path: Path) -> None:
    """Refuse a network that does not give back what it takes."""
    side = stage.descriptor.side
    grey = torch.zeros(1, 3, side, side)
    try:
        made = stage(grey, grey, grey)
    except Exception as error:  # onnxruntime's exceptions share no base class
        text = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"{path} cannot restore a face of {side} px ({text[0].rstrip('.')}); name the file of "
            "a face restorer."
        ) from error
    if made.shape != grey.shape:
        given = " x ".join(map(str, made.shape))
        raise ModelError(
            f"{path} restores no faces: of 1 x 3 x {side} x {side} it makes {given}; name the file "
            "of a face restorer."
        )
