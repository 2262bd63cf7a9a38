"""What each stage must compute and move for a batch of faces, and so how fast a device can be.

    python benchmarks/roofline.py [--batch 32] [--no-measure] [-o benchmarks/roofline.json]

The networks run on fake CUDA tensors (`FakeTensorMode`): shapes only, no card needed. FLOPs are
those of convolutions and products of matrices (torch's own formulas). Bytes are counted twice:

* unfused: every operation reads its inputs and writes its outputs, as eager PyTorch does;
* fused: operations on single elements that follow each other on as many elements are one kernel,
  which reads what comes from outside and writes what is used outside.

A kernel's least time is the larger of its FLOPs at the device's peak and its bytes at the device's
bandwidth; the floor is their sum: what launches, small shapes and bad tiles cost is not in it.
Detector, landmarks and recogniser are ONNX files and are not counted; nor is copying over the bus.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from refrestore.restore.fusion import FusionNetwork
from refrestore.restore.mask import MASK_SIZE, MaskNetwork
from refrestore.restore.second.gfpgan import GFPGAN

SIDES = (256, 384, 512)
REFERENCES = 5
GOAL = {"side": 256, "device": "H200", "faces_a_second": 2000, "share_of_floor": 0.5}

DEVICES = {
    "H200": {"tflops": 790.0, "terabytes": 4.3},
    "4090-class": {"tflops": 165.0, "terabytes": 1.0},
}
"""bf16 dense TFLOP/s and TB/s: the H200's as reached in practice, the other's from its maker."""

BUILT: dict[str, Callable[[], torch.nn.Module]] = {
    "fusion": FusionNetwork,
    "mask": MaskNetwork,
    "gfpgan": GFPGAN,
}

MOVES = {"_to_copy", "clone", "copy_", "cat", "stack", "constant_pad_nd", "fill_", "index"}
"""Operations that a compiler fuses like those on single elements, though not tagged as such."""

Version = tuple[int, int]


@dataclass
class Kernel:
    """One or more operations done together: FLOPs, and bytes by the tensor they belong to."""

    elements: int
    pointwise: bool
    flops: float = 0.0
    reads: dict[Version, int] = field(default_factory=dict)
    writes: dict[Version, int] = field(default_factory=dict)


class Traffic(TorchDispatchMode):
    """Counts FLOPs and bytes of every operation, and of operations fused."""

    def __init__(self) -> None:
        super().__init__()
        self.unfused: list[tuple[float, int]] = []
        self.kernels: list[Kernel] = []
        self._kept: list[Any] = []  # storages: the address of one that is freed is used again
        self._versions: dict[int, int] = {}
        self._made: dict[Version, Kernel] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        results = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
        if results and not _is_view(func):
            given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
            self._count(func, args, kwargs, out, given, results)
        return out

    def _count(
        self, func: Any, args: Any, kwargs: Any, out: Any, given: list[Any], results: list[Any]
    ) -> None:
        formula = flop_registry.get(func._overloadpacket)
        flops = float(formula(*args, **kwargs, out_val=out)) if formula else 0.0
        name = func._schema.name.removeprefix("aten::")
        if name in ("empty", "empty_like", "new_empty", "empty_strided"):
            return
        reads = {self._version(one): _size(one) for one in given if not _written(func, one, args)}
        if func._schema.is_mutable and name not in ("copy_", "fill_", "zero_"):
            reads |= {self._version(one): _size(one) for one in results}
        for one in results:  # new, or written to
            key = one.untyped_storage()._cdata
            self._versions[key] = self._versions.get(key, 0) + 1
        writes = {self._version(one): _size(one) for one in results}
        self.unfused.append((flops, sum(reads.values()) + sum(writes.values())))
        pointwise = torch.Tag.pointwise in func.tags or name in MOVES or not reads
        elements = max(one.numel() for one in results)
        kernel = self._joined(reads, elements) if pointwise else None
        if kernel is None:
            kernel = Kernel(elements, pointwise)
            self.kernels.append(kernel)
        kernel.flops += flops
        for version, size in reads.items():
            if self._made.get(version) is not kernel:
                kernel.reads[version] = max(size, kernel.reads.get(version, 0))
        for version, size in writes.items():
            kernel.writes[version] = size
            self._made[version] = kernel

    def _joined(self, reads: dict[Version, int], elements: int) -> Kernel | None:
        """Return the kernel of single elements whose result this operation takes, if any."""
        for version in reads:
            maker = self._made.get(version)
            if maker is not None and maker.pointwise and maker.elements == elements:
                return maker
        return None

    def _version(self, tensor: torch.Tensor) -> Version:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._versions:
            self._versions[storage._cdata] = 0
        self._kept.append(storage)
        return storage._cdata, self._versions[storage._cdata]

    def fused(self, kept: list[torch.Tensor]) -> list[tuple[float, int]]:
        """Return FLOPs and bytes of each kernel; `kept` is what the stage returns."""
        used = {version for kernel in self.kernels for version in kernel.reads}
        used |= {self._version(one) for one in kept}
        return [
            (
                kernel.flops,
                sum(kernel.reads.values())
                + sum(size for version, size in kernel.writes.items() if version in used),
            )
            for kernel in self.kernels
        ]


def _is_view(func: Any) -> bool:
    """Tell whether an operation returns its input's memory and writes nothing."""
    returns = func._schema.returns
    alias = returns[0].alias_info if returns else None
    name = func._schema.name
    return (alias is not None and not alias.is_write) or name in (
        "aten::detach",
        "aten::_unsafe_view",
    )


def _written(func: Any, tensor: torch.Tensor, args: Any) -> bool:
    """Tell whether an argument is only where an in-place operation puts its result."""
    return func._schema.is_mutable and bool(args) and tensor is args[0]


