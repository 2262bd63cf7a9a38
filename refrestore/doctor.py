"""What this machine has, and whether the main job would run on it."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from refrestore.config import EncoderSettings, RuntimeSettings, profiles_directory
from refrestore.errors import RefrestoreError
from refrestore.models import ModelStore, torch_device, torch_dtype
from refrestore.models.gpu import (
    CPU_COMMAND,
    cuda_torch_advice,
    gpu_onnxruntime_command,
    nvidia_gpus,
)
from refrestore.models.runtime import has_onnxruntime, onnxruntime_packages, why_no_onnx_cuda
from refrestore.models.selftest import onnx_self_test, torch_self_test

State = Literal["ok", "warning", "error"]

OLDEST_PYTHON = (3, 10)

TRIED = "Linux"
"""The system that the tests run on."""

MODULES = {
    "av": "av",
    "cv2": "opencv-python",
    "faiss": "faiss-cpu",
    "fastapi": "fastapi",
    "numpy": "numpy",
    "onnx": "onnx",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "uvicorn": "uvicorn",
}
"""Modules the main job imports, and the packages they come from."""

OTHER_ENCODERS = ("libx265", "libsvtav1", "prores_ks", "ffv1")
"""Encoders that work where libav has them."""

GPU_ENCODERS = ("h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_qsv", "hevc_qsv", "av1_qsv")
"""Encoders that are in libav's list on machines without such a GPU, too: these are opened."""

