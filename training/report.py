"""Every figure the lite pack is to reach, its goal, and whether it is reached, in one table.

    python -m training.report CACHE DATA MODELS [--only detector,mask] [--quick]
    python -m training.report --from-json

CACHE is the face bank (`python -m training.common.faces DATA MODELS CACHE`). Each network's
`training/NAME/evaluate.py` is run in a process of its own and writes its `evaluation.json`, from
which the table is drawn; `--from-json` only draws it. `--quick` looks at fewer faces and leaves
those files as they are. The process ends with 1 if a figure is missing or not reached.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DETECTOR_RIVAL = "scrfd_500m_kps.onnx"
SPEED_SHAPE = "640x384"
"""A 640 x 360 picture, padded."""

CASES = {
    "112 both": "112 px",
    "24 probe": "24 px against clean",
    "24 both": "24 px against 24 px",
}
"""Pairs of faces in the recogniser's evaluation."""

LEFT_OUT = 0.8
"""What covers a face is to be left out; how much of it, by area, is this project's choice."""

Table = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One figure and what it should be."""

    network: str
    figure: str
    value: float
    goal: float
    at_least: bool = True
    digits: int = 3

    @property
    def reached(self) -> bool:
        """Whether the figure, as it is printed, is good enough."""
        value, goal = round(self.value, self.digits), round(self.goal, self.digits)
        return value >= goal if self.at_least else value <= goal

    def cells(self) -> tuple[str, ...]:
        sign = ">=" if self.at_least else "<="
        return (
            self.network,
            self.figure,
            f"{self.value:.{self.digits}f}",
            f"{sign} {self.goal:.{self.digits}f}",
            "reached" if self.reached else "NOT REACHED",
        )


def detector(table: Table) -> Iterator[Line]:
    every = table["groups"]["all"]
    yield Line("detector", "recall of SCRFD-2.5g's faces >= 24 px", every["recall"], 0.97)
    extra = every["extra_share"]
    yield Line("detector", "extra faces, share", extra, 0.03, at_least=False)
    error = every["keypoints_mean"]
    yield Line("detector", "keypoints, inter-ocular distances", error, 0.06, at_least=False)
    times = table["milliseconds"][SPEED_SHAPE]
    ratio = times["student"] / times[DETECTOR_RIVAL]
    yield Line("detector", "time / scrfd_500m's, same run", ratio, 1.0, at_least=False, digits=2)


def landmarks(table: Table) -> Iterator[Line]:
    error = table["student"]["error"]
    for case, goal in (("clean", 0.04), ("32", 0.06)):
        for cut, words in (("box", "from the box"), ("ffhq", "aligned crop")):
            size = "clean" if case == "clean" else f"{case} px"
            value = error[f"{case} {cut}"]["mean"]
            name = f"distance to the teacher, {size}, {words}"
            yield Line("landmarks", name, value, goal, at_least=False)


def recogniser(table: Table) -> Iterator[Line]:
    student, teacher = (table["networks"][name] for name in ("student", "teacher"))
    accuracy = student["celeb20_nearest_centroid"]["112"]
    yield Line("recogniser", "celeb20, leave-one-out nearest centroid, 112 px", accuracy, 0.97)
    for case in ("112 both", "24 probe", "24 both"):
        mine, wanted = (
            network["verification"]["all"][case]["true_accepts"] for network in (student, teacher)
        )
        text = f"true accepts at 1 % false, {CASES[case]} (teacher {wanted:.3f})"
        yield Line("recogniser", text, mine, wanted - 0.05)


def fusion(table: Table) -> Iterator[Line]:
    rows = table["rows"]
    given, own = rows["input"], rows["ours, up to five references"]
    guarded = table["guarded"]["rows"]
    split = rows["frequency split of five references, untrained"]
    for kind, goal, slack in (("moderate", 0.78, 0.02), ("severe", 0.68, 0.06)):
        likeness = own[kind]["identity"]
        text = f"identity, {kind} (input {given[kind]['identity']:.3f})"
        yield Line("fusion", text, likeness, goal)
        text = f"identity, {kind}: over the untrained split"
        yield Line("fusion", text, likeness, split[kind]["identity"])
        loss = own[kind]["psnr"] - given[kind]["psnr"]
        yield Line(
            "fusion", f"PSNR in the face minus the input's, {kind}, dB", loss, -0.3, digits=2
        )
        harm = guarded["next person's"][kind]["identity"] - guarded["no profile"][kind]["identity"]
        text = f"somebody else's profile minus none, with gate and guard, {kind}"
        yield Line("fusion", text, harm, -slack)


def mask(table: Table) -> Iterator[Line]:
    for hull in ("true hull", "found hull"):
        value = table[hull]["free"]["clean"]["iou"]
        yield Line("mask", f"IoU with the mesh hull, clean faces, {hull}", value, 0.90)
    for cover in ("hand", "microphone"):
        value = table["true hull"][cover]["clean"]["left_out"]
        yield Line("mask", f"share of a {cover} over the face that is left out", value, LEFT_OUT)


NETWORKS: dict[str, Callable[[Table], Iterator[Line]]] = {
    "detector": detector,
    "landmarks": landmarks,
    "recogniser": recogniser,
    "mask": mask,
    "fusion": fusion,
}


def evaluate(name: str, arguments: argparse.Namespace, out: Path) -> Path:
    """Run one network's evaluation and return the JSON file it wrote under `out`."""
    cache, data, models = map(str, (arguments.cache, arguments.data, arguments.models))
    file = out / "evaluation.json"
    if name == "fusion":
        validation = out / "validation"
        validation.mkdir()
        run("fusion.prepare", data, models, str(validation))
        few = ["--faces", "2"] if arguments.quick else []
        run("fusion.evaluate", str(validation), models, str(out), *few)
        run("fusion.guarded", str(validation), models, str(out), *few)
    elif name == "detector":
        run("detector.evaluate", data, models, "--out", str(file))
    elif name == "landmarks":
        run("landmarks.evaluate", cache, data, models, "--out", str(file))
    elif name == "recogniser":
        run("recogniser.evaluate", cache, models, str(out))
    else:
        few = ["--count", "32"] if arguments.quick else []
        run("mask.evaluate", cache, "--output", str(file), *few)
    return file


