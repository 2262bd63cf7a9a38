"""Files become second stages, or one sentence: weights, ONNX, licences, fidelity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from refrestore.errors import ModelError, UsageError
from refrestore.models.runtime import has_onnxruntime
from refrestore.restore.second.gpen import GPEN, GPENConfig
from refrestore.restore.second.kind import Asked
from refrestore.restore.second.registry import KINDS, open_stage

STANDIN = Path(__file__).resolve().parents[3] / "models/standin/gfpgan_standin.safetensors"


def write_onnx(path, shape=(1, 3, 64, 64), *, weight=None, channels=3, kind=TensorProto.FLOAT):
    """Write a network that halves its picture, and adds the weight where it takes one."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    half = np.zeros((channels, 3, 1, 1), dtype)
    for index in range(min(3, channels)):
        half[index, index] = 0.5
    inputs = [helper.make_tensor_value_info("input", kind, shape)]
    last = "halved" if weight is not None else "output"
    nodes = [helper.make_node("Conv", ["input", "half"], [last])]
    if weight is not None:
        inputs.append(helper.make_tensor_value_info("weight", TensorProto.DOUBLE, weight))
        nodes.append(helper.make_node("Cast", ["weight"], ["cast"], to=kind))
        nodes.append(helper.make_node("Add", ["halved", "cast"], ["output"]))
    output = helper.make_tensor_value_info("output", kind, (None, channels, None, None))
    graph = helper.make_graph(nodes, "g", inputs, [output], [numpy_helper.from_array(half, "half")])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def run(stage, count=2):
    side = stage.descriptor.side
    faces = torch.rand(count, 3, side, side) * 2 - 1
    return faces, stage(faces, faces, faces)


def test_the_kinds_do_not_take_each_others_files(tmp_path):
    """Each file is detected by one kind."""
    with torch.device("meta"):
        state = GPEN(GPENConfig(256, 32, 1, 1, 1 / 32)).state_dict()
    assert [kind.name for kind in KINDS if kind.detect(state)] == ["gpen"]
    stage = open_stage(STANDIN)
    assert (stage.descriptor.name, stage.descriptor.side) == ("gfpgan", 256)


@pytest.mark.parametrize("wrapped", [None, "params_ema", "state_dict"])
@pytest.mark.parametrize("suffix", [".pth", ".ckpt"])
def test_opens_gpen_as_it_is_published(tmp_path, wrapped, suffix):
    torch.manual_seed(0)
    network = GPEN(GPENConfig(256, 32, 1, 1, 1 / 32)).eval()
    state = network.state_dict()
    path = tmp_path / f"gpen{suffix}"
    torch.save(state if wrapped is None else {wrapped: state}, path)
    stage = open_stage(path, accepted=["gpen"])
    with torch.inference_mode():
        faces, made = run(stage)
        assert (made - network(faces)).abs().max() < 1e-5


def test_a_licence_is_accepted_by_name(tmp_path):
    path = tmp_path / "mine.pth"
    torch.save(GPEN(GPENConfig(256, 32, 1, 1, 1 / 32)).state_dict(), path)
    with pytest.raises(UsageError, match=r"non-commercial use\).*--accept-licence gpen\.$"):
        open_stage(path, accepted=["codeformer"])
    onnx_path = write_onnx(tmp_path / "codeformer.onnx", weight=[1])
    with pytest.raises(UsageError, match=r"S-Lab License.*--accept-licence codeformer"):
        open_stage(onnx_path, accepted=[])
    by_name = write_onnx(tmp_path / "GPEN-BFR-512.onnx")
    with pytest.raises(UsageError, match="--accept-licence gpen"):
        open_stage(by_name, accepted=[])


