"""Compare drawing a face at the side that is shown with drawing it at 512 and shrinking it.

    python -m training.fusion.sides CACHE MODELS OUT [--weights models/lite/fusion.safetensors]

CACHE is what prepare.py wrote. For every side, pictures of each validation person are shown at that
side: shrunk to it (`small`: noise 3, JPEG 70), to half of it (`half`: a film enlarged twice), and
damaged as in evaluate.py (`moderate`, `severe`). Each is restored at the side, and at 512 and
shrunk; both are compared with the truth at the side: identity by two recognisers that share
nothing, PSNR inside the hull. Differences are paired, with standard errors over people. Writes
`sides.json` and `sides_SIDE_KIND.png` (rows: truth, input, at 512 and shrunk, at the side).

`--development` scores the six people that choices are made by instead.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from refrestore.evaluate.degrade import jpeg
from refrestore.evaluate.metrics import psnr
from refrestore.evaluate.scorer import IdentityScorer
from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.hull import hull_polygon
from refrestore.faces.landmarker import Landmarker
from refrestore.faces.recogniser import Recogniser
from refrestore.restore.fusion import load_fusion
from refrestore.restore.restorer import Restorer
from refrestore.restore.sides import SIDES
from training.fusion.data import DEVELOPMENT, fitted
from training.fusion.evaluate import APART, Cache, spoilt, to_bytes
from training.fusion.prepare import KINDS, VALIDATION

FULL = 512
SMALL, HALF = "small", "half"
DAMAGE = (SMALL, HALF, "moderate", "severe")
SMALL_NOISE, SMALL_QUALITY = 3.0, 70


def damaged(truth: np.ndarray, kind: str, side: int, seed: int) -> np.ndarray:
    """Return a 512-px crop as it was filmed: as many pixels as the film has of it."""
    if kind not in (SMALL, HALF):
        return spoilt(truth, kind, seed)
    small = fitted(truth, side if kind == SMALL else side // 2)
    noise = np.random.default_rng(seed).normal(0, SMALL_NOISE, small.shape)
    return jpeg(np.clip(small + noise, 0, 255).astype(np.uint8), SMALL_QUALITY)


def restored(
    restorer: Restorer, picture: np.ndarray, mesh: np.ndarray, bank, without, side: int
) -> np.ndarray:
    """Restore a picture of a face, of any size, in a crop of `side` pixels."""
    face = torch.from_numpy(np.ascontiguousarray(fitted(picture, side).transpose(2, 0, 1)))[None]
    points = ((mesh + 0.5) * (side / FULL) - 0.5).astype(np.float32)
    return to_bytes(restorer.restore(face, points[None], [bank], exclude=[without]).images)[0]


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    small = F.interpolate(planes, size=(side, side), mode="bilinear", antialias=True)
    return small[0].round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("models/lite/fusion.safetensors"))
    parser.add_argument("--full", type=Path, help="weights to draw at 512 with; default the same")
    parser.add_argument("--mesh", type=Path, default=Path("models/lite/landmarks.onnx"))
    parser.add_argument("--faces", type=int, default=4, help="pictures of each person")
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES))
    parser.add_argument("--development", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    cache = Cache.open(arguments.cache)
    landmarker = Landmarker(arguments.mesh, threads=1)
    small = Restorer(load_fusion(arguments.weights))
    full = Restorer(load_fusion(arguments.full or arguments.weights))
    scorers = {
        "MobileFaceNet": IdentityScorer(
            arguments.models / "mobilefacenet_scorer.onnx", "cpu", 1
        ).embed,
        "EdgeFace": Recogniser(arguments.models / "edgeface_xs.fp32.onnx", threads=1).embed,
    }
    names = DEVELOPMENT if arguments.development else VALIDATION
    people = [cache.people.index(name) for name in names if name in cache.people]
    entries: list[dict] = []
    sheets: dict[tuple[int, str], dict[int, np.ndarray]] = {}
    spent: dict[int, list[float]] = {}
    for person in people:
        own = np.flatnonzero(cache.person == person)
        bank = cache.bank(own, landmarker)
        reach = APART if KINDS[cache.kind[own[0]]] == "clip" else 0
        for place in np.unique(np.linspace(0, len(own) - 1, arguments.faces).round().astype(int)):
            without = range(max(0, place - reach), min(len(own), place + reach + 1))
            truth = np.array(cache.crops[own[place]])
            for kind in DAMAGE:
                for side in arguments.sides:
                    picture = damaged(truth, kind, side, int(own[place]))
                    mesh = landmarker.dense(fitted(picture, FULL)[None])[0][0]
                    began = time.perf_counter()
                    drawn = restored(small, picture, mesh, bank, without, side)
                    spent.setdefault(side, []).append(time.perf_counter() - began)
                    large = restored(full, picture, mesh, bank, without, FULL)
                    shown = {
                        "truth": shrunk(truth, side),
                        "input": fitted(picture, side),
                        "at 512": shrunk(large, side),
                        "at the side": drawn,
                    }
                    factor = side / FULL
                    five = (cache.keypoints[own[place]] + 0.5) * factor - 0.5
                    hull = hull_polygon(cache.landmarks[own[place]][None] * factor, side)[0] > 0
                    matrix = similarity(five[None], ARCFACE_TEMPLATE)
                    entry = {"person": names[people.index(person)], "kind": kind, "side": side}
                    for scorer, embed in scorers.items():
                        seen = embed(
                            np.concatenate([crops(one, matrix, 112) for one in shown.values()])
                        )
                        for name, value in zip(shown, seen @ seen[0], strict=True):
                            entry[f"{name}: {scorer}"] = float(value)
                    for name, picture_ in shown.items():
                        if name != "truth":
                            entry[f"{name}: PSNR"] = float(psnr(picture_, shown["truth"], hull))
                    entries.append(entry)
                    sheet = sheets.setdefault((side, kind), {})
                    sheet.setdefault(person, np.concatenate(list(shown.values())))
    table = []
    for side in arguments.sides:
        for kind in DAMAGE:
            rows = [e for e in entries if e["side"] == side and e["kind"] == kind]
            line: dict = {"side": side, "kind": kind}
            for measure in (*scorers, "PSNR"):
                for name in ("input", "at 512", "at the side"):
                    line[f"{name}: {measure}"] = round(
                        float(np.mean([e[f"{name}: {measure}"] for e in rows])), 4
                    )
                apart = [
                    np.mean(
                        [
                            e[f"at the side: {measure}"] - e[f"at 512: {measure}"]
                            for e in rows
                            if e["person"] == who
                        ]
                    )
                    for who in {e["person"] for e in rows}
                ]
                line[f"difference: {measure}"] = round(float(np.mean(apart)), 4)
                line[f"error: {measure}"] = round(
                    float(np.std(apart, ddof=1) / len(apart) ** 0.5), 4
                )
            table.append(line)
            print(
                side,
                kind,
                *(
                    f"{m}: {line[f'input: {m}']:.3f} {line[f'at 512: {m}']:.3f} "
                    f"{line[f'difference: {m}']:+.4f} ({line[f'error: {m}']:.4f})"
                    for m in (*scorers, "PSNR")
                ),
                sep=" | ",
            )
    pace = {side: round(float(np.median(values)), 4) for side, values in spent.items()}
    (arguments.out / "sides.json").write_text(
        json.dumps({"seconds_a_face": pace, "rows": table}, indent=1) + "\n"
    )
    for (side, kind), sheet in sheets.items():
        picture = np.concatenate(list(sheet.values()), axis=1)
        cv2.imwrite(str(arguments.out / f"sides_{side}_{kind}.png"), picture[..., ::-1])


if __name__ == "__main__":
    main()
