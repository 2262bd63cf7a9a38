"""Measure what tuning to a person gains on photos of that person that took no part in it.

    python benchmarks/adapter.py CACHE MODELS [-o benchmarks/adapter.json] [--pictures DIR]

CACHE is what `training.fusion.prepare` wrote, MODELS holds the scorer and NIQE's parameters. Of a
person every other photo is the profile (24 at most); the others are degraded (`moderate` and
`severe` as in `training/fusion/evaluate.py`) and restored from it, untuned and tuned. Other people
of the same list are the strangers of the tuning. `tuned` is what a user gets: untuned where the
tuning did not pass its own validation; `unvalidated` is what was learnt, passed or not. `ceiling`
is what could be had by knowing the person alone (`ceiling`).

Identity is the scorer's, which takes part in nothing else, PSNR is taken inside the mesh hull, NIQE
over the crop. Minutes are processor time of one thread, so that a busy machine measures the same.
Each person is written as it is done; those that are in the file already are not done again.
`--development` scores the people that choices are made by, with EdgeFace, instead.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from refrestore.adapt.tune import tune
from refrestore.config import RuntimeSettings
from refrestore.evaluate.metrics import psnr
from refrestore.evaluate.niqe import NIQE_FILE, Niqe
from refrestore.evaluate.scorer import IdentityScorer
from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.hull import hull_polygon
from refrestore.faces.recogniser import Recogniser
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.restore.bank import ReferenceBank
from training.fusion.data import DEVELOPMENT
from training.fusion.evaluate import DEGRADATIONS, Cache, spoilt, to_bytes
from training.fusion.prepare import VALIDATION

PEOPLE = tuple(name for name in VALIDATION if name.startswith(("dmdnet", "sport", "celeb20")))
CHOSEN_BY = tuple(name for name in DEVELOPMENT if name.startswith(("dmdnet", "sport", "celeb20")))
MOST = 24
UNTUNED, TUNED, LEARNT, CEILING = "untuned", "tuned", "unvalidated", "ceiling"


def halves(cache: Cache, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the profile and those that are restored."""
    rows = np.flatnonzero(cache.person == cache.people.index(name))
    return rows[::2][:MOST], rows[1::2]


def ceiling(found: np.ndarray, centre: np.ndarray, wanted: np.ndarray) -> dict:
    """Return the identity of restored faces whose embeddings could be moved at will.

    Towards the mean of the profile's photos, all by the one share that is best for the truth:
    more than this an adapter that knows the person, and not the photo, cannot give.
    """
    best = {"identity": -1.0, "share": 0.0}
    for share in np.linspace(0, 1, 21):
        moved = (1 - share) * found + share * centre
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        value = float((moved * wanted).sum(1).mean())
        if value > best["identity"]:
            best = {"identity": round(value, 4), "share": round(float(share), 2)}
    return best


