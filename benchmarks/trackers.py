"""Trackers of well-kept libraries and ours, on the same detections of films labelled by hand.

    pip install --no-deps --target SITE trackers supervision pydeprecate defusedxml \\
        norfair "filterpy<2" boxmot lapx
    PYTHONPATH=SITE python benchmarks/trackers.py DATA --models-dir MODELS --cache FOLDER
        [--film NAME ...] [--tracker NAME ...] -o benchmarks/trackers.json

Beside the project's own packages, over which norfair's wishes (numpy 1) would go; libraries that
are missing are named and left out.

The detections of every picture are made once and kept in the cache, with their embeddings; every
tracker gets the same, picture by picture, once those of every picture and once those of the
pictures that our scan looks at ("stride": every fifth, more where faces move). All begin anew at a
cut. The others are given what anybody could add to them: between two detections of a track, a
second apart at most, its box goes in a straight line, and detections before the first that they
report as a track's are added to it. Ours fills the frames itself.

A labelled face is covered if a track has it (overlap of 0.4 or more, one face a track). Counted are
switches (a track's labelled faces, in order of time, go over to another person), tracks for each
person in each shot, the share of labelled faces that are their track's main person (purity), and
B-cubed F of tracks against persons in shots, uncovered faces counting as alone. A tracker's line
is its defaults; "tuned" is the best F among settings for faces, chosen on these very films.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from identity_films import SAME, Film, labelled_films, marks
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from tracker_adapters import Pace, Setting, settings
from tracker_cache import STRIDES, WEAK, Cache, Rows, look

from refrestore.config import RuntimeSettings
from refrestore.evaluate.identity import bcubed
from refrestore.faces.analyser import load_face_models
from refrestore.models.pack import load_face_pack
from refrestore.scan.association import overlap

# `trackers` shall be the library, not this file.
sys.path = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).parent]

BRIDGE_SECONDS = 1.0
_BEGUN = 0.3

Box = NDArray[np.float32]


def track(cache: Cache, setting: Setting, frames: NDArray[np.int64]) -> Rows:
    """Run a tracker over each shot; between detections its boxes go in straight lines."""
    rows: Rows = {}
    for first, stop in cache.shots:
        shown = frames[(frames >= first) & (frames < stop)]
        gap = float(np.median(np.diff(shown))) if len(shown) > 1 else 1.0
        tracker = setting.make(Pace(cache.rate, cache.rate / gap))
        own: Rows = {}
        free: dict[int, list[Box]] = {}
        for frame in shown.tolist():
            seen = cache.seen(frame, weak=setting.weak)
            pairs = tracker(seen)
            for name, row in pairs:
                own.setdefault(name, []).append((frame, seen.box[row]))
            taken = {row for _, row in pairs}
            free[frame] = [box for row, box in enumerate(seen.box) if row not in taken]
        for one in own.values():
            begun = _begun(one, free, shown)
            rows[len(rows) + 1] = _bridged(begun, round(BRIDGE_SECONDS * cache.rate))
    return rows


def _begun(
    rows: list[tuple[int, Box]], free: dict[int, list[Box]], shown: NDArray[np.int64]
) -> list[tuple[int, Box]]:
    """Give a track the detections before its first: most trackers report it some pictures late."""
    earlier = shown[shown < rows[0][0]].tolist()
    for frame in reversed(earlier):
        if not free[frame]:
            break
        near = overlap(rows[0][1][None], np.stack(free[frame]))[0]
        if near.max() < _BEGUN:
            break
        rows = [(frame, free[frame].pop(int(near.argmax()))), *rows]
    return rows


def _bridged(rows: list[tuple[int, Box]], longest: int) -> list[tuple[int, Box]]:
    filled = rows[:1]
    for (start, early), (stop, late) in pairwise(rows):
        for frame in range(start + 1, stop if stop - start <= longest else start + 1):
            share = (frame - start) / (stop - start)
            filled.append((frame, (1 - share) * early + share * late))
        filled.append((stop, late))
    return filled


class Score(NamedTuple):
    """Counts of one or more films; what is reported is made from their sums."""

    labelled: int = 0
    covered: int = 0
    main: int = 0
    switches: int = 0
    pieces: int = 0
    appearances: int = 0
    precision: float = 0.0
    recall: float = 0.0

    def plus(self, other: Score) -> Score:
        return Score._make(one + two for one, two in zip(self, other, strict=True))

    def report(self) -> dict[str, float | int]:
        precision, recall = self.precision / self.labelled, self.recall / self.labelled
        return {
            "switches": self.switches,
            "tracks_per_appearance": round(self.pieces / max(self.appearances, 1), 3),
            "coverage": round(self.covered / self.labelled, 4),
            "purity": round(self.main / max(self.covered, 1), 4),
            "f": round(2 * precision * recall / max(precision + recall, 1e-9), 4),
        }


def measure(film: Film, shots: list[tuple[int, int]], rows: Rows) -> Score:
    """Compare tracks with labels; an appearance is a person in a shot."""
    there: dict[int, list[tuple[int, NDArray[np.float32]]]] = {}
    for name, parts in rows.items():
        for frame, box in parts:
            there.setdefault(frame, []).append((name, box))
    wanted: dict[int, list[tuple[str, NDArray[np.float32]]]] = {}
    for person, frame, box in marks(film.labels):
        wanted.setdefault(frame, []).append((person, box))
    firsts = [first for first, _ in shots]
    who: list[tuple[str, int]] = []
    given: list[int | None] = []
    for frame in sorted(wanted):
        shot = int(np.searchsorted(firsts, frame, side="right"))
        names = _matched(wanted[frame], there.get(frame, []))
        who += [(person, shot) for person, _ in wanted[frame]]
        given += names
    pairs = [(name, one) for name, one in zip(given, who, strict=True) if name is not None]
    by_track: dict[int, list[tuple[str, int]]] = {}
    for name, one in pairs:
        by_track.setdefault(name, []).append(one)
    score = bcubed(who, given)
    return Score(
        labelled=len(who),
        covered=len(pairs),
        main=sum(Counter(people).most_common(1)[0][1] for people in by_track.values()),
        switches=sum(
            before != after for people in by_track.values() for before, after in pairwise(people)
        ),
        pieces=len(set(pairs)),
        appearances=len({one for _, one in pairs}),
        precision=score.precision * len(who),
        recall=score.recall * len(who),
    )


def _matched(
    people: list[tuple[str, NDArray[np.float32]]], tracks: list[tuple[int, NDArray[np.float32]]]
) -> list[int | None]:
    """Return the track of each labelled face of one picture, one face a track."""
    names: list[int | None] = [None] * len(people)
    if tracks:
        overlaps = overlap(
            np.stack([box for _, box in people]), np.stack([box for _, box in tracks])
        )
        for row, column in zip(*linear_sum_assignment(-overlaps), strict=True):
            if overlaps[row, column] >= SAME:
                names[row] = tracks[column][0]
    return names


def compare(
    films: list[tuple[Film, Cache]], wanted: Sequence[str] | None
) -> Iterator[dict[str, Any]]:
    """Yield one line for each setting and each choice of pictures, ours first."""
    for shown in STRIDES:
        scores = {film.name: measure(film, cache.shots, cache.ours[shown]) for film, cache in films}
        yield _line("ours", "ours", "defaults", shown, scores)
    missing: set[str] = set()
    for setting in settings():
        if setting.library in missing or (wanted and setting.name not in wanted):
            continue
        for shown in STRIDES:
            start, scores = time.perf_counter(), {}
            try:
                for film, cache in films:
                    frames = cache.looked if shown == "stride" else np.arange(cache.shots[-1][1])
                    rows = track(cache, setting, frames)
                    scores[film.name] = measure(film, cache.shots, rows)
            except ImportError as error:
                missing.add(setting.library)
                print(f"{setting.library}: not installed ({error})", file=sys.stderr)
                yield {"library": setting.library, "not_installed": True}
                break
            options = setting.options + (", with unsure detections" if setting.weak else "")
            line = _line(setting.library, setting.name, options, shown, scores)
            yield {**line, "seconds": round(time.perf_counter() - start, 1)}


def _line(
    library: str, name: str, options: str, shown: str, scores: dict[str, Score]
) -> dict[str, Any]:
    total = Score()
    for score in scores.values():
        total = total.plus(score)
    return {
        "library": library,
        "tracker": name,
        "settings": options,
        "pictures": shown,
        **total.report(),
        "films": {
            film: {key: report[key] for key in ("switches", "tracks_per_appearance", "f")}
            for film, score in scores.items()
            for report in [score.report()]
        },
    }


def chosen(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of each tracker its defaults and its best settings, best F first."""
    best: dict[tuple[str, ...], dict[str, Any]] = {}
    for line in lines:
        if "f" not in line:
            best[line["library"], "", "", ""] = line
            continue
        kind = "defaults" if line["settings"].startswith("defaults") else "tuned"
        key = (line["library"], line["tracker"], line["pictures"], kind)
        if key not in best or line["f"] > best[key]["f"]:
            best[key] = line
    return sorted(best.values(), key=lambda line: -line.get("f", 0.0))


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pack", default="teachers")
    parser.add_argument("--models-dir", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="detections are kept here")
    parser.add_argument("--film", action="append", help="only films whose name has this in it")
    parser.add_argument("--tracker", action="append", help="only this tracker")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    runtime = RuntimeSettings(
        pack=arguments.pack, models_dir=arguments.models_dir, device="cpu", threads=1
    )
    pack = load_face_pack(runtime)
    models = load_face_models(pack, "cpu", threads=1, min_score=WEAK)
    with tempfile.TemporaryDirectory() as temporary:
        films = [
            (film, look(film, arguments.cache, models))
            for film in labelled_films(arguments.data, Path(temporary), arguments.film)
        ]
    lines = []
    for line in compare(films, arguments.tracker):
        lines.append(line)
        print(json.dumps({k: v for k, v in line.items() if k != "films"}), flush=True)
    if arguments.output:
        versions = {name: _version(name) for name in ("trackers", "norfair", "boxmot")}
        result = {"versions": versions, "best": chosen(lines), "tried": len(lines)}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
