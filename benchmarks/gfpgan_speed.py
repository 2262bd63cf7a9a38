"""GFPGAN behind the fusion network, batched, against the gfpgan package one by one.

    python benchmarks/gfpgan_speed.py [--threads 1] [--batches 1 16] [-o OUT.json]

Random weights, the same in both, the same faces of 512 px, stored noise in both. The package runs
as it does on a CPU, in float32; ours in that and, where the CPU multiplies bfloat16, in that, which
a render then takes (`models.runtime.torch_dtype`). All take turns in one process; the ratio is of
the shortest times of the processor (`time.process_time`), which other work on the machine disturbs
less than a clock on the wall.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from refrestore.evaluate.package import package_network
from refrestore.models.runtime import cpu_has_bfloat16
from refrestore.restore.second.gfpgan import GFPGAN


def networks() -> tuple[dict[torch.dtype, GFPGAN], torch.nn.Module]:
    """Return ours in each precision, and the package's, with the same random weights."""
    torch.manual_seed(0)
    weights = GFPGAN().state_dict()
    for name, value in weights.items():  # nothing trivial
        if name.endswith("bias") or value.numel() == 1:
            value.add_(0.3 * torch.randn_like(value))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_file({name: value.contiguous() for name, value in weights.items()}, path)
        precisions = [torch.float32, *([torch.bfloat16] if cpu_has_bfloat16() else [])]
        ours = {one: GFPGAN.from_file(path, dtype=one) for one in precisions}
        return ours, package_network(path)[0]


def seconds(work: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Return the processor's seconds of a call, and what it returned."""
    start = time.process_time()
    made = work()
    return time.process_time() - start, made


def peak() -> float:
    """Return GFLOP/s of a large product of matrices by the same threads."""
    side = 2048
    one = torch.randn(side, side)
    taken = min(seconds(lambda: one @ one)[0] for _ in range(5))
    return 2 * side**3 / taken / 1e9 * torch.get_num_threads()


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    ours, package = networks()
    rows = []
    for batch in arguments.batches:
        faces = torch.rand(batch, 3, 512, 512) * 2 - 1

        def one_by_one(faces: torch.Tensor = faces) -> torch.Tensor:
            return torch.cat(
                [package(face[None], return_rgb=False, randomize_noise=False)[0] for face in faces]
            )

        theirs: list[float] = []
        mine: dict[torch.dtype, list[float]] = {one: [] for one in ours}
        off = dict.fromkeys(ours, 0.0)
        for _ in range(arguments.rounds):
            taken, expected = seconds(one_by_one)
            theirs.append(taken / batch)
            for dtype, network in ours.items():
                given = faces.to(dtype)
                taken, made = seconds(lambda network=network, given=given: network(given))  # type: ignore[misc]
                mine[dtype].append(taken / batch)
                off[dtype] = max(off[dtype], float((made.float() - expected).abs().mean()))
        for dtype, times in mine.items():
            row = {
                "batch": batch,
                "precision": str(dtype).removeprefix("torch."),
                "package_seconds_a_face": round(min(theirs), 3),
                "our_seconds_a_face": round(min(times), 3),
                "times_as_fast": round(min(theirs) / min(times), 2),
                "mean_difference": float(f"{off[dtype]:.2g}"),
                "deviation": round(float(expected.std()), 3),
            }
            print(row, file=sys.stderr, flush=True)
            rows.append(row)
    with FlopCounterMode(display=False) as counted:
        package(torch.zeros(1, 3, 512, 512), return_rgb=False, randomize_noise=False)
    result = {
        "command": " ".join(["python", "benchmarks/gfpgan_speed.py", *sys.argv[1:]]),
        "date": str(date.today()),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "bfloat16": cpu_has_bfloat16(),
            "threads": arguments.threads,
            "matmul_gflops": round(peak(), 1),
        },
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "package_gflop_a_face": round(counted.get_total_flops() / 1e9, 1),
        "rows": rows,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
