"""The one script for minutes on a real card: does it agree with the CPU, and how fast is it.

    python benchmarks/gpu.py [-o benchmarks/gpu.json]        on a machine with a CUDA card
    python benchmarks/gpu.py --device cpu --quick            its own test, on any machine

It ends within `LIMIT` seconds: a part that is not begun by then is named in "left_out". No card was
there when it was written: it has run with the second command only, and no JSON is committed.

Faces are smooth noise on a mesh drawn by chance, GFPGAN has random weights: figures of speed and of
agreement, not of quality. The first includes all that `Restorer.restore` does on the CPU.
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
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from refrestore.config import RuntimeSettings
from refrestore.evaluate.demo.show import restore_demo, scan_demo
from refrestore.models.pack import Pack, load_pack
from refrestore.render.toolbox import open_mask
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.fusion import load_fusion
from refrestore.restore.restorer import Restorer
from refrestore.restore.second.gfpgan import GFPGAN, GFPGANConfig
from refrestore.types import FloatArray, Reference

LIMIT = 480.0
REFERENCES = 5
SIDES = (128, 256, 384, 512)
BATCHES = (1, 8, 32, 128)

BOUNDS = {"float32": (1e-4, 5e-3), "bfloat16": (0.02, 0.25)}
"""Mean and largest difference from the CPU in float32 that pass, of values 0..1."""

SMALL = GFPGANConfig(out_size=64, narrow=0.125, style_size=32, mapping_layers=2)


def mesh(side: int, seed: int) -> FloatArray:
    """Return 468 points over an ellipse, pixels of a crop."""
    random = np.random.default_rng(0)
    angle, radius = random.uniform(0, 2 * np.pi, 468), np.sqrt(random.uniform(0, 1, 468))
    points = np.stack([np.cos(angle) * 0.24, np.sin(angle) * 0.32], 1) * radius[:, None] + 0.5
    jitter = np.random.default_rng(seed).normal(0, 0.002, points.shape)
    return ((points + jitter) * side).astype(np.float32)


def pictures(count: int, side: int, seed: int) -> torch.Tensor:
    """Return smooth noise, (count, 3, side, side) uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 16, 16, generator=generator)
    smooth = functional.interpolate(coarse, size=side, mode="bilinear") * 230
    grain = 25 * torch.rand(count, 3, side, side, generator=generator)
    return (smooth + grain).to(torch.uint8)


def person() -> ReferenceBank:
    """Return a bank of references."""
    return ReferenceBank.from_references(
        [
            Reference(
                image=np.ascontiguousarray(picture.permute(1, 2, 0).numpy()),
                landmarks=mesh(512, row),
                embedding=np.eye(512, dtype=np.float32)[row],
                pose=np.zeros(3, np.float32),
                sharpness=1.0,
                quality=1.0,
                native_size=400.0,
                source=str(row),
                frame=row,
            )
            for row, picture in enumerate(pictures(REFERENCES + 3, 512, 1))
        ]
    )


def restorer(pack: Pack, device: torch.device, dtype: torch.dtype, generator: bool) -> Restorer:
    """Open fusion and mask of the pack, and GFPGAN of random weights if it is asked for."""
    behind = None
    if generator:
        torch.manual_seed(0)
        behind = GFPGAN(SMALL if device.type == "cpu" else None).for_inference(device, dtype).stage
    mask = open_mask(pack, device, dtype)
    return Restorer(load_fusion(pack.fusion, device, dtype), behind, device, dtype, mask=mask)


