"""The one place that decides device and precision, and opens ONNX sessions."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import importlib.util
import io
import logging
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from refrestore.config import Device
from refrestore.errors import ModelError, UsageError
from refrestore.plain_file import check_plain

from .gpu import (
    GPU_COMMAND,
    OLDEST_PYTHON_FOR_GPU,
    cuda_torch_advice,
    gpu_onnxruntime_command,
)

if TYPE_CHECKING:
    import onnxruntime
    import torch

CUDA_PROVIDER = "CUDAExecutionProvider"
CPU_PROVIDER = "CPUExecutionProvider"

ORT_ERRORS_ONLY = 3
"""onnxruntime's log level for errors (0 verbose … 4 fatal)."""

ORT_FATAL_ONLY = 4

_log = logging.getLogger(__name__)


class Network(Protocol):
    """An opened ONNX network: `onnxruntime.InferenceSession`, or OpenCV in its place."""

    def get_inputs(self) -> Sequence[Any]:
        """Return inputs; each has a `name` and a `shape`."""

    def get_outputs(self) -> Sequence[Any]:
        """Return outputs."""

    def get_providers(self) -> list[str]:
        """Return what computes, best first."""

    def run(self, names: Sequence[str] | None, feed: Mapping[str, Any]) -> list[Any]:
        """Compute outputs, all of them without `names`."""


def torch_device(device: Device) -> torch.device:
    """Return torch's device for a setting; `auto` is CUDA where torch can use it.

    CUDA's convolutions are then chosen by their shapes, not by a race that another run may end
    otherwise, and none is that adds up in no fixed order.

    Raises
    ------
    UsageError
        If CUDA was asked for and torch cannot use it.
    """
    import torch

    usable = torch.cuda.is_available()
    if device == "cuda" and not usable:
        reason = "finds no GPU" if torch.version.cuda else "is a build without CUDA"
        advice = "" if torch.version.cuda else f", or {cuda_torch_advice(None)}"
        raise UsageError(
            f"--device cuda was asked for, but torch {reason}; use auto or cpu{advice}."
        )
    if not usable or device == "cpu":
        return torch.device("cpu")
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    return torch.device("cuda")


def torch_dtype(device: torch.device) -> torch.dtype:
    """Return the precision networks run in on a device.

    bfloat16 on CUDA and on CPUs with AMX or AVX512-BF16; float32 elsewhere, where bfloat16 would
    be emulated. Never float16: GFPGAN's style normalisation underflows in it.
    """
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if cpu_has_bfloat16() else torch.float32


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware."""
    import torch

    if platform.machine().lower() in ("x86_64", "amd64"):
        # mkldnn's own answer is yes for every AVX-512 machine, also where it emulates.
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(bool(getattr(torch.cpu, check, bool)()) for check in checks)
    check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", bool)
    return bool(check())


def available_cpus() -> int:
    """Return the number of CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def onnx_session(
    path: Path,
    device: Device = "auto",
    threads: int | None = None,
    *,
    graph: bytes | None = None,
) -> Network:
    """Open an ONNX network, in onnxruntime or, where that is not installed, in OpenCV.

    If CUDA was asked for, or is what `auto` chose for torch, and onnxruntime could not load it,
    the session runs on the CPU and a warning says so and why.

    Parameters
    ----------
    path
        ONNX file, already verified.
    device
        Where it shall run.
    threads
        CPU threads; by default all that this process may use.
    graph
        Serialised graph to open instead of the file's own (its axes freed, say); `path` then
        only names it.

    Raises
    ------
    ModelError
        If the file is not a network that can be opened.
    """
    wants_cuda = device == "cuda" or (device == "auto" and _torch_has_cuda())
    session: Network
    if has_onnxruntime():
        session = _onnxruntime_session(path, threads, graph, wants_cuda=wants_cuda)
    else:
        from .opencv import OpenCvNetwork

        session = OpenCvNetwork(path, graph)
    if wants_cuda and session_device(session) != "cuda":
        _log.warning(
            "CUDA was asked for, but %s runs on the CPU: %s.", Path(path).name, why_no_onnx_cuda()
        )
    return session