class Bench:
    """All that is the same for every person."""

    def __init__(self, cache: Cache, toolbox: Toolbox, embed, niqe: Niqe, count: int) -> None:
        self.cache, self.toolbox, self.embed, self.niqe = cache, toolbox, embed, niqe
        self.count = count

    def bank(self, rows: np.ndarray) -> ReferenceBank:
        """Return the profile's references, embedded by the toolbox's recogniser."""
        plain = self.cache.bank(rows, self.toolbox.models.landmarker)
        embed = self.toolbox.models.recogniser.embed_faces
        seen = [embed(np.array(self.cache.crops[r]), self.cache.keypoints[[r]])[0] for r in rows]
        return replace(plain, embeddings=np.stack(seen))

    def person(self, name: str, others: list[str], seconds: float, pictures: Path | None) -> dict:
        """Tune to a person and score the photos that were kept apart."""
        own, apart = halves(self.cache, name)
        bank = self.bank(own)
        strangers = [self.bank(halves(self.cache, other)[0][:8]) for other in others]
        began = time.process_time()
        adapter, verdict, course, held = tune(
            bank, self.toolbox, strangers=strangers, seconds=seconds, clock=time.process_time
        )
        spent = time.process_time() - began
        picked = np.unique(np.linspace(0, len(apart) - 1, self.count).round().astype(int))
        banks = {UNTUNED: bank}
        if course.adapter is not None:
            banks[LEARNT] = replace(bank, adapter=course.adapter)
        scores = {kind: self.scored(apart[picked], kind, banks, own) for kind in DEGRADATIONS}
        for kind, (table, shown) in scores.items():
            table.setdefault(LEARNT, table[UNTUNED])
            table[TUNED] = table[LEARNT if adapter is not None else UNTUNED]
            if pictures is not None:
                pictures.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(pictures / f"{name}_{kind}.png"), shown[..., ::-1])
        return {
            "references": len(own),
            "held_out_by_the_tuning": len(held),
            "photos": len(picked),
            "passed": adapter is not None,
            "its_own_verdict": None
            if verdict is None
            else {
                "identity": round(verdict.after.identity - verdict.before.identity, 4),
                "psnr": round(verdict.after.psnr - verdict.before.psnr, 3),
            },
            "steps": course.steps,
            "processor_seconds": round(spent, 1),
            "kilobytes": 0 if adapter is None else round(len(adapter.content) / 1024),
            "scores": {kind: table for kind, (table, _) in scores.items()},
        }

    def centre(self, rows: np.ndarray) -> np.ndarray:
        """Return the scorer's mean embedding of the profile's photos."""
        matrices = similarity(self.cache.keypoints[rows], ARCFACE_TEMPLATE)
        cut = [
            crops(self.cache.crops[r], m[None], 112) for r, m in zip(rows, matrices, strict=True)
        ]
        mean = self.embed(np.concatenate(cut)).mean(0)
        return mean / np.linalg.norm(mean)

    def scored(self, rows: np.ndarray, kind: str, banks: dict[str, ReferenceBank], own: np.ndarray):
        """Return each row's means, and a sheet: truth, input, untuned, learnt."""
        cache, models = self.cache, self.toolbox.models
        truth = np.stack([cache.crops[row] for row in rows])
        faces = np.stack([spoilt(t, kind, int(r)) for t, r in zip(truth, rows, strict=True)])
        meshes = models.landmarker.dense(faces)[0]
        matrices = similarity(cache.keypoints[rows], ARCFACE_TEMPLATE)
        hulls = hull_polygon(cache.landmarks[rows], 512) > 0
        planes = torch.from_numpy(np.ascontiguousarray(faces.transpose(0, 3, 1, 2)))

        def seen(images: np.ndarray) -> np.ndarray:
            pairs = zip(images, matrices, strict=True)
            return self.embed(np.concatenate([crops(i, m[None], 112) for i, m in pairs]))

        wanted = seen(truth)
        centre = self.centre(own)
        table, made = {}, {}
        for name, bank in banks.items():
            restored = self.toolbox.restorer.restore(planes, meshes, [bank] * len(rows))
            made[name] = images = to_bytes(restored.images)
            pairs = list(zip(images, truth, hulls, strict=True))
            found = seen(images)
            if name == UNTUNED:
                table[CEILING] = ceiling(found, centre, wanted)
            table[name] = {
                "identity": round(float((found * wanted).sum(1).mean()), 4),
                "psnr": round(float(np.mean([psnr(*three) for three in pairs])), 3),
                "niqe": round(float(np.mean([self.niqe(image) for image in images])), 3),
            }
        columns = [truth, faces, made[UNTUNED], made.get(LEARNT, made[UNTUNED])]
        sheet = np.concatenate([np.concatenate(list(c[:4]), axis=1) for c in columns])
        return table, sheet


def summary(people: dict) -> dict:
    """Return means over people, and what tuning changed."""
    result: dict = {}
    for kind in DEGRADATIONS:
        means = {
            row: {
                key: round(
                    float(np.mean([p["scores"][kind][row][key] for p in people.values()])), 4
                )
                for key in ("identity", "psnr", "niqe")
            }
            for row in (UNTUNED, TUNED, LEARNT)
        }
        ceilings = [p["scores"][kind][CEILING]["identity"] for p in people.values()]
        means[CEILING] = round(float(np.mean(ceilings)), 4)
        means["gain"] = {
            row: {key: round(means[row][key] - means[UNTUNED][key], 4) for key in means[row]}
            for row in (TUNED, LEARNT)
        }
        result[kind] = means
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/adapter.json"))
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--photos", type=int, default=6)
    parser.add_argument("--people", nargs="*", help="default: all")
    parser.add_argument("--pictures", type=Path, help="sheets go here: not to be committed")
    parser.add_argument("--development", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    toolbox = open_toolbox(RuntimeSettings(device="cpu", threads=1))
    if arguments.development:
        embed = Recogniser(arguments.models / "edgeface_xs.fp32.onnx", threads=1).embed
    else:
        embed = IdentityScorer(arguments.models / "mobilefacenet_scorer.onnx", "cpu", 1).embed
    niqe = Niqe.from_file(arguments.models / NIQE_FILE)
    bench = Bench(Cache.open(arguments.cache), toolbox, embed, niqe, arguments.photos)
    names = CHOSEN_BY if arguments.development else PEOPLE
    path = arguments.output
    people = json.loads(path.read_text())["people"] if path.exists() else {}
    for place, name in enumerate(names):
        if name in people or (arguments.people and name not in arguments.people):
            continue
        others = [names[(place + step) % len(names)] for step in (1, 2)]
        people[name] = bench.person(name, others, 60 * arguments.minutes, arguments.pictures)
        result = {
            "scorer": "EdgeFace-XS" if arguments.development else "MobileFaceNet",
            "minutes": arguments.minutes,
            "means": summary(people),
            "people": people,
        }
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(name, json.dumps(people[name]), flush=True)
    print(json.dumps(summary(people), indent=1))


if __name__ == "__main__":
    main()
