"""`refrestore doctor`: names what is wrong, and fails only if the main job would not run."""

from __future__ import annotations

import json
import os
import sys

import pytest
import torch
import typer
from typer.testing import CliRunner

from refrestore import doctor
from refrestore.cli.doctor import register
from refrestore.config import RuntimeSettings
from refrestore.errors import ModelError
from refrestore.models.runtime import onnxruntime_packages

WITHOUT_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")


@pytest.fixture
def run():
    app = typer.Typer()
    register(app)
    runner = CliRunner()
    return lambda *words: runner.invoke(app, list(words))


def test_healthy(run, tmp_path):
    result = run("--json", "--device", "cpu", "--profiles-dir", str(tmp_path / "new"))
    answer = json.loads(result.stdout)
    states = {check["name"]: check["state"] for check in answer["checks"]}
    assert answer["ok"], answer
    assert result.exit_code == 0
    for name in ("python", "packages", "torch", "onnxruntime", "encoders", "models lite"):
        assert states[name] == "ok", answer
    assert {"models full", "profiles", "disk"} <= set(states)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("system", ["Darwin", "Windows", "Linux"])
def test_a_system_that_was_not_tried_is_said(system, monkeypatch):
    monkeypatch.setattr(doctor.platform, "system", lambda: system)
    checks = {check.name: check for check in doctor._python(RuntimeSettings())}
    assert checks["python"].state == "ok"
    assert ("system" in checks) == (system != "Linux")
    if system != "Linux":
        assert checks["system"].state == "warning"
        assert system in checks["system"].detail


def test_wrong_model_is_an_error(run, tmp_path):
    (tmp_path / "lite").mkdir()
    (tmp_path / "lite" / "detector.onnx").write_bytes(b"something else")
    result = run("--device", "cpu", "--models-dir", str(tmp_path))
    assert result.exit_code == 1
    (line,) = [line for line in result.stdout.splitlines() if "models lite" in line]
    assert line.startswith("error")
    assert "detector.onnx (wrong digest)" in line


def _states(look, **settings) -> list[str]:
    return [check.state for check in doctor._guarded(look, RuntimeSettings(**settings))]


def test_broken_package(monkeypatch):
    monkeypatch.setattr(doctor, "MODULES", {"no_such_module": "no-such-package"})
    (check,) = doctor._packages(RuntimeSettings())
    assert check.state == "error"
    assert "no-such-package" in check.detail


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """Give this process an nvidia-smi that names a GPU."""
    program = tmp_path / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'NVIDIA H200, 580.105.08'\n")
    program.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def plain_beside(tmp_path, monkeypatch):
    """Install plain onnxruntime, as far as its metadata says, in a folder that is returned."""
    info = tmp_path / "site/onnxruntime-1.32.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime\nVersion: 1.32.0\n")
    monkeypatch.syspath_prepend(str(info.parent))
    return str(info.parent)


@WITHOUT_CUDA
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_gpu_that_torch_does_not_use_fails(run, gpu, device):
    result = run("--json", "--device", device)
    assert result.exit_code == 1
    details = {one["name"]: one for one in json.loads(result.stdout)["checks"]}
    assert details["torch"]["state"] == "error"
    assert "NVIDIA H200 (driver 580.105.08)" in details["torch"]["detail"]
    assert "update the NVIDIA driver" in details["torch"]["detail"]


def test_gpu_that_is_not_asked_for(run, gpu):
    assert run("--json", "--device", "cpu").exit_code == 0


MEND = "run: pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'refrestore[gpu]'"


@pytest.mark.skipif(
    "onnxruntime-gpu" not in onnxruntime_packages(), reason="needs the pinned environment"
)
def test_both_onnxruntimes(plain_beside):
    first, *_ = doctor._onnxruntime(RuntimeSettings(device="cpu"))
    assert first.state == "warning"
    assert MEND in first.detail


@pytest.mark.skipif(
    "onnxruntime-gpu" not in onnxruntime_packages(), reason="needs the pinned environment"
)
def test_both_onnxruntimes_beside_a_gpu_fail(plain_beside, gpu):
    first, *_ = doctor._onnxruntime(RuntimeSettings())
    assert first.state == "error"
    assert MEND in first.detail


def test_no_onnxruntime_is_said_and_no_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(
        doctor, "onnxruntime_packages", lambda: onnxruntime_packages([str(tmp_path)])
    )
    (check,) = doctor._onnxruntime(RuntimeSettings(device="cpu"))
    assert check.state == "ok"
    assert "pip install 'refrestore[cpu]'" in check.detail


def test_onnxruntime_whose_files_an_uninstall_took(plain_beside, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    recorded = onnxruntime_packages([plain_beside])
    monkeypatch.setattr(doctor, "onnxruntime_packages", lambda: recorded)
    (check,) = doctor._onnxruntime(RuntimeSettings(device="cpu"))
    assert check.state == "warning"
    assert "run: pip install --force-reinstall --no-deps onnxruntime" in check.detail


def test_onnxruntime_without_the_gpu_that_torch_has(monkeypatch):
    class Cuda:
        type = "cuda"

    monkeypatch.setattr(doctor, "torch_device", lambda _: Cuda())
    monkeypatch.setattr(doctor, "onnx_self_test", lambda _: "cpu")
    assert _states(doctor._onnxruntime, device="auto") == ["error"]
    assert _states(doctor._onnxruntime, device="cuda") == ["error"]


def test_no_encoder(monkeypatch):
    monkeypatch.setattr(doctor, "_encodes", lambda _: False)
    assert _states(doctor._encoders) == ["error"]


@pytest.mark.parametrize("error", [ModelError("one sentence"), ImportError("libcudart")])
def test_whatever_fails_is_a_line(error):
    def look(_):
        raise error
        yield

    (check,) = doctor._guarded(look, RuntimeSettings())
    assert check.state == "error"
    assert str(error) in check.detail
