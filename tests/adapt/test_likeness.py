"""The recogniser in torch: the same numbers as onnxruntime's, and gradients."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from refrestore.adapt.likeness import Likeness, OnnxNetwork, aligned_faces
from refrestore.config import tree_directory
from refrestore.errors import ModelError
from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.recogniser import Recogniser

RECOGNISER = tree_directory("models") / "lite" / "recogniser.onnx"


def test_it_gives_what_onnxruntime_gives():
    x = np.random.default_rng(0).uniform(-1, 1, (3, 3, 112, 112)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(RECOGNISER), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {session.get_inputs()[0].name: x})
    with torch.no_grad():
        found = OnnxNetwork(RECOGNISER)(torch.from_numpy(x))
    assert np.abs(found.numpy() - wanted).max() <= 1e-4


def test_a_faces_embedding_is_the_recognisers():
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(1, 3, 32, 32, generator=generator)
    image = torch.nn.functional.interpolate(small, size=256, mode="bicubic").clamp(0, 1)
    matrix = similarity((ARCFACE_TEMPLATE * 1.8 + 20)[None], ARCFACE_TEMPLATE)
    octets = (image[0] * 255).round().byte().permute(1, 2, 0).numpy()
    wanted = Recogniser(RECOGNISER, threads=1).embed(crops(octets, matrix, 112))[0]
    likeness = Likeness(RECOGNISER)
    found = likeness(image, torch.from_numpy(matrix.astype(np.float32)))
    assert float(found[0].detach() @ torch.from_numpy(wanted)) > 0.98
    cut = aligned_faces(image, torch.from_numpy(matrix.astype(np.float32)), likeness.kernel)
    plain = crops(octets, matrix, 112)[0].astype(np.float32) / 255
    assert np.abs(cut[0].permute(1, 2, 0).numpy() - plain).mean() < 0.01


def test_following_the_gradient_makes_faces_alike():
    likeness = Likeness(RECOGNISER)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 256, 256, generator=generator).requires_grad_()
    truth = torch.rand(1, 3, 256, 256, generator=generator)
    matrix = torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]])
    with torch.no_grad():
        wanted = likeness(truth, matrix)
    before = likeness(image, matrix)
    (gradient,) = torch.autograd.grad((before * wanted).sum(), image)
    with torch.no_grad():
        after = likeness(image + 0.5 * gradient / gradient.norm(), matrix)
    assert float((after * wanted).sum()) > float((before * wanted).sum()) + 0.001


def test_an_unknown_operation_is_named(tmp_path):
    model = onnx.load(str(RECOGNISER))
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Erf"
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(ModelError, match="operation Erf"):
        OnnxNetwork(tmp_path / "other.onnx")
