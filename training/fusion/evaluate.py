"""Score the fusion network on people it never saw.

    python training/fusion/evaluate.py CACHE MODELS OUT [--weights models/lite/fusion.safetensors]

Up to six pictures of each held-out person of `data.HELD_OUT` (13 people: photos, clips, and
photos of 175 px) are degraded (moderate: blur 4, shrunk 8 times, noise 12, JPEG 65; severe: to
24 px, noise 6, JPEG 60), restored, and compared with the truth: identity is the cosine by a
recogniser that takes no part in training, PSNR is taken inside the mesh hull. References are the
person's other pictures; in clips only those at least two seconds away. Writes `evaluation.json`,
`evaluation.md` and `faces_*.png` (rows: truth, input, untrained, without references, ours, with
somebody else's references).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from data import CLIP, HELD_OUT, PHOTO, Cache

from refrestore.evaluate.metrics import psnr
from refrestore.evaluate.scorer import IdentityScorer
from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.hull import hull_polygon
from refrestore.faces.landmarker import Landmarker
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.fusion import FusionNetwork, load_fusion
from refrestore.restore.restorer import Restorer
from refrestore.restore.warp import displacement, triangulate, warp
from refrestore.types import Reference

KINDS = ("moderate", "severe")
ROWS = (
    "input",
    "nearest reference, warped and pasted",
    "frequency split of five references, untrained",
    "ours, no references",
    "ours, up to five references",
    "ours, somebody else's references",
)
APART = 2
"""Pictures of a clip are a second (or half) apart; neighbours are not used as references."""


def degrade(image: np.ndarray, kind: str, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    blur, side, noise, quality = (4.0, 64, 12.0, 65) if kind == "moderate" else (0.0, 24, 6.0, 60)
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    small = np.clip(small + random.normal(0, noise, small.shape), 0, 255).astype(np.uint8)
    coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    back = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return cv2.resize(back, (512, 512), interpolation=cv2.INTER_CUBIC)


def bank_of(cache: Cache, rows: np.ndarray) -> ReferenceBank:
    """Build the bank as the scan would, of all these pictures."""
    return ReferenceBank.from_references(
        [
            Reference(
                image=np.array(cache.crops[row]),
                landmarks=cache.landmarks[row],
                embedding=cache.embedding[row],
                pose=np.zeros(3, np.float32),
                sharpness=1.0,
                quality=1.0,
                native_size=float(cache.eyes[row] * 2.2),
                source=str(row),
            )
            for row in rows
        ]
    )


def to_bytes(images: torch.Tensor) -> np.ndarray:
    scaled = images.float().clamp(0, 1).mul(255).round().byte()
    return scaled.permute(0, 2, 3, 1).contiguous().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("models/lite/fusion.safetensors"))
    parser.add_argument("--faces", type=int, default=6, help="pictures of each person")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--float32", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    dtype = torch.float32 if arguments.float32 else torch.bfloat16
    cache = Cache.open(arguments.cache)
    landmarker = Landmarker(arguments.models / "face_landmark_468.onnx", threads=1)
    scorer = IdentityScorer(
        arguments.models / "mobilefacenet_scorer.onnx", "cpu", arguments.threads
    )
    ours = Restorer(load_fusion(arguments.weights), None, "cpu", dtype)
    untrained = Restorer(FusionNetwork(ours.fusion.config), None, "cpu", dtype)

    people = [cache.people.index(name) for name in HELD_OUT if name in cache.people]
    rows_of = {person: np.flatnonzero(cache.person == person) for person in people}
    banks = {person: bank_of(cache, rows) for person, rows in rows_of.items()}
    centroids = np.stack([banks[person].centroid for person in people])
    alike = centroids @ centroids.T - 2 * np.eye(len(people))
    table: dict[str, dict[str, list]] = {kind: {row: [] for row in ROWS} for kind in KINDS}
    seconds, restored = 0.0, 0
    for kind in KINDS:
        sheet = []
        for place, person in enumerate(people):
            rows = rows_of[person]
            picked = np.unique(np.linspace(0, len(rows) - 1, arguments.faces).round().astype(int))
            truth = np.stack([cache.crops[rows[i]] for i in picked])
            faces = np.stack(
                [degrade(t, kind, int(rows[i])) for t, i in zip(truth, picked, strict=True)]
            )
            meshes = landmarker.dense(faces)[0]
            reach = APART if cache.kind[rows[0]] == CLIP else 0
            without = [range(max(0, i - reach), min(len(rows), i + reach + 1)) for i in picked]
            tensor = torch.from_numpy(faces).permute(0, 3, 1, 2)
            own = [banks[person]] * len(faces)
            # The most similar of the other people: the hardest mistake.
            other = [banks[people[int(np.argmax(alike[place]))]]] * len(faces)
            results = {"input": faces}
            split = untrained.restore(tensor, meshes, own, exclude=without)
            results[ROWS[2]] = to_bytes(split.images)
            nearest = [used[0] for used in split.used]
            offsets = displacement(
                triangulate(meshes),
                torch.from_numpy(banks[person].landmarks[nearest])[:, None],
            )[:, 0]
            pasted = warp(banks[person].images[nearest].float(), offsets) / 255
            results[ROWS[1]] = to_bytes(pasted)
            results[ROWS[3]] = to_bytes(ours.restore(tensor, meshes, [None] * len(faces)).images)
            start = time.perf_counter()
            results[ROWS[4]] = to_bytes(ours.restore(tensor, meshes, own, exclude=without).images)
            seconds += time.perf_counter() - start
            restored += len(faces)
            results[ROWS[5]] = to_bytes(ours.restore(tensor, meshes, other).images)
            five = cache.keypoints[rows[picked]]
            matrices = similarity(five, ARCFACE_TEMPLATE)

            def embed(images: np.ndarray, matrices: np.ndarray = matrices) -> np.ndarray:
                return scorer.embed(
                    np.concatenate(
                        [crops(i, m[None], 112) for i, m in zip(images, matrices, strict=True)]
                    )
                )

            wanted = embed(truth)
            hulls = hull_polygon(cache.landmarks[rows[picked]], 512) > 0
            for name in ROWS:
                got = embed(results[name])
                for index in range(len(faces)):
                    table[kind][name].append(
                        {
                            "person": cache.people[person],
                            "kind": int(cache.kind[rows[0]]),
                            "identity": float(got[index] @ wanted[index]),
                            "psnr": float(psnr(results[name][index], truth[index], hulls[index])),
                        }
                    )
            middle = len(faces) // 2
            column = [truth[middle], *(results[ROWS[i]][middle] for i in (0, 2, 3, 4, 5))]
            sheet.append(np.concatenate(column))
        picture = np.concatenate(sheet, axis=1)
        cv2.imwrite(str(arguments.out / f"faces_{kind}.png"), picture[..., ::-1])

    def mean(entries: list, key: str, photos: bool) -> float:
        return float(np.mean([e[key] for e in entries if not photos or e["kind"] == PHOTO]))

    lines = [
        "| | moderate: identity | PSNR | severe: identity | PSNR |",
        "|---|---|---|---|---|",
    ]
    summary: dict[str, dict] = {}
    for photos in (False, True):
        label = "photos of five people" if photos else f"{len(people)} people"
        lines.append(f"| *{label}* | | | | |")
        for name in ROWS:
            cells = []
            for kind in KINDS:
                identity, quality = (
                    mean(table[kind][name], key, photos) for key in ("identity", "psnr")
                )
                summary.setdefault(label, {}).setdefault(name, {})[kind] = {
                    "identity": round(identity, 4),
                    "psnr": round(quality, 2),
                }
                cells += [f"{identity:.3f}", f"{quality:.2f}"]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    pace = seconds / restored
    (arguments.out / "evaluation.md").write_text("\n".join(lines) + "\n")
    (arguments.out / "evaluation.json").write_text(
        json.dumps({"summary": summary, "seconds_per_face": round(pace, 4)}, indent=1) + "\n"
    )
    print("\n".join(lines))
    print(f"{pace * 1000:.0f} ms a face with references, {arguments.threads} threads")


if __name__ == "__main__":
    main()
