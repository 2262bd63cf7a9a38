"""Size and speed of the project of a two-hour film with two faces in nearly every frame.

python benchmarks/project_size.py [--landmarks] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from refrestore.config import ScanSettings
from refrestore.project import Project, VideoSource
from refrestore.types import Faces, Geometry, Shot, Track

SHOTS, SHOT_FRAMES, TRACK_FRAMES, PEOPLE, EDITS = 900, 200, 190, 20, 40
JITTER = 0.05
"""Pixels of noise on dense landmarks, which compress the better the smoother they are."""


def track_faces(rng: np.random.Generator, first: int, left: float, landmarks: bool) -> Faces:
    """Return a face that wanders for `TRACK_FRAMES` frames."""
    centre = np.cumsum(rng.normal(0, 1, (TRACK_FRAMES, 2)), axis=0) + np.array([left, 500])
    mesh = rng.uniform(-50, 50, (1, 468, 2)) + rng.normal(0, JITTER, (TRACK_FRAMES, 468, 2))
    return Faces(
        frame=np.arange(first, first + TRACK_FRAMES),
        box=np.concatenate([centre - 60, centre + 60], axis=1),
        keypoints=centre[:, None] + rng.uniform(-30, 30, (1, 5, 2)),
        score=np.ones(TRACK_FRAMES),
        landmarks=centre[:, None] + mesh if landmarks else None,
        quality=rng.uniform(size=TRACK_FRAMES),
        sharpness=rng.uniform(size=TRACK_FRAMES),
        pose=rng.normal(size=(TRACK_FRAMES, 3)),
    )


def scan(project: Project, landmarks: bool) -> None:
    """Write the whole film."""
    rng = np.random.default_rng(0)
    with project.begin_scan(ScanSettings()) as writer:
        for shot in range(SHOTS):
            start = shot * SHOT_FRAMES
            writer.add_shot(Shot(shot, start, start + SHOT_FRAMES, Fraction(start, 25)))
            for side in (0, 1):
                number, first = 2 * shot + side, start + 5
                faces = track_faces(rng, first, 400 + 900 * side, landmarks)
                end = first + TRACK_FRAMES
                writer.add_track(
                    Track(number, shot, first, end, None, 0.0, 0.5, 120.0, weak=False), faces
                )
        writer.set_identities([range(one, 2 * SHOTS, PEOPLE) for one in range(PEOPLE)])


def milliseconds(act: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    act()
    return round((time.perf_counter() - began) * 1000, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--landmarks", action="store_true", help="store dense landmarks too")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    source = VideoSource(Path("film.mp4"), "0", Geometry(1920, 1080), Fraction(0), Fraction(25))
    with tempfile.TemporaryDirectory() as folder:
        with Project.create(Path(folder) / "film", source) as project:
            scan(project, arguments.landmarks)
        with Project.open(Path(folder) / "film") as project:
            size = project.database.path.stat().st_size
            result = {
                "faces": sum(one.faces for one in project.identities()),
                "megabytes": round(size / 1e6, 1),
                "read_250_frames_ms": milliseconds(lambda: project.faces(first=90000, stop=90250)),
                "identities_ms": milliseconds(project.identities),
            }
            for one in range(EDITS):
                project.rename(one % PEOPLE + 1, f"name {one}")
            result["identities_after_edits_ms"] = milliseconds(project.identities)
            scan(project, arguments.landmarks)
            with Project.open(project.folder) as again:
                result["identities_first_after_rescan_ms"] = milliseconds(again.identities)
    text = json.dumps(result, indent=2) + "\n"
    print(text, end="")
    if arguments.output:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
