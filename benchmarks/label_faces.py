"""Label the faces of a film by hand: once, for `identity_films.py`.

    python benchmarks/label_faces.py propose FILM FOLDER [--models-dir MODELS] [--every 5]
    python benchmarks/label_faces.py assign FOLDER NAMES.json -o benchmarks/labels/FILM.json

`propose` finds the faces of every n-th picture (no tracker has a say), puts those together that are
surely one person, and draws each such heap as a row of FOLDER/sheet_N.png. NAMES.json is what a
person says after looking: {"0": "woman", "1": "man", "7": null}; null for what is no face or cannot
be
told. Heaps that show two people are divided there: {"3": {"12": "woman", "13": "man"}} names single
faces by the numbers under them. `assign` writes boxes and names; no picture.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from refrestore.config import RuntimeSettings
from refrestore.faces.align import FFHQ_TEMPLATE, crops, resized, similarity
from refrestore.faces.analyser import load_face_models
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.models.pack import load_face_pack
from refrestore.scan.clustering import Constraints, cluster_tracks
from refrestore.types import Track

SIDE = 96
ROW = 14
ROWS = 10
SURE = 0.5
"""Average cosine of a heap: high, so that heaps are pure; one person may have several."""

SMALLEST = 20.0


def propose(film: Path, folder: Path, models_dir: Path | None, every: int) -> None:
    runtime = RuntimeSettings(pack="teachers", models_dir=models_dir, device="cpu", threads=1)
    models = load_face_models(load_face_pack(runtime), "cpu", threads=1)
    frames, boxes, embeddings, weights, shown = [], [], [], [], []
    with VideoReader(film) as reader:
        for frame in reader:
            if frame.index % every:
                continue
            image = display_rgb(frame)
            found = models.detector.detect([image], [frame.index], 640)
            found = models.describe(image, found[found.size >= SMALLEST])
            for row in range(len(found)):
                matrix = resized(similarity(found.keypoints[[row]], FFHQ_TEMPLATE), SIDE / 512)
                frames.append(frame.index)
                boxes.append(found.box[row])
                embeddings.append(found.embedding[row])
                weights.append(float(found.quality[row]))
                shown.append(crops(image, matrix, SIDE)[0])
    tracks = [
        Track(n, 0, n, n + 1, embedding, weight, weight, 0.0, False)
        for n, (embedding, weight) in enumerate(zip(embeddings, weights, strict=True))
    ]
    heaps = cluster_tracks(tracks, Constraints(), threshold=SURE)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "faces.npz",
        frame=np.array(frames),
        box=np.array(boxes),
        heap=np.array(
            [next(h for h, heap in enumerate(heaps) if n in heap) for n in range(len(frames))]
        ),
    )
    rows = [
        (number, part)
        for number, heap in enumerate(heaps)
        for part in [
            [
                heap[i]
                for i in np.linspace(0, len(heap) - 1, min(ROW, len(heap))).round().astype(int)
            ]
        ]
    ]
    for page in range(0, len(rows), ROWS):
        sheet = np.full((ROWS * (SIDE + 16), ROW * SIDE + 60, 3), 255, np.uint8)
        for line, (number, part) in enumerate(rows[page : page + ROWS]):
            top = line * (SIDE + 16)
            label = f"{number}"
            cv2.putText(sheet, label, (4, top + 40), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 2)
            cv2.putText(
                sheet,
                f"x{len(heaps[number])}",
                (4, top + 62),
                cv2.FONT_HERSHEY_SIMPLEX,
                0.4,
                (0, 0, 0),
            )
            for column, face in enumerate(part):
                left = 60 + column * SIDE
                sheet[top : top + SIDE, left : left + SIDE] = shown[face]
                text = f"{face} f{frames[face]}"
                cv2.putText(
                    sheet,
                    text,
                    (left + 2, top + SIDE + 11),
                    cv2.FONT_HERSHEY_SIMPLEX,
                    0.35,
                    (0, 0, 0),
                )
        cv2.imwrite(str(folder / f"sheet_{page // ROWS}.png"), sheet[..., ::-1])
    print(f"{len(frames)} faces, {len(heaps)} heaps")


def assign(folder: Path, names: dict[str, Any], output: Path) -> None:
    table = np.load(folder / "faces.npz")
    marks: dict[str, list[list[int]]] = {}
    for number, (frame, box, heap) in enumerate(
        zip(table["frame"], table["box"], table["heap"], strict=True)
    ):
        name = names.get(str(heap))
        if isinstance(name, dict):
            name = name.get(str(number), name.get("else"))
        if name is not None:
            marks.setdefault(name, []).append([int(frame), *(round(float(v)) for v in box)])
    lines = ",\n".join(f' "{name}": {json.dumps(rows)}' for name, rows in sorted(marks.items()))
    output.write_text("{\n" + lines + "\n}\n")
    print({name: len(rows) for name, rows in marks.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("propose")
    first.add_argument("film", type=Path)
    first.add_argument("folder", type=Path)
    first.add_argument("--models-dir", type=Path)
    first.add_argument("--every", type=int, default=5)
    second = commands.add_parser("assign")
    second.add_argument("folder", type=Path)
    second.add_argument("names", type=Path)
    second.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.command == "propose":
        propose(arguments.film, arguments.folder, arguments.models_dir, arguments.every)
    else:
        assign(arguments.folder, json.loads(arguments.names.read_text()), arguments.output)


if __name__ == "__main__":
    main()
