"""Score stills as `refrestore image --profile` restores them: detector, gate, guard and all.

    python -m training.fusion.guarded CACHE MODELS OUT [--pack lite] [--development] [--faces 6]

CACHE, MODELS, pictures, degradations and scorer as in `evaluate.py`, but each picture goes through
`restore_picture` with a profile: none, the person's own (without the picture and its neighbours),
the next person's of the list, and that of the most similar other person. Adds `guarded` to
OUT/evaluation.json, which `evaluate.py` wrote.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from refrestore.config import PackName, RuntimeSettings
from refrestore.evaluate.scorer import IdentityScorer
from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.recogniser import Recogniser
from refrestore.profiles import Profile
from refrestore.render.still import PictureResult, restore_picture
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.restore.guard import Choice
from refrestore.types import Reference
from training.fusion.data import DEVELOPMENT
from training.fusion.evaluate import APART, DEGRADATIONS, Cache, Embed, spoilt
from training.fusion.prepare import KINDS, VALIDATION

NONE, OWN, OTHER, ALIKE = "no profile", "own profile", "next person's", "most similar other's"


def album(cache: Cache, rows: np.ndarray, toolbox: Toolbox) -> list[Reference]:
    """Return the person's photos as references, seen by the toolbox's networks."""
    references = []
    for row in rows:
        image = np.array(cache.crops[row])
        mesh = toolbox.models.landmarker.dense(image[None])[0][0]
        embedding = toolbox.models.recogniser.embed_faces(image, cache.keypoints[[row]])[0]
        references.append(
            Reference(
                image=image,
                landmarks=mesh,
                embedding=embedding,
                pose=np.zeros(3, np.float32),
                sharpness=1.0,
                quality=1.0,
                native_size=float(cache.eyes[row] * 2.2),
                source=str(row),
            )
        )
    return references


def done_to(result: PictureResult) -> str:
    """Return what was done to the face in the middle."""
    if not len(result.faces):
        return "no face found"
    middle = (result.faces.box[:, :2] + result.faces.box[:, 2:]) / 2
    return str(result.summary()[int(np.argmin(np.abs(middle - 256).sum(1)))]["done"])


def measured(
    cache: Cache, names: tuple[str, ...], toolbox: Toolbox, embed: Embed, count: int
) -> list[dict]:
    """Return one entry a picture, degradation and row."""
    people = [cache.people.index(name) for name in names if name in cache.people]
    rows_of = [np.flatnonzero(cache.person == person) for person in people]
    albums = [album(cache, rows, toolbox) for rows in rows_of]
    profiles = [Profile(cache.people[p], tuple(a)) for p, a in zip(people, albums, strict=True)]
    centroids = np.stack([profile.centroid for profile in profiles])
    nearest = np.argmax(centroids @ centroids.T - 2 * np.eye(len(people)), axis=1)
    entries = []
    for place, rows in enumerate(rows_of):
        picked = np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))
        reach = APART if KINDS[cache.kind[rows[0]]] == "clip" else 0
        for index in picked:
            left = [one for i, one in enumerate(albums[place]) if abs(i - index) > reach]
            given = {
                NONE: None,
                OWN: replace(profiles[place], references=tuple(left)),
                OTHER: profiles[(place + 1) % len(people)],
                ALIKE: profiles[int(nearest[place])],
            }
            row = rows[index]
            truth = np.array(cache.crops[row])
            matrix = similarity(cache.keypoints[[row]], ARCFACE_TEMPLATE)
            wanted = embed(crops(truth, matrix, 112))[0]
            for kind in DEGRADATIONS:
                picture = spoilt(truth, kind, int(row))
                for name, profile in given.items():
                    result = restore_picture(picture, toolbox, profile=profile)
                    likeness = float(embed(crops(result.image, matrix, 112))[0] @ wanted)
                    entries.append(
                        {
                            "row": name,
                            "degradation": kind,
                            "person": profiles[place].name,
                            "identity": likeness,
                            "done": done_to(result),
                        }
                    )
    return entries


def table(entries: list[dict]) -> dict[str, dict[str, dict[str, float]]]:
    """Return row -> degradation -> mean identity, shares of faces from references and unfound."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for row in (NONE, OWN, OTHER, ALIKE):
        result[row] = {}
        for kind in DEGRADATIONS:
            part = [e for e in entries if e["row"] == row and e["degradation"] == kind]
            done = [e["done"] for e in part]
            result[row][kind] = {
                "identity": round(float(np.mean([e["identity"] for e in part])), 4),
                "from_references": round(done.count(Choice.RESTORED.value) / len(part), 3),
                "not_found": round(done.count("no face found") / len(part), 3),
            }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pack", default="lite")
    parser.add_argument("--faces", type=int, default=6, help="pictures of each person")
    parser.add_argument("--development", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    pack: PackName = arguments.pack
    toolbox = open_toolbox(RuntimeSettings(pack=pack, models_dir=arguments.models, threads=1))
    if arguments.development:
        embed: Embed = Recogniser(arguments.models / "edgeface_xs.fp32.onnx", threads=1).embed
    else:
        embed = IdentityScorer(arguments.models / "mobilefacenet_scorer.onnx", "cpu", 1).embed
    names = DEVELOPMENT if arguments.development else VALIDATION
    entries = measured(Cache.open(arguments.cache), names, toolbox, embed, arguments.faces)
    result = {"pack": pack, "pictures": len(entries) // 8, "rows": table(entries)}
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "evaluation.json"
    every = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**every, "guarded": result}, indent=1) + "\n")
    for row, kinds in result["rows"].items():
        cells = [
            f"{kind} {f['identity']:.3f} (references {f['from_references']:.0%}, "
            f"not found {f['not_found']:.0%})"
            for kind, f in kinds.items()
        ]
        print(f"{row}: " + "; ".join(cells))


if __name__ == "__main__":
    main()
