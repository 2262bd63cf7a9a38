"""What a face network's pixels must be made into: ours to know, insightface's to confirm."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import onnx

    from refrestore.models.runtime import Network

_FIRST_NODES = 8
"""Nodes of a graph among which a normalisation of its own stands (insightface, arcface_onnx.py)."""


class Normalisation(NamedTuple):
    """`(pixel - mean) / spread`, of pixels 0..255."""

    mean: float
    spread: float


SCRFD = Normalisation(127.5, 128.0)
"""Of every SCRFD (insightface, scrfd.py)."""

ARCFACE = Normalisation(127.5, 127.5)
"""Of ArcFace-style networks that do not normalise by themselves (insightface, arcface_onnx.py)."""

NONE = Normalisation(0.0, 1.0)

_PUBLISHED = frozenset({"det_10g.onnx", "w600k_r50.onnx"})
"""insightface's own files in the pack `full`."""


def arcface_normalisation(graph: onnx.ModelProto) -> Normalisation:
    """Return what an ArcFace-style network expects.

    Exports of MXNet subtract and multiply in their first nodes, which the names tell.
    """
    names = [node.name for node in graph.graph.node[:_FIRST_NODES]]
    subtracts = any(name.startswith(("Sub", "_minus")) for name in names)
    multiplies = any(name.startswith(("Mul", "_mul")) for name in names)
    return NONE if subtracts and multiplies else ARCFACE


def zoo_normalisation(path: Path, network: Network, *, detector: bool) -> Normalisation | None:
    """Return what insightface's model zoo takes one of its files for; None where it has no say.

    The files it publishes are opened through it where it is installed; what it says is what the
    rules above say of every file known (tests/faces/test_oracles.py), so results do not depend on
    it.
    """
    if path.name not in _PUBLISHED or importlib.util.find_spec("insightface") is None:
        return None
    try:
        if detector:
            from insightface.model_zoo.scrfd import SCRFD as Opened  # noqa: N811

            opened = Opened(session=network)
        else:
            from insightface.model_zoo.arcface_onnx import ArcFaceONNX

            opened = ArcFaceONNX(str(path), network)
    except ImportError:  # installed without what it needs, for its photo say
        return None
    return Normalisation(float(opened.input_mean), float(opened.input_std))