def finished(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def difference(made: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> dict[str, Any]:
    """Return how far apart two results are, and whether that is within the bounds."""
    error = (made.float().cpu() - expected.float()).abs()
    mean, largest = float(error.mean()), float(error.max())
    bounds = BOUNDS[str(dtype).removeprefix("torch.")]
    return {"mean": mean, "largest": largest, "agrees": mean <= bounds[0] and largest <= bounds[1]}


@torch.inference_mode()
def agreement(pack: Pack, device: torch.device, sides: tuple[int, ...]) -> list[dict[str, Any]]:
    """Compare each stage with the CPU in float32."""
    bank, rows = person(), []
    cpu = torch.device("cpu")
    exact = restorer(pack, cpu, torch.float32, False)
    torch.manual_seed(0)
    weights = GFPGAN(SMALL).for_inference()
    codes = functional.interpolate(pictures(2, 64, 3).float(), size=64) / 127.5 - 1
    # bfloat16 takes minutes on a CPU that has none.
    for dtype in (torch.float32, *[torch.bfloat16] * (device.type == "cuda")):
        other = restorer(pack, device, dtype, False)
        kind = str(dtype).removeprefix("torch.")
        for side in sides:
            crops, meshes = pictures(2, side, 2), np.stack([mesh(side, 50), mesh(side, 51)])
            wanted = exact.restore(crops, meshes, [bank, None], references=REFERENCES)
            made = other.restore(crops, meshes, [bank, None], references=REFERENCES)
            for stage in ("images", "masks", "confidence"):
                found = difference(getattr(made, stage), getattr(wanted, stage), dtype)
                rows.append({"stage": stage, "side": side, "precision": kind, **found})
        wanted_face = weights(codes)
        same = GFPGAN.from_weights(
            {name: value.clone() for name, value in weights.state_dict().items()},
            device=device,
            dtype=dtype,
        )
        found = difference(same(codes.to(device, dtype)), wanted_face, dtype)
        rows.append({"stage": "gfpgan", "side": 64, "precision": kind, **found})
    return rows


def rate(work: Callable[[], object], device: torch.device, faces: int) -> float:
    """Return faces a second, the best of three after one that warms up."""
    best = float("inf")
    for turn in range(4):
        finished(device)
        start = time.perf_counter()
        work()
        finished(device)
        if turn:
            best = min(best, time.perf_counter() - start)
    return round(faces / best, 2)


def speeds(
    opened: Restorer,
    device: torch.device,
    sides: tuple[int, ...],
    batches: tuple[int, ...],
    deadline: float,
) -> list[dict[str, Any]]:
    """Measure faces a second by side and batch."""
    bank, rows = person(), []
    for side in sides:
        for batch in batches:
            if time.monotonic() > deadline:
                return rows
            crops = pictures(batch, side, 2)
            meshes = np.stack([mesh(side, 50 + row) for row in range(batch)])

            def work(crops: torch.Tensor = crops, meshes: FloatArray = meshes) -> object:
                return opened.restore(crops, meshes, [bank] * len(crops), references=REFERENCES)

            faces = rate(work, device, batch)
            rows.append({"side": side, "batch": batch, "faces_a_second": faces})
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def kernels(opened: Restorer, device: torch.device, side: int, batch: int) -> dict[str, Any]:
    """Profile a few batches: the share of time the device waits, and the ten dearest kernels."""
    bank, crops = person(), pictures(batch, side, 2)
    meshes = np.stack([mesh(side, 50 + row) for row in range(batch)])
    cuda = device.type == "cuda"
    opened.restore(crops, meshes, [bank] * batch, references=REFERENCES)
    finished(device)
    with profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * cuda]) as watch:
        start = time.perf_counter()
        for _ in range(3 if cuda else 1):
            opened.restore(crops, meshes, [bank] * batch, references=REFERENCES)
        finished(device)
        seconds = time.perf_counter() - start
    events = watch.key_averages()
    name = "self_device_time_total" if cuda else "self_cpu_time_total"
    # An operator's device time is that of its kernels, which have events of their own.
    own = [event for event in events if not cuda or "CUDA" in str(event.device_type)]
    own.sort(key=lambda event: -getattr(event, name))
    busy = sum(getattr(event, name) for event in own) / 1e6
    return {
        "side": side,
        "batch": batch,
        "device_waits": round(max(0.0, 1 - busy / seconds), 3) if cuda else None,
        "dearest": [
            {"name": event.key[:100], "share": round(getattr(event, name) / 1e6 / busy, 3)}
            for event in own[:10]
        ],
    }


def whole_job(runtime: RuntimeSettings) -> dict[str, Any]:
    """Render the demo film; its scan is not in the time."""
    with tempfile.TemporaryDirectory() as folder:
        scanned = scan_demo(Path(folder), runtime=runtime)
        summary = restore_demo(scanned, runtime=runtime).result.summary
    seconds = summary["wall_seconds"]
    return {
        "frames": summary["frames"],
        "faces": summary["faces"],
        "seconds": seconds,
        "frames_a_second": round(summary["frames"] / seconds, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="one side, one face, no film")
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES))
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    began, device = time.monotonic(), torch.device(arguments.device)
    cuda = device.type == "cuda"
    if cuda and not torch.cuda.is_available():
        parser.error("no CUDA card is there; `--device cpu --quick` tries the script itself")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    sides = (512,) if arguments.quick else tuple(arguments.sides)
    runtime = RuntimeSettings(device=arguments.device)
    pack = load_pack(runtime)
    opened = restorer(pack, device, torch.bfloat16 if cuda else torch.float32, False)
    profiled = (512, 1) if arguments.quick else (256, 32)
    parts: dict[str, Callable[[], Any]] = {
        "agreement": lambda: agreement(pack, device, sides),
        "speed": lambda: speeds(
            opened, device, sides, (1,) if arguments.quick else BATCHES, began + LIMIT * 0.6
        ),
        "profile": lambda: kernels(opened, device, *profiled),
        "whole_job": lambda: whole_job(runtime),
    }
    result: dict[str, Any] = {
        "command": " ".join(["python", "benchmarks/gpu.py", *sys.argv[1:]]),
        "date": str(date.today()),
        "device": torch.cuda.get_device_name() if cuda else platform.machine(),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "left_out": ["whole_job"] if arguments.quick else [],
    }
    for name, part in parts.items():
        if name in result["left_out"]:
            continue
        if time.monotonic() - began > LIMIT * 0.75:
            result["left_out"].append(name)
            continue
        try:
            result[name] = part()
        except Exception as error:  # minutes on a card are dear: the other parts go on
            result[name] = {"failed": f"{type(error).__name__}: {error}"[:500]}
    result["seconds"] = round(time.monotonic() - began, 1)
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
