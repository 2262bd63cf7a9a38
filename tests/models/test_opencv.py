"""Networks without onnxruntime: OpenCV gives the same numbers."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from refrestore.config import tree_directory
from refrestore.errors import ModelError
from refrestore.evaluate.demo import group_photo
from refrestore.faces.detector import Detector
from refrestore.faces.landmarker import Landmarker
from refrestore.faces.recogniser import Recogniser
from refrestore.models import runtime
from refrestore.models.selftest import onnx_self_test

LITE = tree_directory("models") / "lite"


@pytest.fixture
def without(monkeypatch):
    """Return a function after which onnxruntime is not installed."""
    return lambda: monkeypatch.setitem(sys.modules, "onnxruntime", None)


def both(without, compute):
    """Return what is computed with onnxruntime and without."""
    first = compute()
    without()
    assert not runtime.has_onnxruntime()
    return first, compute()


def test_it_computes_and_says_where(without, tiny_network):
    without()
    session = runtime.onnx_session(tiny_network, "cpu")
    assert session.get_providers() == ["OpenCV"]
    assert session.get_inputs()[0].shape == [1, 1, 8, 8]
    assert onnx_self_test("cpu") == "cpu"


def test_detector_is_the_same_at_any_size_and_number(without):
    photo = group_photo()

    def compute():
        detector = Detector(LITE / "detector.onnx", "cpu", 1)
        return [
            detector.detect([photo, photo[:, ::-1]], [0, 1], 640),
            detector.detect([photo[:500, :700]], [0], 416),
            detector.detect([np.zeros_like(photo)], [0], 640),
        ]

    for expected, found in zip(*both(without, compute), strict=True):
        np.testing.assert_array_equal(found.frame, expected.frame)
        np.testing.assert_allclose(found.box, expected.box, atol=1e-2)
        np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1e-2)
        np.testing.assert_allclose(found.score, expected.score, atol=1e-4)


def test_mesh_and_embeddings_are_the_same(without):
    photo = group_photo()
    faces = np.stack([photo[y : y + 192, x : x + 192] for x, y in ((20, 220), (420, 240))] * 5)

    def compute():
        landmarks, presence = Landmarker(LITE / "landmarks.onnx", "cpu", 1).dense(faces)
        recogniser = Recogniser(LITE / "recogniser.onnx", "cpu", 1)
        embeddings = [recogniser.embed(faces[:count, 40:152, 40:152]) for count in (10, 1)]
        return landmarks, presence, *embeddings

    for expected, found in zip(*both(without, compute), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["scrfd_2.5g_kps", "scrfd_500m_kps", "edgeface_xs.fp32"])
def test_official_networks_are_the_same(without, shared, name):
    path = shared / "models" / f"{name}.onnx"
    photo = group_photo()

    def compute():
        if name.startswith("scrfd"):
            found = Detector(path, "cpu", 1).detect([photo], [0], 640)
            return found.box, found.keypoints
        return (Recogniser(path, "cpu", 1).embed(photo[None, 260:372, 460:572]),)

    for expected, found in zip(*both(without, compute), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-2)


def test_not_a_network(without, tmp_path):
    without()
    path = tmp_path / "broken.onnx"
    for content in (b"", b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not a network OpenCV can open"):
            runtime.onnx_session(path, "cpu")


def test_cuda_asked_for_is_said_with_the_command(without, tiny_network, caplog):
    without()
    runtime.onnx_session(tiny_network, "cuda")
    assert "tiny.onnx runs on the CPU" in caplog.text
    assert "run: pip install" in caplog.text
