"""How long a window of two seconds at minute 50 takes, in this version and in another commit.

A film of an hour without a cut and without faces, so that nothing is restored: what is measured is
the way to the frames. Both versions are run in turn, in processes of their own.

    python benchmarks/late_window.py [--against 3d08a65] [--json benchmarks/late_window.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MINUTES, AT, SECONDS = 60, 50, 2
RATE, SIZE, GOP = 25, (320, 180), 250

ONE = """
import json, sys, time
from fractions import Fraction
from pathlib import Path
from refrestore.config import EncoderSettings, RenderSettings, RuntimeSettings
from refrestore.project import Project
from refrestore.render.preview import Previewer
from refrestore.render.toolbox import open_toolbox
try:
    from refrestore.engine.local import render
except ImportError:
    from refrestore.render.render import render

what, project, output, at, seconds = sys.argv[1:]
at, seconds = Fraction(at), Fraction(seconds)
toolbox = open_toolbox(RuntimeSettings(device="cpu"))
with Project.open(Path(project)) as opened:
    previewer = Previewer(opened, toolbox=toolbox)
    previewer.people()
    began = time.perf_counter()
    if what == "preview":
        frames = sum(1 for _ in previewer.stretch(at, seconds, RenderSettings()))
    else:
        settings = RenderSettings(start=at, end=at + seconds)
        encoder = EncoderSettings(codec="libx264")
        result = render(opened, Path(output), settings=settings, encoder=encoder, toolbox=toolbox)
        frames = result.summary["frames"]
    print(json.dumps({"frames": frames, "seconds": round(time.perf_counter() - began, 3)}))
"""


def make_film(path: Path) -> None:
    """Write an hour of a moving pattern, quickly."""
    import av
    import numpy as np

    width, height = SIZE
    options = {"preset": "ultrafast", "g": str(GOP), "sc_threshold": "0", "bf": "2"}
    ramp = np.add.outer(np.arange(height + 512), np.arange(width + 512)).astype(np.uint8)
    with av.open(str(path), "w") as output:
        film = output.add_stream("libx264", rate=RATE, options=options)
        film.width, film.height, film.pix_fmt = width, height, "yuv420p"
        for number in range(MINUTES * 60 * RATE):
            x, y = number % 512, number // 3 % 512
            planes = np.concatenate(
                [ramp[y : y + height, x : x + width], np.full((height // 2, width), 128, np.uint8)]
            )
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")
            picture.pts = number
            output.mux(film.encode(picture))
        output.mux(film.encode(None))


def make_project(film: Path, folder: Path) -> None:
    """Note the film's frames as a scan does; nobody is in it."""
    import numpy as np

    from refrestore.config import ScanSettings
    from refrestore.media.probe import probe
    from refrestore.media.reader import VideoReader
    from refrestore.project import Project
    from refrestore.scan.scan import video_source
    from refrestore.types import Shot

    info = probe(film)
    with VideoReader(film, info=info) as reader:
        times = [frame.time for frame in reader]
    with (
        Project.create(folder, video_source(info)) as project,
        project.begin_scan(ScanSettings()) as writer,
    ):
        writer.add_shot(Shot(0, 0, len(times), times[0]))
        ticks = [int(time / info.time_base) for time in times]
        writer.set_times(np.array(ticks, np.int64), info.time_base)
        writer.set_frames(len(times))


def measured(tree: Path, what: str, project: Path, output: Path) -> dict[str, float]:
    """Run one version in a process of its own."""
    said = subprocess.run(
        [sys.executable, "-c", ONE, what, str(project), str(output), str(AT * 60), str(SECONDS)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(said.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", default="3d08a65")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    result: dict[str, object] = {
        "film": f"{MINUTES} min, {SIZE[0]}x{SIZE[1]}, H.264, key frames every {GOP}, no cut",
        "window": f"{SECONDS} s at minute {AT}",
        "against": given.against,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": date.today().isoformat(),
    }
    with tempfile.TemporaryDirectory() as room:
        other, film, project = Path(room, "other"), Path(room, "film.mp4"), Path(room, "project")
        archive = subprocess.run(
            ["git", "archive", given.against], cwd=ROOT, check=True, capture_output=True
        ).stdout
        other.mkdir()
        subprocess.run(["tar", "x", "-C", str(other)], input=archive, check=True)
        make_film(film)
        make_project(film, project)
        for what in ("preview", "render"):
            seconds: dict[str, list[float]] = {"here": [], "there": []}
            for run in range(given.runs):
                for name, tree in (("here", ROOT), ("there", other)):
                    found = measured(tree, what, project, Path(room, f"{name}{run}.mkv"))
                    assert found["frames"] == SECONDS * RATE, found
                    seconds[name].append(found["seconds"])
            best = {name: min(each) for name, each in seconds.items()}
            result[what] = {**best, "times_as_fast": round(best["there"] / best["here"], 1)}
    text = json.dumps(result, indent=1)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
