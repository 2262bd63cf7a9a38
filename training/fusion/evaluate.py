"""Score the fusion network on people it never saw.

    python -m training.fusion.evaluate CACHE MODELS OUT [--weights models/lite/fusion.safetensors]

CACHE is what prepare.py wrote. Up to six pictures of each validation person (13: photos, clips,
and photos of 175 px) are degraded (moderate: blur 4, shrunk 8 times, noise 12, JPEG 65; severe: to
24 px, noise 6, JPEG 60), restored at 512 px, and compared with the truth: identity is the cosine
by a recogniser that takes no part in training, PSNR is taken inside the mesh hull. The mesh is
found on the degraded crop. References are the person's other pictures; in clips only those at
least two seconds away. Writes `evaluation.json`, `evaluation.md` and `faces_*.png` (rows: truth,
input, untrained, without references, ours, with somebody else's references).

`--development` scores the six people that choices are made by instead, and by the recogniser of
the loss: nothing may be chosen by the one that measures.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from refrestore.evaluate.metrics import psnr
from refrestore.evaluate.scorer import IdentityScorer
from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.hull import hull_polygon
from refrestore.faces.landmarker import Landmarker
from refrestore.faces.recogniser import Recogniser
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.fusion import load_fusion
from refrestore.restore.restorer import Restorer
from refrestore.restore.warp import displacement, warp
from refrestore.types import Reference
from training.fusion.data import DEVELOPMENT
from training.fusion.prepare import KINDS, VALIDATION

DEGRADATIONS = ("moderate", "severe")
INPUT = "input"
PASTED = "nearest reference, warped and pasted"
SPLIT = "frequency split of five references, untrained"
PLAIN = "ours, no references"
RIGHT = "ours, up to five references"
WRONG = "ours, somebody else's references"
ROWS = (INPUT, PASTED, SPLIT, PLAIN, RIGHT, WRONG)
SHOWN = (INPUT, SPLIT, PLAIN, RIGHT, WRONG)
SPLIT_SIGMA = {"moderate": 12.0, "severe": 18.0}
"""Of the prototype's split (6 and 9 px at 256)."""

APART = 2
"""Pictures of a clip are a second (or half) apart; neighbours are not used as references."""

Embed = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Cache:
    """What prepare.py wrote."""

    crops: np.ndarray
    person: np.ndarray
    kind: np.ndarray
    eyes: np.ndarray
    landmarks: np.ndarray
    keypoints: np.ndarray
    embedding: np.ndarray
    people: list[str]

    @classmethod
    def open(cls, folder: Path) -> Cache:
        table = np.load(folder / "faces.npz")
        columns = {name: table[name] for name in table.files}
        columns["people"] = [str(name) for name in columns["people"]]
        return cls(crops=np.load(folder / "crops.npy", mmap_mode="r"), **columns)

    def bank(self, rows: np.ndarray, landmarker: Landmarker) -> ReferenceBank:
        """Build the bank as the scan would, of all these pictures."""
        meshes = dict(zip(rows, landmarker.dense(np.array(self.crops[rows]))[0], strict=True))
        return ReferenceBank.from_references(
            [
                Reference(
                    image=np.array(self.crops[row]),
                    landmarks=meshes[row],
                    embedding=self.embedding[row],
                    pose=np.zeros(3, np.float32),
                    sharpness=1.0,
                    quality=1.0,
                    native_size=float(self.eyes[row] * 2.2),
                    source=str(row),
                )
                for row in rows
            ]
        )


def spoilt(image: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """Degrade a 512-px crop as the issue of record asks for: moderate or severe."""
    random = np.random.default_rng(seed)
    blur, side, noise, quality = (4.0, 64, 12.0, 65) if kind == "moderate" else (0.0, 24, 6.0, 60)
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    small = np.clip(small + random.normal(0, noise, small.shape), 0, 255).astype(np.uint8)
    coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    back = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return cv2.resize(back, (512, 512), interpolation=cv2.INTER_CUBIC)


def to_bytes(images: torch.Tensor) -> np.ndarray:
    scaled = images.float().clamp(0, 1).mul(255).round().byte()
    return scaled.permute(0, 2, 3, 1).contiguous().numpy()


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in images.astype("f4")])


class Rows:
    """Makes all rows of the table for the faces of one person."""

    def __init__(self, weights: Path, mesh: Path, dtype: torch.dtype) -> None:
        self.landmarker = Landmarker(mesh, threads=1)
        self.ours = Restorer(load_fusion(weights), None, "cpu", dtype)
        self.seconds, self.faces = 0.0, 0

    def __call__(
        self,
        faces: np.ndarray,
        kind: str,
        bank: ReferenceBank,
        other: ReferenceBank,
        without: list[range],
    ) -> dict[str, np.ndarray]:
        meshes = self.landmarker.dense(faces)[0]
        tensor = torch.from_numpy(faces).permute(0, 3, 1, 2)
        own = [bank] * len(faces)
        start = time.perf_counter()
        right = self.ours.restore(tensor, meshes, own, exclude=without)
        self.seconds += time.perf_counter() - start
        self.faces += len(faces)
        warped = []
        for used, mesh in zip(right.used, meshes, strict=True):
            points = torch.from_numpy(bank.landmarks[used])[None]
            offsets = displacement(torch.from_numpy(mesh)[None], points, 512)[0]
            warped.append(warp(bank.images[used].float(), offsets).permute(0, 2, 3, 1).numpy())
        sigma = SPLIT_SIGMA[kind]
        mean = np.stack([pictures.mean(0) for pictures in warped])
        split = blurred(faces, sigma) + mean - blurred(mean, sigma)
        return {
            INPUT: faces,
            PASTED: np.stack([np.rint(pictures[0]) for pictures in warped]).astype(np.uint8),
            SPLIT: np.clip(np.rint(split), 0, 255).astype(np.uint8),
            PLAIN: to_bytes(self.ours.restore(tensor, meshes, [None] * len(faces)).images),
            RIGHT: to_bytes(right.images),
            WRONG: to_bytes(self.ours.restore(tensor, meshes, [other] * len(faces)).images),
        }