def _size(tensor: torch.Tensor) -> int:
    whole = tensor.untyped_storage().nbytes()
    return min(tensor.numel() * tensor.element_size(), int(whole))


@contextmanager
def fake() -> Iterator[None]:
    """Let new tensors be on a card that is not there."""
    with FakeTensorMode(), torch.device("cuda"), torch.no_grad():
        yield


def built(name: str, dtype: torch.dtype) -> torch.nn.Module:
    """Make a network of fake weights, channels last: `Module.to` refuses what is fake."""
    torch.set_default_dtype(dtype)
    try:
        with mock.patch.object(torch.nn.Module, "to", lambda network, *_, **__: network):
            network = BUILT[name]().eval()
    finally:
        torch.set_default_dtype(torch.float32)
    for module in network.modules():
        for key, value in module._parameters.items():
            if value is not None and value.ndim == 4:
                laid = value.detach().contiguous(memory_format=torch.channels_last)
                module._parameters[key] = torch.nn.Parameter(laid)
    return network


def stage(
    name: str, side: int, batch: int, dtype: torch.dtype
) -> dict[str, list[tuple[float, int]]]:
    """Return FLOPs and bytes of each operation, unfused and fused, of a stage for a batch."""
    with fake():
        network = built(name, dtype)
        if name == "fusion":
            grid, cells = max(side // 4, 64), side // 8
            given = [
                torch.empty(batch, 3, side, side),
                torch.empty(batch, REFERENCES, 3, side, side, dtype=torch.uint8),
                torch.empty(batch, REFERENCES, 2, grid, grid),
                torch.empty(batch, REFERENCES),
                torch.empty(batch, 1, cells, cells),
            ]
        elif name == "mask":
            given = [torch.empty(batch, channels, MASK_SIZE, MASK_SIZE) for channels in (3, 1)]
        else:
            given = [torch.empty(batch, 3, 512, 512, dtype=dtype)]
        with Traffic() as traffic:
            made = network(*given)
        kept = [made] if isinstance(made, torch.Tensor) else [made.images, made.confidence]
        return {"unfused": traffic.unfused, "fused": traffic.fused(kept)}


def floor(work: list[tuple[float, int]], batch: int, tflops: float, terabytes: float) -> float:
    """Return the least seconds a face."""
    return sum(max(f / tflops, b / terabytes) for f, b in work) / 1e12 / batch


def measured() -> dict[str, float]:
    """Return what two threads reach here: TFLOP/s of a product of matrices, TB/s of a copy."""
    torch.set_num_threads(2)
    one, long = torch.randn(2048, 2048), torch.zeros(1 << 26)
    other = torch.empty_like(long)
    best, moved = math.inf, math.inf
    for _ in range(8):
        start = time.perf_counter()
        one @ one
        middle = time.perf_counter()
        other.copy_(long)
        stop = time.perf_counter()
        best, moved = min(best, middle - start), min(moved, stop - middle)
    size = 2 * long.numel() * long.element_size()
    return {"tflops": 2 * 2048**3 / best / 1e12, "terabytes": size / moved / 1e12}


def table(name: str, side: int, batch: int, devices: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return a stage's figures at a side: what it does, and the floor of every device."""
    counted = {dtype: stage(name, side, batch, dtype) for dtype in (torch.bfloat16, torch.float32)}
    row: dict[str, Any] = {"stage": name, "side": side, "gflop_a_face": 0.0, "megabytes_a_face": {}}
    for kind, work in counted[torch.bfloat16].items():
        row["gflop_a_face"] = round(sum(f for f, _ in work) / batch / 1e9, 3)
        row["megabytes_a_face"][kind] = round(sum(b for _, b in work) / batch / 1e6, 2)
    row["floor_microseconds"] = {
        device: {
            kind: round(1e6 * floor(work, batch, **speed), 2)
            for kind, work in counted[_dtype(device)].items()
        }
        for device, speed in devices.items()
    }
    return row


def _dtype(device: str) -> torch.dtype:
    return torch.float32 if "AVX2" in device else torch.bfloat16


def rates(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return faces a second of some stages together, at the floor and at half of it."""
    result: dict[str, Any] = {}
    for device, kinds in rows[0]["floor_microseconds"].items():
        for kind in kinds:
            whole = 1e6 / sum(row["floor_microseconds"][device][kind] for row in rows)
            result.setdefault(device, {})[kind] = {
                "at_the_floor": round(whole, 1),
                "at_half_of_it": round(whole / 2, 1),
            }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES))
    parser.add_argument("--no-measure", action="store_true", help="leave this machine's CPU out")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    devices = dict(DEVICES)
    if not arguments.no_measure:
        devices["two AVX2 cores, float32"] = measured()
    mask = table("mask", MASK_SIZE, arguments.batch, devices)
    generator = table("gfpgan", 512, arguments.batch, devices)
    fusion = [table("fusion", side, arguments.batch, devices) for side in arguments.sides]
    together = {
        str(row["side"]): {
            "fusion and mask": rates([row, mask]),
            "with gfpgan behind": rates([row, mask, generator]),
        }
        for row in fusion
    }
    result: dict[str, Any] = {
        "command": " ".join(["python", "benchmarks/roofline.py", *sys.argv[1:]]),
        "date": str(date.today()),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "batch": arguments.batch,
        "references": REFERENCES,
        "devices": devices,
        "stages": [*fusion, mask, generator],
        "faces_a_second": together,
    }
    if GOAL["side"] in arguments.sides:
        reached = together[str(GOAL["side"])]["fusion and mask"][GOAL["device"]]
        result["goal"] = GOAL | {
            f"{kind}_reaches": rate["at_half_of_it"] for kind, rate in reached.items()
        }
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
