"""This tree against an older commit of it: speed as ratios of one run on one machine.

    python benchmarks/against.py COMMIT CLIPS WORK [--json benchmarks/against.json] [--rounds 3]

COMMIT is checked out into WORK beside this tree; both do the same things in turn, each in a process
of its own, and the least time of the rounds counts. CLIPS is a folder of talking heads
(shared/data/clips). Measured are:

- `far`, `near`: the restore stage of a face of 64 and of 300 px with five references, from cut
  crop to patch, one thread, as seconds a face;
- `scan`, `job`: a 720p film of near and far people, two far ones of 64 px at a time;
- `window`: a preview of two seconds at minute 50 of an hour's film that was scanned before.

With `--avx2` both run as on an ordinary processor, one that has neither AVX-512 nor bfloat16 (by
itself a tree uses what the machine has). onnxruntime alone cannot be told, and takes what there is.

Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENCV_CPU_DISABLE": "AVX512-SKX",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
MEASURES = ("far", "near", "scan", "job", "window")
NEAR, FAR = 300.0, 64.0
"""Height of a face, pixels of the 1280 x 720 film."""

AT, LONG = 50 * 60, Fraction(2)
HOUR = 60 * 60
STAGE_FRAMES = 16
PEOPLE = (
    "LivePortrait__assets_examples_source_s20.mp4",
    "LivePortrait__assets_examples_driving_d12.mp4",
    "MegaPortrait-hack__junk_M2Ohb0FAaJU_1.mp4",
    "video-retalking__examples_face_2_f431ba.mp4",
)


def without_bfloat16() -> None:
    """Let torch say that this processor has no bfloat16, as both trees ask it."""
    import torch

    for check in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        setattr(torch.cpu, check, bool)


def make_films(clips: Path, work: Path) -> None:
    """Write the film of near and far people, and an hour of a moving picture without a face."""
    from refrestore.config import RuntimeSettings
    from refrestore.evaluate.degrade import Degradation
    from refrestore.evaluate.film_maker import Filmed, Scene, make_film
    from refrestore.faces.analyser import load_face_models
    from refrestore.models import load_face_pack

    def person(name: str, start: float, face: float) -> Filmed:
        return Filmed(clips / name, start, face)

    soft = Degradation(blur=0.5, shrink=1.5, noise=4.0, quality=70)
    near = [Scene((person(name, 0.0, NEAR),), 1.6) for name in PEOPLE]
    pairs = [
        Scene(tuple(person(name, start, FAR) for name in pair), 1.6, soft)
        for start in (1.6, 2.4)
        for pair in (PEOPLE[:2], PEOPLE[2:])
    ]
    if not (work / "film.mp4").exists():
        models = load_face_models(load_face_pack(RuntimeSettings()))
        make_film([*near, *pairs], work / "film.mp4", work / "truth.mkv", models=models)
    if not (work / "hour.mp4").exists():
        write_hour(work / "hour.mp4")


def write_hour(path: Path) -> None:
    import av

    x, y = np.meshgrid(np.arange(320), np.arange(180))
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", 25, {"preset": "ultrafast", "g": "250"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for index in range(25 * HOUR):
            plane = ((x + y + index) % 256).astype(np.uint8)
            grey = av.VideoFrame.from_ndarray(plane, "gray").reformat(format="yuv420p")
            output.mux(stream.encode(grey))
        output.mux(stream.encode(None))


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(name: str, work: Path, scratch: Path) -> float:
    """Return seconds of one thing, by the package that is imported."""
    from refrestore.config import RenderSettings, RuntimeSettings, ScanSettings
    from refrestore.project import Project
    from refrestore.render.preview import Previewer
    from refrestore.scan.scan import scan

    def scanned(film: Path, folder: Path) -> Project:
        if not folder.exists():
            scan(film, folder, settings=ScanSettings(), runtime=RuntimeSettings())
        return Project.open(folder)

    if name in ("far", "near"):
        return stage(scanned(work / "film.mp4", scratch / "project"), near=name == "near")
    if name == "scan":
        folder = scratch / f"scan-{os.getpid()}"
        return timed(lambda: scanned(work / "film.mp4", folder))
    if name == "job":
        project = scanned(work / "film.mp4", scratch / "project")
        render = named("refrestore", "engine.local.render", "render.render.render")
        return timed(lambda: render(project, scratch / f"out-{os.getpid()}.mp4"))
    project = scanned(work / "hour.mp4", scratch / "hour")
    previewer = Previewer(project)
    assert previewer.toolbox
    return timed(lambda: list(previewer.stretch(Fraction(AT), LONG, RenderSettings())))


def stage(project: Any, *, near: bool) -> float:
    """Return seconds a face of `restore_segment`: from the cut of the crop to the patch."""
    from refrestore.config import RenderSettings, RuntimeSettings
    from refrestore.media.probe import probe
    from refrestore.media.reader import VideoReader
    from refrestore.render.people import gather_people
    from refrestore.render.refine import refine
    from refrestore.render.toolbox import open_toolbox

    gather, restore_segment, account, tools_of = (
        named("refrestore.render", *names)
        for names in (
            ("face_table.gather", "work.gather"),
            ("restore_segment.restore_segment", "paint.paint"),
            ("segment_result.Account", "painted.Account"),
            ("tools.Tools", "refine.Tools"),
        )
    )

    toolbox = open_toolbox(RuntimeSettings(threads=1)).without("guard")
    settings = RenderSettings()
    people = gather_people(project, [], eyes=toolbox.eyes, fusion=toolbox.fusion)
    plan = face_plan(project, people, near=near)
    tools = tools_of(
        toolbox.models,
        toolbox.restorer,
        people.banks,
        settings.references,
        8,
        people.rivals,
        toolbox.switches,
        **carrying(tools_of, probe(project.video.path)),
    )
    first = int(plan.faces.frame[0])
    info = probe(project.video.path)
    with VideoReader(info.path, info=info) as reader:
        frames = [frame for frame in reader if first <= frame.index < first + STAGE_FRAMES]
    knows = {"sides": toolbox.restorer.sides} if "sides" in parameters(gather) else {}
    work = gather([plan], first, first + STAGE_FRAMES, info.geometry, context=0, **knows)
    refined = refine(work, frames, info.geometry, tools).work

    def all_of_it() -> None:
        faces = 0
        for painted in restore_segment(refined, frames, tools, account(), scale=1):
            of_batch = painted if isinstance(painted, list) else [painted]
            faces += sum(len(one.patches) for one in of_batch)
        if faces != STAGE_FRAMES:
            raise SystemExit(f"{faces} faces were restored, not {STAGE_FRAMES}")

    all_of_it()
    return min(timed(all_of_it) for _ in range(3)) / STAGE_FRAMES


def face_plan(project: Any, people: Any, *, near: bool) -> Any:
    """Return the plan of a near or a far face, restored whatever else is known of it.

    It is what a face costs that is measured.
    """
    from refrestore.config import RenderSettings
    from refrestore.render.plan import TrackPlan, plan_tracks

    extra = {"references": {}} if "references" in parameters(plan_tracks) else {}
    plans = plan_tracks(
        project.tracks(),
        lambda track: project.faces([track]),
        people.identities,
        RenderSettings(),
        **extra,
    )
    for plan in plans:
        size, faces = float(np.median(plan.faces.size)), len(plan.faces)
        if (size > 2 * FAR) != near or faces <= STAGE_FRAMES or plan.identity not in people.banks:
            continue
        given = {name: getattr(plan, name) for name in parameters(TrackPlan)}
        given |= {"strength": np.ones(faces, np.float32), "reason": None}
        if "reasons" in given:
            given["reasons"] = [None] * faces
        return TrackPlan(**given)
    raise SystemExit("the film has no such face")


def named(room: str, *names: str) -> Any:
    """Return what one of the names `room.what` says: older trees called some things otherwise."""
    for module, what in (name.rsplit(".", 1) for name in names):
        if find_spec(f"{room}.{module}"):
            return getattr(import_module(f"{room}.{module}"), what)
    raise SystemExit(f"{room} has none of {', '.join(names)}")


def carrying(tools_of: Callable[..., Any], info: Any) -> dict[str, Any]:
    """Return how far apart restored faces of a film are, where a tree carries some over."""
    if "apart" not in parameters(tools_of):
        return {}
    return {"apart": named("refrestore.render", "carrying.frames_apart")(info.average_rate)}


def parameters(of: Callable[..., Any]) -> list[str]:
    """Return the names of what a function takes: the older tree takes less."""
    return list(inspect.signature(of).parameters)


def checked_out(commit: str, work: Path) -> Path:
    """Return a tree of a commit, with its weights."""
    tree = work / commit
    if not tree.exists():
        subprocess.run(
            ["git", "worktree", "add", "--detach", str(tree), commit], cwd=ROOT, check=True
        )
    return tree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit")
    parser.add_argument("clips", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--avx2", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.measure:
        scratch = options.work / options.commit
        scratch.mkdir(exist_ok=True)
        if options.avx2:
            without_bfloat16()
        print(json.dumps(measure(options.measure, options.work, scratch)))
        return
    trees = {"before": checked_out(options.commit, options.work), "now": ROOT}
    make_films(options.clips, options.work)
    times: dict[str, dict[str, list[float]]] = {}
    for _ in range(options.rounds):
        for name in options.only:
            for which, tree in trees.items():
                command = [sys.executable, __file__, which, str(options.clips)]
                command += [str(options.work.resolve()), "--measure", name]
                command += ["--avx2"] * options.avx2
                processor = AVX2 if options.avx2 else {}
                said = subprocess.run(
                    command,
                    env={**os.environ, **processor, "PYTHONPATH": str(tree)},
                    cwd=options.work,
                    check=True,
                    capture_output=True,
                    text=True,
                )
                seconds = float(said.stdout.strip().splitlines()[-1])
                times.setdefault(name, {}).setdefault(which, []).append(seconds)
                print(f"{name} {which}: {seconds:.3f} s", flush=True)
    python = platform.python_version()
    report = {
        "command": f"python benchmarks/against.py {options.commit} CLIPS WORK "
        f"--only {' '.join(options.only)} --rounds {options.rounds}" + " --avx2" * options.avx2,
        "against": options.commit,
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {python}",
        "measures": {
            name: {
                **{which: round(min(values), 4) for which, values in both.items()},
                "ratio": round(min(both["before"]) / min(both["now"]), 2),
            }
            for name, both in times.items()
        },
    }
    text = json.dumps(report, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
