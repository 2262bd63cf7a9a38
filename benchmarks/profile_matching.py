"""How well profiles recognise people: the figures behind the thresholds of `project.profile`.

    python benchmarks/profile_matching.py FOLDER -o benchmarks/profile_matching.json

FOLDER holds one folder of photos a person. Profiles are made of a few random photos; the others
are matched with all profiles (known people) and with all but their own (strangers).
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.config import RuntimeSettings
from refrestore.faces.analyser import FaceModels, load_face_models
from refrestore.models.pack import load_face_pack
from refrestore.project.profile import BELONG_THRESHOLD, MATCH_MARGIN, MATCH_THRESHOLD

MOST_PHOTOS = 16
"""Photos used per person, so that nobody weighs more than others."""

FEWEST_PHOTOS = 10
MOST_PEOPLE = 100
MARGIN = 40
"""Pixels added around tight crops; the detector wants to see a whole head."""


def embeddings(folder: Path, models: FaceModels) -> NDArray[np.float32]:
    """Return the embeddings (N, 512) of the largest face of each photo in a folder."""
    rows = []
    for file in sorted(folder.glob("*.[jp][pn]g"))[:MOST_PHOTOS]:
        picture = cv2.imread(str(file))[..., ::-1]
        image = np.pad(picture, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="edge")
        found = models.detector.detect([image], [0], 320)
        if len(found):
            best = int(np.argmax(found.size))
            rows.append(models.recogniser.embed_faces(image, found.keypoints[[best]])[0])
    return np.array(rows, np.float32).reshape(-1, 512)


def measure(
    people: list[NDArray[np.float32]], size: int, rounds: int, seed: int
) -> dict[str, float]:
    """Return rates for profiles of `size` photos, over random choices of them."""
    rng = np.random.default_rng(seed)
    own, other, best, ahead, lead = [], [], [], [], []
    for _ in range(rounds):
        orders = [rng.permutation(len(person)) for person in people]
        sums = np.stack(
            [p[order[:size]].sum(axis=0) for p, order in zip(people, orders, strict=True)]
        )
        centroids = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        for number, (person, order) in enumerate(zip(people, orders, strict=True)):
            scores = person[order[size:]] @ centroids.T
            strangers = np.sort(np.delete(scores, number, axis=1), axis=1)
            own += list(scores[:, number])
            lead += list(scores[:, number] - strangers[:, -1])
            other += list(strangers.ravel())
            best += list(strangers[:, -1])
            ahead += list(strangers[:, -1] - strangers[:, -2])
    mine, theirs = np.array(own), np.array(other)
    found = (mine >= MATCH_THRESHOLD) & (np.array(lead) >= MATCH_MARGIN)
    taken = (np.array(best) >= MATCH_THRESHOLD) & (np.array(ahead) >= MATCH_MARGIN)
    return {
        "photos": size,
        "known_found": round(float(found.mean()), 4),
        "strangers_taken": round(float(taken.mean()), 4),
        "strangers_taken_without_margin": round(
            float(np.mean(np.array(best) >= MATCH_THRESHOLD)), 4
        ),
        "own_belong": round(float(np.mean(mine >= BELONG_THRESHOLD)), 4),
        "others_belong": round(float(np.mean(theirs >= BELONG_THRESHOLD)), 4),
        "others_99th_percentile": round(float(np.percentile(theirs, 99)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    runtime = RuntimeSettings(device="cpu")
    pack = load_face_pack(runtime)
    models = load_face_models(pack, runtime.device)
    folders = sorted(path for path in arguments.folder.iterdir() if path.is_dir())[:MOST_PEOPLE]
    people = [found for one in folders if len(found := embeddings(one, models)) >= FEWEST_PHOTOS]
    result = {
        "people": len(people),
        "photos": sum(map(len, people)),
        "recogniser": pack.recogniser.stem,
        "match_threshold": MATCH_THRESHOLD,
        "match_margin": MATCH_MARGIN,
        "belong_threshold": BELONG_THRESHOLD,
        "profiles": [measure(people, size, arguments.rounds, arguments.seed) for size in (1, 3, 6)],
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "machine": platform.machine(),
    }
    text = json.dumps(result, indent=2) + "\n"
    print(text, end="")
    if arguments.output:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
