"""Networks are given pictures where these lie: by the same function on a CPU as on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from refrestore.faces import sessions
from refrestore.faces.landmarker import MESH_SIZE, Landmarker
from refrestore.faces.recogniser import Recogniser
from refrestore.models.runtime import CUDA_PROVIDER, onnx_session
from refrestore.render.crops import arcface_crops, bytes_of
from refrestore.types import DENSE_LANDMARKS, EMBEDDING_SIZE
from tests.cuda import pretended

LITE = Path(__file__).parents[2] / "models/lite"
SHAPES = {
    "detector.onnx": (1, 3, 640, 640),
    "landmarks.onnx": (1, MESH_SIZE, MESH_SIZE, 3),
    "recogniser.onnx": (1, 3, 112, 112),
}


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_bound_is_computed_as_what_is_handed_over(name: str) -> None:
    network = onnx_session(LITE / name, "cpu", 1)
    pictures = noise(*SHAPES[name]).astype(np.float32) / 255
    handed = sessions.computed(network, pictures)
    bound = sessions.computed(network, torch.from_numpy(pictures))
    assert len(bound) == len(handed) == len(network.get_outputs())
    for one, other in zip(bound, handed, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("planes", [True, False])
def test_tensors_are_normalised_as_arrays_are(planes: bool) -> None:
    pictures = noise(2, 6, 5, 3)
    array = sessions.normalised(pictures, 127.5, 128.0, planes=planes)
    tensor = sessions.normalised(torch.from_numpy(pictures), 127.5, 128.0, planes=planes)
    assert isinstance(tensor, Tensor)
    assert tensor.is_contiguous()
    assert array.dtype == np.float32
    np.testing.assert_array_equal(tensor.numpy(), array)


def test_tensors_of_the_cpu_are_looked_at_as_arrays() -> None:
    recogniser = Recogniser(LITE / "recogniser.onnx", "cpu", 1)
    faces = noise(3, 112, 112, 3)
    np.testing.assert_array_equal(
        recogniser.embed(torch.from_numpy(faces)), recogniser.embed(faces)
    )
    landmarker = Landmarker(LITE / "landmarks.onnx", "cpu", 1)
    for side in (MESH_SIZE, 256):
        squares = noise(2, side, side, 3)
        for one, other in zip(
            landmarker.dense(torch.from_numpy(squares)), landmarker.dense(squares), strict=True
        ):
            np.testing.assert_array_equal(one, other)


class OnGpu:
    """A network that is said to compute on a GPU."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def get_providers(self) -> list[str]:
        return [CUDA_PROVIDER]


@pytest.fixture
def bound(monkeypatch) -> list[Tensor]:
    """Return what networks are given where it lies; their answers are zeros."""
    given: list[Tensor] = []

    def answer(network: OnGpu, pictures: Tensor) -> list[np.ndarray]:
        given.append(pictures)
        count = len(pictures)
        shapes = {1: [(EMBEDDING_SIZE,)], 2: [(DENSE_LANDMARKS, 3), (1,)]}
        return [np.zeros((count, *one), np.float32) for one in shapes[len(network.get_outputs())]]

    monkeypatch.setattr(sessions, "_bound", answer)
    return given


def on_gpu(kind: Callable[..., Any], name: str) -> Any:
    network = kind(LITE / name, "cpu", 1)
    network.session = OnGpu(network.session)
    return network


def test_crops_on_a_gpu_stay_there(bound) -> None:
    recogniser = on_gpu(Recogniser, "recogniser.onnx")
    landmarker = on_gpu(Landmarker, "landmarks.onnx")
    mesh = np.random.default_rng(1).uniform(60, 190, (3, DENSE_LANDMARKS, 2)).astype(np.float32)
    with pretended() as transfers:
        crops = torch.rand(3, 3, 256, 256, device="cuda")
        recogniser.embed(arcface_crops(crops, mesh))
        landmarker.dense(bytes_of(torch.rand(3, 3, MESH_SIZE, MESH_SIZE, device="cuda")))
        assert transfers.fetched == []
    assert [tuple(one.shape) for one in bound] == [(3, 3, 112, 112), (3, MESH_SIZE, MESH_SIZE, 3)]
    for one in bound:
        assert one.device.type == "cuda"
        assert one.dtype == torch.float32
        assert one.is_contiguous()
