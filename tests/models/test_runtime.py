"""Devices, precision, sessions."""

from __future__ import annotations

import logging

import numpy as np
import onnxruntime
import pytest
import torch

from refrestore.errors import ModelError, UsageError
from refrestore.models import runtime
from refrestore.models.selftest import onnx_self_test, torch_self_test

WITHOUT_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")


def test_devices():
    assert runtime.torch_device("cpu").type == "cpu"
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert runtime.torch_device("auto").type == expected


def test_on_cuda_convolutions_do_the_same_again(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    assert runtime.torch_device("cuda").type == "cuda"
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark


@WITHOUT_CUDA
def test_cuda_that_is_not_there():
    with pytest.raises(UsageError, match="use auto or cpu"):
        runtime.torch_device("cuda")


def test_precision(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(runtime, "cpu_has_bfloat16", lambda: True)
    assert runtime.torch_dtype(cpu) == torch.bfloat16
    monkeypatch.setattr(runtime, "cpu_has_bfloat16", lambda: False)
    assert runtime.torch_dtype(cpu) == torch.float32


def test_bfloat16_needs_the_instructions_not_only_avx512(monkeypatch):
    monkeypatch.setattr(runtime.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert not runtime.cpu_has_bfloat16()
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert runtime.cpu_has_bfloat16()


def test_session_runs(tiny_network):
    session = runtime.onnx_session(tiny_network, "cpu", threads=1)
    assert runtime.session_device(session) == "cpu"
    (out,) = session.run(None, {"x": np.full((1, 1, 8, 8), 2, np.float32)})
    np.testing.assert_allclose(out, np.full((1, 1, 6, 6), 18, np.float32))


def test_self_tests():
    assert onnx_self_test("cpu") == "cpu"
    assert torch_self_test("cpu") == "cpu"


def test_session_options():
    options = runtime.session_options(3)
    assert options.intra_op_num_threads == 3
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert runtime.session_options().intra_op_num_threads == runtime.available_cpus()


@WITHOUT_CUDA
def test_cuda_asked_and_not_got_is_said(tiny_network, caplog, capfd):
    with caplog.at_level(logging.WARNING):
        session = runtime.onnx_session(tiny_network, "cuda")
    assert runtime.session_device(session) == "cpu"
    assert "CUDA was asked for, but tiny.onnx runs on the CPU" in caplog.text
    assert capfd.readouterr().out == ""
    caplog.clear()
    runtime.onnx_session(tiny_network, "cpu")
    assert not caplog.records


def test_why_no_cuda(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    both = {"onnxruntime": "1.20", "onnxruntime-gpu": "1.20"}
    monkeypatch.setattr(runtime, "onnxruntime_packages", lambda: both)
    assert "both installed" in runtime.why_no_onnx_cuda()
    monkeypatch.setattr(runtime, "onnxruntime_packages", lambda: {"onnxruntime": "1.20"})
    assert "no CUDA provider" in runtime.why_no_onnx_cuda()


def test_packages_are_found():
    assert runtime.onnxruntime_packages()


def test_not_a_network(tmp_path):
    path = tmp_path / "broken.onnx"
    for content in (b"", b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not a network onnxruntime can open"):
            runtime.onnx_session(path, "cpu")
    with pytest.raises(ModelError, match="not a network"):
        runtime.onnx_session(tmp_path / "none.onnx", "cpu")
