"""Whether this machine has an NVIDIA GPU, and the one command that gets it used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

CPU_COMMAND = "pip install 'refrestore[cpu]'"
GPU_COMMAND = "pip install 'refrestore[gpu]'"

OLDEST_PYTHON_FOR_GPU = (3, 11)
"""onnxruntime-gpu for CUDA 13 has no build for older ones."""

_PATIENCE = 20
"""Seconds that nvidia-smi may take; with a driver that is asleep it needs several."""

_HIDDEN = {"", "-1", "NoDevFiles"}
"""Values of CUDA_VISIBLE_DEVICES that hide every GPU."""


def nvidia_gpus(devices: Path = Path("/dev")) -> list[str]:
    """Return a line for each NVIDIA GPU that this process may use, without any of its libraries.

    What nvidia-smi names, or the driver's device files where there is no nvidia-smi (as in many
    containers). A GPU that CUDA_VISIBLE_DEVICES hides is not there.

    Parameters
    ----------
    devices
        Folder of the device files.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in _HIDDEN:
        return []
    if program := shutil.which("nvidia-smi"):
        query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        try:
            done = subprocess.run(
                query, capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            done = None
        if done is not None and done.returncode == 0:
            return [
                f"{name.strip()} (driver {driver.strip()})"
                for name, _, driver in (line.partition(",") for line in done.stdout.splitlines())
                if name.strip()
            ]
    return [path.name for path in sorted(devices.glob("nvidia[0-9]*"))]


def gpu_onnxruntime_command(packages: Iterable[str]) -> str:
    """Return the command that makes onnxruntime-gpu the one onnxruntime.

    Both have to go before one comes: they own the same files.

    Parameters
    ----------
    packages
        Installed distributions: `onnxruntime`, `onnxruntime-gpu`.
    """
    installed = sorted(packages)
    if installed == ["onnxruntime-gpu"]:
        return "pip install --force-reinstall --no-deps onnxruntime-gpu"
    if not installed:
        return GPU_COMMAND
    return f"pip uninstall -y {' '.join(installed)} && {GPU_COMMAND}"


def cuda_torch_advice(cuda: str | None, system: str = sys.platform) -> str:
    """Return what gets torch to use a GPU that is there.

    Parameters
    ----------
    cuda
        CUDA version that torch was built for; None of a build for CPUs.
    system
        As `sys.platform`.
    """
    if cuda is not None:
        return f"update the NVIDIA driver: it is too old for CUDA {cuda}, or does not run"
    if system == "linux":
        return f"run: pip uninstall -y torch torchvision && {GPU_COMMAND}"
    return "install torch and torchvision for CUDA 13 as pytorch.org/get-started says"