def _onnxruntime_session(
    path: Path, threads: int | None, graph: bytes | None, *, wants_cuda: bool
) -> onnxruntime.InferenceSession:
    import onnxruntime

    # A CUDA provider that does not load is reported below, in one line instead of several.
    onnxruntime.set_default_logger_severity(ORT_FATAL_ONLY)
    providers: list[Any] = [CPU_PROVIDER]
    if wants_cuda and CUDA_PROVIDER in onnxruntime.get_available_providers():
        _preload_cuda_libraries()
        # The default, EXHAUSTIVE, times algorithms: slow for changing shapes, not reproducible.
        providers.insert(0, (CUDA_PROVIDER, {"cudnn_conv_algo_search": "HEURISTIC"}))
    try:
        if graph is None:
            check_plain(path)
        return onnxruntime.InferenceSession(
            graph or str(path), session_options(threads), providers=providers
        )
    except Exception as error:  # onnxruntime's exceptions share no base class
        text = str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
        raise ModelError(
            f"{path} is not a network onnxruntime can open ({text.splitlines()[0].rstrip('.')}); "
            "`refrestore models verify` says which files are damaged."
        ) from error
    finally:
        onnxruntime.set_default_logger_severity(ORT_ERRORS_ONLY)


def session_options(threads: int | None = None) -> onnxruntime.SessionOptions:
    """Return options for networks that share the CPU with other stages."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cpus()
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = ORT_ERRORS_ONLY
    # A spinning thread pool takes the cores from decoding, torch and encoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def session_device(session: Network) -> str:
    """Return where a session really runs: "cuda" or "cpu"."""
    return "cuda" if CUDA_PROVIDER in session.get_providers() else "cpu"


def has_onnxruntime() -> bool:
    """Whether onnxruntime is installed; a folder left behind without its code does not count."""
    spec = importlib.util.find_spec("onnxruntime")
    return spec is not None and spec.origin is not None


def onnxruntime_packages(folders: Iterable[str] | None = None) -> dict[str, str]:
    """Return installed onnxruntime distributions and their versions.

    `onnxruntime` beside `onnxruntime-gpu` is a trap: both install the same module, the last one
    wins, and if that is the plain one the GPU is lost without a word.

    Parameters
    ----------
    folders
        Where to look; by default on `sys.path`.
    """
    where = list(sys.path if folders is None else folders)
    return {
        name: distribution.version
        for name in ("onnxruntime", "onnxruntime-gpu")
        for distribution in importlib.metadata.distributions(name=name, path=where)
    }


def why_no_onnx_cuda() -> str:
    """Return the likeliest reason why onnxruntime has no CUDA here, as a clause with a command."""
    if sys.version_info[:2] < OLDEST_PYTHON_FOR_GPU:
        oldest = ".".join(map(str, OLDEST_PYTHON_FOR_GPU))
        return f"onnxruntime has no build for CUDA 13 before Python {oldest}"
    packages = onnxruntime_packages()
    if lost := _why_no_cuda_provider(packages):
        return f"{lost}; run: {gpu_onnxruntime_command(packages)}"
    if not _torch_has_cuda():
        return "no GPU is usable here"
    import onnxruntime

    library = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return f"its CUDA libraries do not load ({error}); run: {GPU_COMMAND}"
    return f"onnxruntime-gpu {onnxruntime.__version__} does not work with this GPU or driver"


def _why_no_cuda_provider(packages: Mapping[str, str]) -> str | None:
    named = ", ".join(packages)
    if not has_onnxruntime():
        return f"{named} has lost its files" if packages else "onnxruntime is not installed"
    import onnxruntime

    if CUDA_PROVIDER in onnxruntime.get_available_providers():
        return None
    if len(packages) > 1:
        return "onnxruntime and onnxruntime-gpu are both installed and the plain one won"
    return f"this build ({named or 'onnxruntime'}) has no CUDA provider"


def _preload_cuda_libraries() -> None:
    """Load the CUDA libraries that came with torch, so that onnxruntime finds them."""
    import onnxruntime
    import torch  # noqa: F401 (its import loads most of them)

    said = io.StringIO()  # preload_dlls prints what it does not find, on stdout
    with contextlib.redirect_stdout(said):
        getattr(onnxruntime, "preload_dlls", bool)()
    if text := said.getvalue().strip():
        _log.debug("onnxruntime.preload_dlls: %s", text)


def _torch_has_cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())
