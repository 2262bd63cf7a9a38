"""Tracks and identities of real films against labels made by hand.

    python benchmarks/identity_films.py DATA [--pack lite] [--models-dir FOLDER]
        [--film NAME ...] -o benchmarks/identity_films.json

Scans each film that has labels (`benchmarks/labels`, by `label_faces.py`) and compares; the film of
sign-language clips is put together first (`joined_clips.py`). A labelled face is covered if a track
has it in that frame (overlap of 0.4 or more). B-cubed figures are over covered faces, their
identities being the clusters; a switch is a track whose labelled faces, in order of time, go over
to another person. Where the cuts are known, tracks that go across one are counted. Several packs
are kept beside each other in the file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import joined_clips
import numpy as np

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.evaluate.identity import bcubed
from refrestore.project import Project
from refrestore.scan.association import overlap
from refrestore.scan.scan import scan

LABELS = Path(__file__).resolve().parent / "labels"
SAME = 0.4


class Film(NamedTuple):
    """A film with its labels, and where its cuts are if that is known."""

    name: str
    path: Path
    labels: Path
    cuts: Sequence[int] = ()


def marks(path: Path) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield person, frame and box of every labelled face."""
    for person, rows in json.loads(path.read_text()).items():
        for frame, *box in rows:
            yield person, frame, np.array(box, np.float32)


def compare(project: Project, film: Film) -> dict[str, float | int]:
    identity_of = {t: one.id for one in project.identities() for t in one.tracks}
    by_frame: dict[int, list[tuple[int, np.ndarray]]] = {}
    table = project.faces()
    for frame, box, track in zip(table.frame, table.box, table.track, strict=True):
        by_frame.setdefault(int(frame), []).append((int(track), box))
    people, clusters, wanted = [], [], 0
    seen: dict[int, list[tuple[int, str]]] = {}
    for person, frame, box in marks(film.labels):
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
    tracks = project.tracks()
    across = sum(one.first < cut < one.stop for one in tracks for cut in film.cuts)
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
        **({"across_cuts": across} if film.cuts else {}),
    }


def labelled_films(data: Path, folder: Path, parts: Sequence[str] | None) -> Iterator[Film]:
    """Yield the films that have labels and, if any parts are given, one of them in their name."""
    films = {path.stem: path for path in sorted(data.rglob("*.m*")) if path.is_file()}
    for labels in sorted(LABELS.glob("*.json")):
        name = labels.stem
        if parts and not any(part in name for part in parts):
            continue
        if name == joined_clips.NAME:
            path = folder / f"{name}.mkv"
            yield Film(name, path, labels, joined_clips.joined(data, path)[1:])
        elif name in films:
            yield Film(name, films[name], labels)
        else:
            print(f"{name}: not in {data}, left out", file=sys.stderr)


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
    result: dict[str, dict[str, float | int]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.projects or Path(temporary)
        for film in labelled_films(arguments.data, Path(temporary), arguments.film):
            place = folder / f"{film.name}.{arguments.pack}"
            start = time.perf_counter()
            if not place.exists():
                scan(film.path, place, settings=ScanSettings(), runtime=runtime)
            seconds = time.perf_counter() - start
            with Project.open(place) as project:
                row = compare(project, film)
            result[film.name] = {**row, "seconds": round(seconds, 1)}
            print(film.name, json.dumps(result[film.name]), flush=True)
    if arguments.output:
        path = arguments.output
        every = json.loads(path.read_text()) if path.exists() else {}
        every[arguments.pack] = {**every.get(arguments.pack, {}), **result}
        path.write_text(json.dumps(every, indent=1) + "\n")


if __name__ == "__main__":
    main()