LITTLE_DISK = 2 << 30
"""Free bytes below which a render of a few minutes may not fit."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: `error` means that the main job would not run, or not on the GPU."""

    name: str
    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything looked at, in order."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether the main job would run, and on the GPU where there is one."""
        return all(check.state != "error" for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return `{"ok", "checks": [{"name", "state", "detail"}]}`."""
        return {"ok": self.ok, "checks": [asdict(check) for check in self.checks]}


def diagnose(settings: RuntimeSettings) -> Diagnosis:
    """Look at everything that the main job needs.

    Parameters
    ----------
    settings
        Device, pack and folders it would run with.
    """
    looks: tuple[Callable[[RuntimeSettings], Iterator[Check]], ...] = (
        _python,
        _packages,
        _torch,
        _onnxruntime,
        _encoders,
        _models,
        _folders,
    )
    return Diagnosis(tuple(check for look in looks for check in _guarded(look, settings)))


def _guarded(
    look: Callable[[RuntimeSettings], Iterator[Check]], settings: RuntimeSettings
) -> Iterator[Check]:
    try:
        yield from look(settings)
    except RefrestoreError as error:
        yield Check(look.__name__.strip("_"), "error", str(error))
    except Exception as error:  # a broken installation fails in its own ways; say so, go on
        yield Check(look.__name__.strip("_"), "error", f"{type(error).__name__}: {error}")


def _python(_: RuntimeSettings) -> Iterator[Check]:
    old = sys.version_info[:2] < OLDEST_PYTHON
    where = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Check("python", "error" if old else "ok", where)
    if platform.system() != TRIED:
        detail = (
            f"refrestore is tried on {TRIED}; for {platform.system()} its code was read, not run"
        )
        yield Check("system", "warning", detail)


def _packages(_: RuntimeSettings) -> Iterator[Check]:
    versions, broken = [], []
    for module, package in MODULES.items():
        problem = _import_problem(module)
        if problem is None:
            versions.append(f"{module} {_version(package)}")
        else:
            broken.append(f"{package} ({problem})")
    if broken:
        detail = f"cannot be imported: {'; '.join(broken)}; install refrestore again"
        yield Check("packages", "error", detail)
    else:
        yield Check("packages", "ok", ", ".join(versions))


def _import_problem(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except Exception as error:  # a package of the wrong build raises anything
        return (str(error) or type(error).__name__).splitlines()[0]
    return None


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # another build of it, such as -headless
        return "?"


def _gpus(settings: RuntimeSettings) -> list[str]:
    """Return the GPUs that ought to be used."""
    return [] if settings.device == "cpu" else nvidia_gpus()


def _torch(settings: RuntimeSettings) -> Iterator[Check]:
    import torch

    gpus = _gpus(settings)
    if gpus and not torch.cuda.is_available():
        advice = cuda_torch_advice(torch.version.cuda)
        detail = f"{torch.__version__} does not use {', '.join(gpus)}; {advice}"
        yield Check("torch", "error", detail)
        return
    ran = torch_self_test(settings.device)
    place = torch_device(settings.device)
    dtype = str(torch_dtype(place)).removeprefix("torch.")
    if ran == "cuda":
        where = f"{torch.cuda.get_device_name(place)} (CUDA {torch.version.cuda})"
    else:
        where = f"CPU, {torch.get_num_threads()} threads"
    yield Check("torch", "ok", f"{torch.__version__} computes on {where} in {dtype}")


def _onnxruntime(settings: RuntimeSettings) -> Iterator[Check]:
    packages = onnxruntime_packages()
    named = ", ".join(f"{name} {version}" for name, version in packages.items())
    if len(packages) > 1:
        yield Check(
            "onnxruntime",
            "error" if _gpus(settings) else "warning",
            f"{named} are installed side by side and overwrite each other, which can cost the GPU; "
            f"run: {gpu_onnxruntime_command(packages)}",
        )
    ran = onnx_self_test(settings.device)
    wanted = torch_device(settings.device).type
    if ran != wanted:
        detail = f"{named} computes on {ran}, not {wanted}: {why_no_onnx_cuda()}"
        yield Check("onnxruntime", "error", detail)
    elif has_onnxruntime():
        yield Check("onnxruntime", "ok", f"{named} computes on {ran}")
    elif packages:
        command = f"pip install --force-reinstall --no-deps {' '.join(packages)}"
        detail = f"{named} has lost its files, OpenCV computes on {ran}; run: {command}"
        yield Check("onnxruntime", "warning", detail)
    else:
        detail = f"not installed, OpenCV computes on {ran}; faster with it: {CPU_COMMAND}"
        yield Check("onnxruntime", "ok", detail)


def _encoders(_: RuntimeSettings) -> Iterator[Check]:
    import av

    default = EncoderSettings().codec
    works = [name for name in (default, *GPU_ENCODERS) if _encodes(name)]
    works += [name for name in OTHER_ENCODERS if name in av.codecs_available]
    libav = f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}"
    if default in works:
        yield Check("encoders", "ok", f"{libav}: {', '.join(works)}")
    else:
        others = f"; these do: {', '.join(works)} (--codec)" if works else ""
        yield Check("encoders", "error", f"{libav}: the default {default} does not work{others}")


def _encodes(name: str) -> bool:
    import av

    try:
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, av.VideoCodecContext)
        # A size that every hardware encoder takes.
        context.width, context.height, context.pix_fmt = 256, 256, "yuv420p"
        context.time_base = Fraction(1, 25)
        context.open()
    except Exception:  # libav has an exception type for each of its errors
        return False
    return True


def _models(settings: RuntimeSettings) -> Iterator[Check]:
    store = ModelStore(settings)
    for pack in dict.fromkeys(("lite", "full", settings.pack)):
        files = store.catalogue.pack(pack)
        wrong = [s for s in (store.verify(file.name) for file in files) if s.state != "present"]
        name = f"models {pack}"
        if not wrong:
            yield Check(name, "ok", f"{len(files)} files, digests right")
            continue
        detail = ", ".join(f"{status.file.name} ({status.state})" for status in wrong)
        if pack == settings.pack:
            yield Check(name, "error", f"{detail}; see `refrestore models list`")
        elif any(status.state == "wrong digest" for status in wrong):
            yield Check(name, "warning", detail)
        else:
            advice = "not needed for --pack lite; to have it: refrestore models fetch full"
            yield Check(name, "ok", f"not here: {detail}; {advice}")


def _folders(settings: RuntimeSettings) -> Iterator[Check]:
    folder = profiles_directory(settings)
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK):
        count = sum((entry / "profile.json").is_file() for entry in _entries(folder))
        yield Check("profiles", "ok", f"{folder}, {count} profiles")
    else:
        yield Check("profiles", "warning", f"{folder} cannot be written; use --profiles-dir")
    free = shutil.disk_usage(Path.cwd()).free
    state: State = "warning" if free < LITTLE_DISK else "ok"
    yield Check("disk", state, f"{free / 1e9:.1f} GB free in {Path.cwd()}")


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