def run(module: str, *arguments: str) -> None:
    """Run a module of this folder; what it prints goes to stderr, beside its errors."""
    command = [sys.executable, "-m", f"training.{module}", *arguments]
    print("$ python " + " ".join(command[1:]), file=sys.stderr, flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, cwd=HERE.parent, env=environment, stdout=sys.stderr)


def collect(name: str, arguments: argparse.Namespace) -> list[Line] | str:
    """Return a network's lines, or why there are none."""
    kept = HERE / name / "evaluation.json"
    try:
        if arguments.from_json:
            return list(NETWORKS[name](json.loads(kept.read_text())))
        with tempfile.TemporaryDirectory() as folder:
            text = evaluate(name, arguments, Path(folder)).read_text()
        lines = list(NETWORKS[name](json.loads(text)))
        if not arguments.quick:
            kept.write_text(text)
    except FileNotFoundError as error:
        return f"there is no {Path(error.filename).name}"
    except KeyError as error:
        return f"its evaluation has no {error}"
    except subprocess.CalledProcessError as error:
        return f"its evaluation ended with {error.returncode}"
    return lines


def drawn(rows: list[tuple[str, ...]]) -> str:
    header = ("network", "figure", "value", "goal", "")
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def text(row: tuple[str, ...]) -> str:
        return "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()

    return "\n".join([text(header), text(tuple("-" * width for width in widths)), *map(text, rows)])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("cache", "data", "models"):
        parser.add_argument(name, type=Path, nargs="?")
    parser.add_argument("--only", default=",".join(NETWORKS), help="networks, by commas")
    parser.add_argument("--quick", action="store_true", help="fewer faces")
    parser.add_argument("--from-json", action="store_true", help="the figures of the last run")
    arguments = parser.parse_args()
    if not arguments.from_json and arguments.models is None:
        parser.error("CACHE, DATA and MODELS are needed, or --from-json")
    if not arguments.from_json:
        for name in ("cache", "data", "models"):
            folder = getattr(arguments, name).resolve()
            if not folder.is_dir():
                parser.error(f"{folder} is no folder")
            setattr(arguments, name, folder)
    arguments.only = arguments.only.split(",")
    if unknown := set(arguments.only) - set(NETWORKS):
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    return arguments


def main() -> None:
    arguments = parse()
    rows, missing = [], {}
    for name in arguments.only:
        found = collect(name, arguments)
        if isinstance(found, str):
            missing[name] = found
        else:
            rows += found
    print(drawn([line.cells() for line in rows]))
    for name, why in missing.items():
        print(f"{name}: no figures, {why}")
    good = sum(line.reached for line in rows)
    print(f"{good} of {len(rows)} reached")
    sys.exit(0 if good == len(rows) and not missing else 1)


if __name__ == "__main__":
    main()