def test_a_fidelity_is_for_those_that_take_it(tmp_path):
    with pytest.raises(UsageError, match="GFPGAN cannot be told how near"):
        open_stage(STANDIN, Asked(fidelity=0.5))


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), ("batch", 3, 64, 64), (None, 3, None, None)])
def test_any_onnx_restorer(tmp_path, shape):
    stage = open_stage(write_onnx(tmp_path / "it.onnx", shape))
    about = stage.descriptor
    assert about.side == (64 if shape[2] else 512)
    assert (about.title, about.name, about.takes_fidelity) == ("it", "onnx", False)
    faces, made = run(stage, 3)
    assert torch.allclose(made, faces / 2, atol=1e-6)


@pytest.mark.skipif(not has_onnxruntime(), reason="OpenCV takes one precision")
def test_onnx_with_a_weight_is_codeformer_and_may_be_half_precision(tmp_path):
    path = write_onnx(tmp_path / "it.onnx", weight=[1])
    stage = open_stage(path, Asked(fidelity=0.25), accepted=["codeformer"])
    faces, made = run(stage)
    assert stage.descriptor.title == "CodeFormer (ONNX)"
    assert torch.allclose(made, faces / 2 + 0.25, atol=1e-6)
    half = open_stage(write_onnx(tmp_path / "h.onnx", kind=TensorProto.FLOAT16))
    faces, made = run(half)
    assert torch.allclose(made, faces / 2, atol=1e-3)


def test_gpen_of_256_pixels_is_aligned_as_its_community_does(tmp_path):
    path = write_onnx(tmp_path / "gpen_bfr_256.onnx", (1, 3, 256, 256))
    about = open_stage(path, accepted=["gpen"]).descriptor
    assert about.template == "arcface"
    assert np.allclose(about.points()[0] * 128, [46.2946, 59.6963], atol=1e-3)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"shape": (1, 3, 64, 32)}, "its pictures are of 32 x 64 px, not square"),
        ({"shape": (1, 1, 64, 64)}, "not one colour picture"),
        ({"weight": [1, 3]}, "not one colour picture"),
        ({"channels": 1}, "of 1 x 3 x 64 x 64 it makes 1 x 1 x 64 x 64"),
        ({"channels": 12}, "it makes 1 x 12 x 64 x 64"),
    ],
)
def test_onnx_that_restores_no_faces(tmp_path, asked, message):
    path = tmp_path / "it.onnx"
    write_onnx(path, **asked)
    with pytest.raises(ModelError, match=message) as raised:
        open_stage(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_onnx_whose_open_shape_does_not_fit(tmp_path):
    """Its picture may be of any size, and the network only takes 96 px."""
    path = tmp_path / "it.onnx"
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 3, None, None))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, (1, 3, None, None))
    constant = numpy_helper.from_array(np.ones((1, 3, 96, 96), np.float32), "constant")
    node = helper.make_node("Add", ["input", "constant"], ["output"])
    graph = helper.make_graph([node], "g", [picture], [output], [constant])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    with pytest.raises(ModelError, match=r"cannot restore a face of 512 px \(") as raised:
        open_stage(path)
    assert "\n" not in str(raised.value)


def test_onnx_whose_weights_lie_elsewhere_is_refused(tmp_path):
    path = write_onnx(tmp_path / "it.onnx")
    model = onnx.load(path)
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret.bin")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="keeps its weights in other files"):
        open_stage(path)


def test_a_precision_that_onnx_does_not_stand_gives_way(tmp_path):
    stage = open_stage(write_onnx(tmp_path / "it.onnx"), Asked(dtype=torch.bfloat16))
    assert stage.dtype == torch.float32


def test_files_that_are_nothing_of_the_kind(tmp_path):
    path = tmp_path / "it.pth"
    torch.save({"conv.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(ModelError, match="holds no restorer of faces that is known here"):
        open_stage(path)
    path.write_bytes(STANDIN.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"it\.pth cannot be used as weights"):
        open_stage(path)
    cut = tmp_path / "it.onnx"
    write_onnx(cut)
    cut.write_bytes(cut.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"it\.onnx"):
        open_stage(cut)
    for suffix in (".pth", ".onnx"):
        with pytest.raises(ModelError, match="none"):
            open_stage(tmp_path / f"none{suffix}")
