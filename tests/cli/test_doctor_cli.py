"""`refrestore doctor`: names what is wrong, and fails only if the main job would not run."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from refrestore import doctor
from refrestore.cli.doctor import register
from refrestore.config import RuntimeSettings
from refrestore.errors import ModelError


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


def test_both_onnxruntimes(monkeypatch):
    both = {"onnxruntime": "1.20", "onnxruntime-gpu": "1.20"}
    monkeypatch.setattr(doctor, "onnxruntime_packages", lambda: both)
    first, *_ = doctor._onnxruntime(RuntimeSettings(device="cpu"))
    assert first.state == "warning"
    assert "uninstall both" in first.detail


def test_onnxruntime_without_the_gpu_that_torch_has(monkeypatch):
    class Cuda:
        type = "cuda"

    monkeypatch.setattr(doctor, "torch_device", lambda _: Cuda())
    monkeypatch.setattr(doctor, "onnx_self_test", lambda _: "cpu")
    assert _states(doctor._onnxruntime, device="auto") == ["warning"]
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
