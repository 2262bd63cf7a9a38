"""Speed of each stage and peak memory, on a given film.

    python benchmarks/end_to_end.py FILM --json benchmarks/end_to_end.json
    python benchmarks/end_to_end.py FILM --engine ray

Each stage runs in a process of its own, so that its peak memory is its own. `memory` compares 15
seconds of the film (every fourth picture of the part named with --part) with the same four times
over: that it hardly grows is the claim. With --engine ray nothing else is measured, and it is the
memory of the process that asks; two workers do the work. Frames per second are those of a machine
whose load from other work is written beside them; what can be compared, `scan_cost.py` compares in
one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from refrestore.types import ImageArray

FACES = 48
"""Faces restored by the stage that measures nothing else."""

REFERENCES = 5
EVERY = 4
SECONDS = 15


def decode(film: Path, work: Path, *, ray: bool = False) -> dict[str, float]:
    from refrestore.media.reader import VideoReader

    began = time.perf_counter()
    with VideoReader(film) as reader:
        frames = sum(1 for _ in reader)
    return {"frames": frames, "frames_per_second": frames / (time.perf_counter() - began)}


def engine_and_runtime(ray: bool) -> dict[str, Any]:
    """Return who works: this process on all cores, or two workers of one thread each."""
    from refrestore.config import EngineSettings, RuntimeSettings

    if not ray:
        return {"runtime": RuntimeSettings()}
    runtime = RuntimeSettings(device="cpu", threads=1)
    return {"runtime": runtime, "engine": EngineSettings(name="ray", workers=2)}


def scan(film: Path, work: Path, *, ray: bool = False) -> dict[str, float]:
    from refrestore.config import ScanSettings
    from refrestore.engine.whole_scan import scan as scan_video

    began = time.perf_counter()
    asked = engine_and_runtime(ray)
    found = scan_video(film, work / "project", settings=ScanSettings(), **asked)
    seconds = time.perf_counter() - began
    return {
        "frames": found.frames,
        "frames_per_second": found.frames / seconds,
        "tracks": found.tracks,
        "identities": found.identities,
    }


def render(film: Path, work: Path, *, ray: bool = False) -> dict[str, float]:
    from refrestore.engine.local import render as render_project
    from refrestore.project import Project

    began = time.perf_counter()
    with Project.open(work / "project") as project:
        made = render_project(project, work / "out.mp4", **engine_and_runtime(ray)).summary
    seconds = time.perf_counter() - began
    return {
        "frames": made["frames"],
        "frames_per_second": made["frames"] / seconds,
        "faces": made["faces"],
        "faces_per_second": made["faces"] / seconds,
    }


def restore(film: Path, work: Path, *, ray: bool = False) -> dict[str, float]:
    """Restore aligned 512-px faces from five references each; landmarks are given."""
    import torch

    from refrestore.config import RuntimeSettings
    from refrestore.evaluate.demo import group_photo
    from refrestore.faces.align import FFHQ_TEMPLATE, crops, similarity, transform
    from refrestore.render.toolbox import open_toolbox
    from refrestore.restore.bank import ReferenceBank
    from refrestore.types import Reference

    toolbox = open_toolbox(RuntimeSettings())
    photo, models = group_photo(), toolbox.models
    faces = models.describe(photo, models.detector.detect([photo], [0], 1024))
    matrices = similarity(faces.keypoints, FFHQ_TEMPLATE)
    cut = crops(photo, matrices)
    assert faces.landmarks is not None
    assert faces.embedding is not None
    assert faces.pose is not None
    meshes = transform(matrices, faces.landmarks).astype(np.float32)
    bank = ReferenceBank.from_references(
        [
            Reference(cut[row], meshes[row], faces.embedding[row], faces.pose[row], 1, 1, 120, "t1")
            for row in range(REFERENCES)
        ]
    )
    rows = np.arange(FACES) % len(cut)
    batch = torch.from_numpy(np.ascontiguousarray(cut[rows].transpose(0, 3, 1, 2)))
    result = {}
    for name, banks in (("with_references", [bank] * 8), ("without_references", [None] * 8)):
        toolbox.restorer.restore(batch[:8], meshes[rows[:8]], banks)
        began = time.perf_counter()
        for start in range(0, FACES, 8):
            part = slice(start, start + 8)
            toolbox.restorer.restore(batch[part], meshes[rows[part]], banks)
        result[f"{name}_faces_per_second"] = FACES / (time.perf_counter() - began)
    return result


STAGES = {"decode": decode, "scan": scan, "restore": restore, "render": render}


def repeated(film: Path, target: Path, start: Fraction, times: int) -> None:
    """Write every fourth picture of 15 seconds of the film, several times over."""
    from refrestore.media.pixels import display_rgb
    from refrestore.media.reader import VideoReader
    from refrestore.media.simple import write_pictures

    with VideoReader(film) as reader:
        rate = reader.info.average_rate / EVERY

    def pictures() -> Iterator[ImageArray]:
        for _ in range(times):
            with VideoReader(film, start=start, end=start + SECONDS) as reader:
                yield from (display_rgb(frame) for frame in reader if frame.index % EVERY == 0)

    write_pictures(target, pictures(), rate=rate, options={"crf": "16", "preset": "veryfast"})


def measured(stage: str, film: Path, work: Path, engine: str) -> dict[str, float]:
    """Run a stage in a process of its own."""
    command = [sys.executable, __file__, str(film), "--stage", stage, "--work", str(work)]
    command += ["--engine", engine]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(said.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("film", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", type=Fraction, default=Fraction(21))
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--stage", choices=STAGES)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    if options.stage:
        result = STAGES[options.stage](options.film, options.work, ray=options.engine == "ray")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**{k: round(v, 2) for k, v in result.items()}, "peak_mib": round(peak)}))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        alone = () if options.engine == "ray" else STAGES
        stages = {stage: measured(stage, options.film, work, "local") for stage in alone}
        memory: dict[str, dict[str, float]] = {}
        for times in (1, 4):
            place = work / str(times)
            place.mkdir()
            repeated(options.film, place / "film.mp4", options.part, times)
            memory[f"{SECONDS * times}_seconds"] = {
                stage: measured(stage, place / "film.mp4", place, options.engine)["peak_mib"]
                for stage in ("scan", "render")
            }
    asked = "" if options.engine == "local" else f" --engine {options.engine}"
    report = {
        "command": f"python benchmarks/end_to_end.py FILM{asked}  # {options.film.name}",
        "date": date.today().isoformat(),
        "machine": {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "load_before": round(load, 1),
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "onnxruntime-gpu", "av")},
        },
        "claimed": "peak_mib: memory does not grow with the film; speeds are a shared machine's",
        "stages": stages,
        "peak_mib": memory,
    }
    text = json.dumps(report, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
