"""A GPU that is there: found without its libraries, and the command that gets it used."""

from __future__ import annotations

import os
import stat

import pytest

from refrestore.models.gpu import cuda_torch_advice, gpu_onnxruntime_command, nvidia_gpus
from refrestore.models.runtime import has_onnxruntime, onnxruntime_packages

BOTH = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'refrestore[gpu]'"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that gives this process an nvidia-smi that says something."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/nowhere")

    def make(says, code=0):
        (tmp_path / "bin").mkdir(exist_ok=True)
        program = tmp_path / "bin/nvidia-smi"
        program.write_text(f"#!/bin/sh\nprintf '{says}'\nexit {code}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return make


@pytest.fixture
def devices(tmp_path):
    """Return a folder like /dev of a machine without GPUs."""
    folder = tmp_path / "dev"
    folder.mkdir()
    for name in ("null", "nvidiactl", "nvidia-uvm"):
        (folder / name).touch()
    return folder


def test_what_nvidia_smi_names(machine, devices):
    assert nvidia_gpus(devices) == []
    machine("NVIDIA H200, 580.105.08\\nNVIDIA L4, 580.105.08\\n")
    assert nvidia_gpus(devices) == [
        "NVIDIA H200 (driver 580.105.08)",
        "NVIDIA L4 (driver 580.105.08)",
    ]


@pytest.mark.parametrize("visible", ["", "-1"])
def test_a_hidden_gpu_is_none(machine, devices, monkeypatch, visible):
    machine("NVIDIA H200, 580.105.08\\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert nvidia_gpus(devices) == []


def test_device_files_where_there_is_no_nvidia_smi_that_works(machine, devices):
    (devices / "nvidia0").touch()
    assert nvidia_gpus(devices) == ["nvidia0"]
    machine("NVIDIA-SMI has failed", code=9)
    assert nvidia_gpus(devices) == ["nvidia0"]


def test_no_program_no_folder(machine, tmp_path):
    assert nvidia_gpus(tmp_path / "none") == []


def installed(folder, *names):
    """Make a folder in which distributions are installed."""
    for name in names:
        info = folder / f"{name.replace('-', '_')}-1.31.1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.31.1\n")
    return [str(folder)]


@pytest.mark.parametrize(
    ("names", "command"),
    [
        ((), "pip install 'refrestore[gpu]'"),
        (("onnxruntime",), "pip uninstall -y onnxruntime && pip install 'refrestore[gpu]'"),
        (("onnxruntime", "onnxruntime-gpu"), BOTH),
        (("onnxruntime-gpu",), "pip install --force-reinstall --no-deps onnxruntime-gpu"),
    ],
)
def test_one_command_for_what_is_installed(tmp_path, names, command):
    packages = onnxruntime_packages(installed(tmp_path, *names))
    assert packages == dict.fromkeys(names, "1.31.1")
    assert gpu_onnxruntime_command(packages) == command


def test_torch_for_cpus_is_replaced_and_an_old_driver_is_named():
    command = "pip uninstall -y torch torchvision && pip install 'refrestore[gpu]'"
    assert command in cuda_torch_advice(None, "linux")
    assert "pytorch.org" in cuda_torch_advice(None, "win32")
    assert "driver" in cuda_torch_advice("13.2")


def test_what_an_uninstall_left_behind_is_no_onnxruntime(tmp_path, monkeypatch):
    import sys

    assert has_onnxruntime()
    (tmp_path / "onnxruntime/capi").mkdir(parents=True)
    (tmp_path / "onnxruntime/capi/libonnxruntime_providers_cuda.so").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    assert not has_onnxruntime()
