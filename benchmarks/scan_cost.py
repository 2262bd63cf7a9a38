"""A scan against insightface's own `FaceAnalysis.get` on every frame, same models, same run.

    python benchmarks/scan_cost.py FILM MODELS [-o benchmarks/scan_cost.json]

MODELS holds scrfd_2.5g_kps.onnx and edgeface_xs.fp32.onnx. `FaceAnalysis` detects at 640 px and
takes an embedding of every face; decoding is in both times. Faces found are faces with a box: the
scan follows them through the frames between detections.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import tempfile
import time
from pathlib import Path

import numpy as np

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.faces.analyser import load_face_models
from refrestore.media.pixels import display_rgb
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import VideoReader
from refrestore.models import load_face_pack
from refrestore.project import Project
from refrestore.scan.read_film import ReadHere
from refrestore.scan.scan import Progress, ReadingOf, scan
from refrestore.scan.spans import FollowedHere

FILES = ("scrfd_2.5g_kps.onnx", "edgeface_xs.fp32.onnx")
STAGES = {
    "detect": "detector.py:detect",
    "landmarks": "landmarker.py:dense",
    "embed": "recogniser.py:embed",
    "sharpness, light": "quality.py:sharpness_and_exposure",
    "shots": "shots.py:push",
    "pixels": "pixels.py:_array",
}


def analyse(film: Path, models: Path) -> tuple[float, int, int]:
    """Return seconds, frames and faces of `FaceAnalysis.get` on every frame."""
    from insightface.app import FaceAnalysis

    with tempfile.TemporaryDirectory() as root:
        pack = Path(root) / "models" / "same"
        pack.mkdir(parents=True)
        for name in FILES:
            (pack / name).symlink_to((models / name).resolve())
        application = FaceAnalysis(name="same", root=root, providers=["CPUExecutionProvider"])
        application.prepare(ctx_id=-1, det_thresh=0.5, det_size=(640, 640))
        start, frames, faces = time.perf_counter(), 0, 0
        with VideoReader(film) as reader:
            for frame in reader:
                picture = np.ascontiguousarray(display_rgb(frame)[..., ::-1])
                faces += len(application.get(picture))
                frames += 1
        return time.perf_counter() - start, frames, faces


def reading_here(runtime: RuntimeSettings) -> ReadingOf:
    """Return what follows in the thread that is profiled, and not beside it."""

    def reading(info: VideoInfo, settings: ScanSettings, progress: Progress) -> ReadHere:
        models = load_face_models(load_face_pack(runtime), "cpu", min_score=settings.min_score)
        here = FollowedHere(info, models, settings)
        return ReadHere(info, models, settings, lambda frames: None, following=here)

    return reading


def scanned(film: Path, models: Path, profile: bool = False) -> tuple[float, int, dict[str, float]]:
    """Return seconds, faces and each stage's share of the time (where profiled)."""
    runtime = RuntimeSettings(pack="teachers", models_dir=models, device="cpu")
    shares: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        watch = cProfile.Profile()
        start = time.perf_counter()
        if profile:
            watch.enable()
        here = reading_here(runtime) if profile else None
        asked = {"settings": ScanSettings(), "runtime": runtime, "reading_of": here}
        scan(film, Path(folder) / "project", **asked)
        watch.disable()
        seconds = time.perf_counter() - start
        if profile:
            for (file, _, name), row in pstats.Stats(watch).stats.items():  # type: ignore[attr-defined]
                for stage, place in STAGES.items():
                    if f"{Path(file).name}:{name}" == place:
                        shares[stage] = shares.get(stage, 0.0) + row[3] / seconds
        with Project.open(Path(folder) / "project") as project:
            faces = len(project.faces())
    return seconds, faces, {stage: round(share, 3) for stage, share in shares.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("film", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    ours, found, _ = scanned(arguments.film, arguments.models)
    theirs, frames, faces = analyse(arguments.film, arguments.models)
    _, _, shares = scanned(arguments.film, arguments.models, profile=True)
    result = {
        "film": arguments.film.name,
        "frames": frames,
        "scan": {
            "seconds": round(ours, 1),
            "frames_per_second": round(frames / ours, 1),
            "faces": found,
        },
        "face_analysis": {
            "seconds": round(theirs, 1),
            "frames_per_second": round(frames / theirs, 1),
            "faces": faces,
        },
        "times_as_fast": round(theirs / ours, 2),
        "shares": shares,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
