"""Tracks and identities of real films against labels made by hand.

    python benchmarks/identity_films.py DATA [--pack lite] [--models-dir FOLDER]
        [--film NAME ...] -o benchmarks/identity_films.json

Scans each film that has labels (`benchmarks/labels`, by `label_faces.py`) and compares. A labelled
face is covered if a track has it in that frame (overlap of 0.4 or more). B-cubed figures are over
covered faces, their identities being the clusters; a switch is a track whose labelled faces, in
order of time, go over to another person. Several packs are kept beside each other in the file.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.evaluate.identity import bcubed
from refrestore.project import Project
from refrestore.scan.association import overlap
from refrestore.scan.scan import scan

LABELS = Path(__file__).resolve().parent / "labels"
SAME = 0.4


def marks(path: Path) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield person, frame and box of every labelled face."""
    for person, rows in json.loads(path.read_text()).items():
        for frame, *box in rows:
            yield person, frame, np.array(box, np.float32)


def compare(project: Project, labels: Path) -> dict[str, float | int]:
    identity_of = {t: one.id for one in project.identities() for t in one.tracks}
    by_frame: dict[int, list[tuple[int, np.ndarray]]] = {}
    table = project.faces()
    for frame, box, track in zip(table.frame, table.box, table.track, strict=True):
        by_frame.setdefault(int(frame), []).append((int(track), box))
    people, clusters, wanted = [], [], 0
    seen: dict[int, list[tuple[int, str]]] = {}
    for person, frame, box in marks(labels):
        wanted += 1
        there = by_frame.get(frame, [])
        if not there:
            continue
        overlaps = overlap(box[None], np.stack([one for _, one in there]))[0]
        best = int(np.argmax(overlaps))
        if overlaps[best] < SAME:
            continue
        track = there[best][0]
        people.append(person)
        clusters.append(identity_of.get(track))
        seen.setdefault(track, []).append((frame, person))
    switches = sum(
        before[1] != after[1]
        for faces in seen.values()
        for before, after in pairwise(sorted(faces))
    )
    score = bcubed(people, clusters)
    return {
        "people": len(set(people)),
        "identities": len({c for c in clusters if c is not None}),
        "labelled": wanted,
        "coverage": round(len(people) / wanted, 4),
        "precision": round(score.precision, 4),
        "recall": round(score.recall, 4),
        "f": round(score.f, 4),
        "switches": switches,
        "tracks": len(seen),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pack", default="lite")
    parser.add_argument("--models-dir", type=Path)
    parser.add_argument("--film", action="append", help="only films whose name has this in it")
    parser.add_argument("--projects", type=Path, help="keep the projects here, and use them again")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    runtime = RuntimeSettings(
        pack=arguments.pack, models_dir=arguments.models_dir, device="cpu", threads=1
    )
    films = {path.stem: path for path in sorted(arguments.data.rglob("*.m*")) if path.is_file()}
    result: dict[str, dict[str, float | int]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.projects or Path(temporary)
        for labels in sorted(LABELS.glob("*.json")):
            if arguments.film and not any(part in labels.stem for part in arguments.film):
                continue
            place = folder / f"{labels.stem}.{arguments.pack}"
            start = time.perf_counter()
            if not place.exists():
                scan(films[labels.stem], place, settings=ScanSettings(), runtime=runtime)
            seconds = time.perf_counter() - start
            with Project.open(place) as project:
                result[labels.stem] = {**compare(project, labels), "seconds": round(seconds, 1)}
            print(labels.stem, json.dumps(result[labels.stem]), flush=True)
    if arguments.output:
        path = arguments.output
        every = json.loads(path.read_text()) if path.exists() else {}
        every[arguments.pack] = {**every.get(arguments.pack, {}), **result}
        path.write_text(json.dumps(every, indent=1) + "\n")


if __name__ == "__main__":
    main()