def scored(
    cache: Cache, names: tuple[str, ...], rows: Rows, embed: Embed, count: int
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Return one entry a picture and row, and a sheet of faces per degradation."""
    people = [cache.people.index(name) for name in names if name in cache.people]
    rows_of = {person: np.flatnonzero(cache.person == person) for person in people}
    banks = {person: cache.bank(own, rows.landmarker) for person, own in rows_of.items()}
    centroids = np.stack([banks[person].centroid for person in people])
    alike = centroids @ centroids.T - 2 * np.eye(len(people))
    entries, sheets = [], {}
    for kind in DEGRADATIONS:
        sheet = []
        for place, person in enumerate(people):
            own = rows_of[person]
            picked = np.unique(np.linspace(0, len(own) - 1, count).round().astype(int))
            truth = np.stack([cache.crops[own[i]] for i in picked])
            faces = np.stack(
                [spoilt(t, kind, int(own[i])) for t, i in zip(truth, picked, strict=True)]
            )
            reach = APART if KINDS[cache.kind[own[0]]] == "clip" else 0
            without = [range(max(0, i - reach), min(len(own), i + reach + 1)) for i in picked]
            # The most similar of the other people: the hardest mistake.
            other = banks[people[int(np.argmax(alike[place]))]]
            results = rows(faces, kind, banks[person], other, without)
            matrices = similarity(cache.keypoints[own[picked]], ARCFACE_TEMPLATE)

            def seen(images: np.ndarray, matrices: np.ndarray = matrices) -> np.ndarray:
                pairs = zip(images, matrices, strict=True)
                return embed(np.concatenate([crops(i, m[None], 112) for i, m in pairs]))

            wanted = seen(truth)
            hulls = hull_polygon(cache.landmarks[own[picked]], 512) > 0
            for name, images in results.items():
                likeness = (seen(images) * wanted).sum(1)
                for index, image in enumerate(images):
                    entries.append(
                        {
                            "row": name,
                            "degradation": kind,
                            "person": cache.people[person],
                            "kind": KINDS[cache.kind[own[0]]],
                            "identity": float(likeness[index]),
                            "psnr": float(psnr(image, truth[index], hulls[index])),
                        }
                    )
            middle = len(faces) // 2
            sheet.append(
                np.concatenate([truth[middle], *(results[name][middle] for name in SHOWN)])
            )
        sheets[kind] = np.concatenate(sheet, axis=1)
    return entries, sheets


def figures(
    cache_folder: Path,
    models: Path,
    *,
    weights: Path = Path("models/lite/fusion.safetensors"),
    mesh: Path = Path("models/lite/landmarks.onnx"),
    development: bool = False,
    count: int = 6,
    out: Path | None = None,
    dtype: torch.dtype = torch.bfloat16,
) -> dict:
    """Return means over pictures: row -> degradation -> identity and psnr, and the pace."""
    cache = Cache.open(cache_folder)
    if development:
        embed: Embed = Recogniser(models / "edgeface_xs.fp32.onnx", threads=1).embed
    else:
        embed = IdentityScorer(models / "mobilefacenet_scorer.onnx", "cpu", 1).embed
    rows = Rows(weights, mesh, dtype)
    names = DEVELOPMENT if development else VALIDATION
    entries, sheets = scored(cache, names, rows, embed, count)
    if out is not None:
        for kind, picture in sheets.items():
            cv2.imwrite(str(out / f"faces_{kind}.png"), picture[..., ::-1])

    def mean(row: str, kind: str, key: str) -> float:
        values = [e[key] for e in entries if e["row"] == row and e["degradation"] == kind]
        return round(float(np.mean(values)), 4)

    table = {
        row: {
            kind: {key: mean(row, kind, key) for key in ("identity", "psnr")}
            for kind in DEGRADATIONS
        }
        for row in ROWS
    }
    return {
        "people": len({e["person"] for e in entries}),
        "pictures": len(entries) // len(ROWS) // len(DEGRADATIONS),
        "scorer": "EdgeFace-XS" if development else "MobileFaceNet",
        "rows": table,
        "seconds_per_face": round(rows.seconds / rows.faces, 4),
    }


def markdown(result: dict) -> str:
    lines = [
        "| | moderate: identity | PSNR | severe (24 px): identity | PSNR |",
        "|---|---|---|---|---|",
    ]
    for row, kinds in result["rows"].items():
        cells = [f"{kinds[k]['identity']:.3f} | {kinds[k]['psnr']:.2f}" for k in DEGRADATIONS]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("models/lite/fusion.safetensors"))
    parser.add_argument("--mesh", type=Path, default=Path("models/lite/landmarks.onnx"))
    parser.add_argument("--faces", type=int, default=6, help="pictures of each person")
    parser.add_argument("--development", action="store_true")
    parser.add_argument("--float32", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    result = figures(
        arguments.cache,
        arguments.models,
        weights=arguments.weights,
        mesh=arguments.mesh,
        development=arguments.development,
        count=arguments.faces,
        out=arguments.out,
        dtype=torch.float32 if arguments.float32 else torch.bfloat16,
    )
    (arguments.out / "evaluation.md").write_text(markdown(result))
    path = arguments.out / "evaluation.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**kept, **result}, indent=1) + "\n")
    print(markdown(result))
    print(f"{result['seconds_per_face'] * 1000:.0f} ms a face with references, one thread")


if __name__ == "__main__":
    main()
