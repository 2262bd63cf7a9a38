"""Score the stand-in generator on people it never saw, alone and behind the fusion.

    python -m training.gfpgan.evaluate CACHE MODELS OUT [--weights FILE] [--development]

CACHE is what `training.fusion.prepare` wrote; people, pictures, degradations, references, mesh and
scorer are those of `training.fusion.evaluate`. Behind the fusion its picture is combined as
`restorer.combine` does: the fused face where references agree, the generator's elsewhere, the
lowest frequencies always the input's. Alone it takes the degraded crop and nothing is confident.
The generator works at its own size; crops are halved before it and doubled behind it.

Identity is the cosine to the truth, PSNR and the distance of SqueezeNet's features (not LPIPS) are
taken inside the mesh hull. Writes `evaluation.json`, `evaluation.md` and `faces_*.png` (truth and
the rows; not to be committed). `--development` scores the people that choices are made by, with
the recogniser of the loss.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from refrestore.evaluate.metrics import psnr
from refrestore.evaluate.perceptual import squeezenet_distance
from refrestore.evaluate.scorer import IdentityScorer
from refrestore.faces.align import ARCFACE_TEMPLATE, crops, similarity
from refrestore.faces.hull import hull_polygon
from refrestore.faces.landmarker import Landmarker
from refrestore.faces.recogniser import Recogniser
from refrestore.restore.fusion import load_fusion
from refrestore.restore.restorer import Restorer
from refrestore.restore.second.combined import combine
from refrestore.restore.second.gfpgan import GFPGAN
from training.fusion.data import DEVELOPMENT
from training.fusion.evaluate import APART, DEGRADATIONS, Cache, spoilt, to_bytes
from training.fusion.prepare import KINDS, VALIDATION

INPUT = "input"
ALONE = "stand-in alone"
PLAIN = "fusion, no references"
PLAIN_BOTH = "fusion, no references, then stand-in"
RIGHT = "fusion, up to five references"
RIGHT_BOTH = "fusion, up to five references, then stand-in"
ROWS = (INPUT, ALONE, PLAIN, PLAIN_BOTH, RIGHT, RIGHT_BOTH)
KEYS = ("identity", "psnr", "distance")

Embed = Callable[[np.ndarray], np.ndarray]


class Rows:
    """Makes all rows of the table."""

    def __init__(self, weights: Path) -> None:
        self.network = GFPGAN.from_file(weights, dtype=torch.bfloat16)
        self.seconds, self.faces = 0.0, 0

    @torch.inference_mode()
    def generated(self, faces: torch.Tensor) -> torch.Tensor:
        """Return what the generator makes of faces (B, 3, 512, 512), 0..1."""
        side = self.network.descriptor.side
        start = time.perf_counter()
        small = F.interpolate(faces, (side, side), mode="area")
        made = [self.network((face[None] * 2 - 1).to(torch.bfloat16)) for face in small]
        self.seconds += time.perf_counter() - start
        self.faces += len(faces)
        large = F.interpolate(torch.cat(made).float(), faces.shape[-2:], mode="bicubic")
        return (large / 2 + 0.5).clamp(0, 1)

    def __call__(
        self, faces: np.ndarray, fused: dict[str, tuple[torch.Tensor, torch.Tensor]]
    ) -> dict[str, np.ndarray]:
        given = planes(faces)
        none = torch.zeros((len(faces), 1, *given.shape[-2:]))
        rows = {INPUT: given, ALONE: combine(given, self.generated(given), none)}
        for name, both in ((PLAIN, PLAIN_BOTH), (RIGHT, RIGHT_BOTH)):
            rows[name], trust = fused[name]
            rows[both] = combine(rows[name], self.generated(rows[name]), trust)
        return {name: to_bytes(images) for name, images in rows.items()}


class Fuse:
    """The first stage of degraded faces, kept in a folder if one is named."""

    def __init__(self, weights: Path, mesh: Path, keep: Path | None) -> None:
        self.landmarker = Landmarker(mesh, threads=1)
        self.restorer = Restorer(load_fusion(weights), None, "cpu", torch.bfloat16)
        self.keep = keep

    def __call__(
        self, cache: Cache, own: np.ndarray, faces: np.ndarray, without: list[range], name: str
    ) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Return images (B, 3, S, S) and confidence (B, 1, S, S), without and with references."""
        path = None if self.keep is None else self.keep / f"{name}.npz"
        if path is None or not path.exists():
            meshes = self.landmarker.dense(faces)[0]
            bank = cache.bank(own, self.landmarker)
            parts = [
                self.restorer.restore(planes(faces), meshes, [who] * len(faces), exclude=without)
                for who in (None, bank)
            ]
            # Rounded the same way whether kept or not.
            arrays = {
                f"{part}{index}": value.numpy().astype(np.float16)
                for index, fused in enumerate(parts)
                for part, value in (("images", fused.images), ("trust", fused.confidence[:, None]))
            }
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, **arrays)
        else:
            with np.load(path) as kept:
                arrays = dict(kept)
        values = {key: torch.from_numpy(array).float() for key, array in arrays.items()}
        return {
            row: (values[f"images{index}"], values[f"trust{index}"])
            for index, row in enumerate((PLAIN, RIGHT))
        }


def planes(faces: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255


def scored(
    cache: Cache, names: tuple[str, ...], fuse: Fuse, rows: Rows, judge: Judge, count: int
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Return one entry a picture and row, and a sheet of faces per degradation."""
    entries, sheets = [], {}
    for kind in DEGRADATIONS:
        sheet = []
        for name in names:
            own = np.flatnonzero(cache.person == cache.people.index(name))
            picked = np.unique(np.linspace(0, len(own) - 1, count).round().astype(int))
            truth = np.stack([cache.crops[own[i]] for i in picked])
            faces = np.stack(
                [spoilt(t, kind, int(own[i])) for t, i in zip(truth, picked, strict=True)]
            )
            reach = APART if KINDS[cache.kind[own[0]]] == "clip" else 0
            without = [range(max(0, i - reach), min(len(own), i + reach + 1)) for i in picked]
            fused = fuse(cache, own, faces, without, f"{name}_{kind}_{count}")
            results = rows(faces, fused)
            entries += [
                {**entry, "degradation": kind, "person": name}
                for entry in judge(results, truth, cache, own[picked])
            ]
            middle = len(faces) // 2
            sheet.append(np.concatenate([truth[middle], *(results[row][middle] for row in ROWS)]))
        sheets[kind] = np.concatenate(sheet, axis=1)
    return entries, sheets


class Judge:
    """Compares pictures with the truth."""

    def __init__(self, models: Path, *, development: bool) -> None:
        self.far = squeezenet_distance(models / "squeezenet1_1_caffe.pth")
        if development:
            self.embed: Embed = Recogniser(models / "edgeface_xs.fp32.onnx", threads=1).embed
        else:
            self.embed = IdentityScorer(models / "mobilefacenet_scorer.onnx", "cpu", 1).embed

    def __call__(
        self, results: dict[str, np.ndarray], truth: np.ndarray, cache: Cache, at: np.ndarray
    ) -> Iterator[dict]:
        """Yield the figures of each row's pictures (B, S, S, 3); `at` are their cache rows."""
        matrices = similarity(cache.keypoints[at], ARCFACE_TEMPLATE)
        hulls = (hull_polygon(cache.landmarks[at], 512) > 0).astype(np.float32)
        goals = [self.far.features(image) for image in truth]

        def seen(images: np.ndarray) -> np.ndarray:
            pairs = zip(images, matrices, strict=True)
            return self.embed(np.concatenate([crops(i, m[None], 112) for i, m in pairs]))

        wanted = seen(truth)
        for row, images in results.items():
            likeness = (seen(images) * wanted).sum(1)
            for i, image in enumerate(images):
                yield {
                    "row": row,
                    "identity": float(likeness[i]),
                    "psnr": float(psnr(image, truth[i], hulls[i])),
                    "distance": self.far.between(self.far.features(image), goals[i], hulls[i]),
                }


def table(entries: list[dict]) -> dict:
    def mean(row: str, kind: str, key: str) -> float:
        values = [e[key] for e in entries if e["row"] == row and e["degradation"] == kind]
        return round(float(np.mean(values)), 4)

    return {
        row: {kind: {key: mean(row, kind, key) for key in KEYS} for kind in DEGRADATIONS}
        for row in ROWS
    }


def markdown(rows: dict) -> str:
    lines = [
        "| | moderate: identity | PSNR | SqueezeNet | severe: identity | PSNR | SqueezeNet |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, kinds in rows.items():
        cells = [
            f"{kinds[k]['identity']:.3f} | {kinds[k]['psnr']:.2f} | {kinds[k]['distance']:.4f}"
            for k in DEGRADATIONS
        ]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, default=Path("models/lite/gfpgan.safetensors"))
    parser.add_argument("--fusion", type=Path, default=Path("models/lite/fusion.safetensors"))
    parser.add_argument("--mesh", type=Path, default=Path("models/lite/landmarks.onnx"))
    parser.add_argument("--faces", type=int, default=6, help="pictures of each person")
    parser.add_argument("--keep", type=Path, help="folder for the fused faces, for a next time")
    parser.add_argument("--development", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows = Rows(arguments.weights)
    fuse = Fuse(arguments.fusion, arguments.mesh, arguments.keep)
    judge = Judge(arguments.models, development=arguments.development)
    names = DEVELOPMENT if arguments.development else VALIDATION
    cache = Cache.open(arguments.cache)
    names = tuple(name for name in names if name in cache.people)
    entries, sheets = scored(cache, names, fuse, rows, judge, arguments.faces)
    for kind, picture in sheets.items():
        cv2.imwrite(str(arguments.out / f"faces_{kind}.png"), picture[..., ::-1])
    result = {
        "people": len(names),
        "pictures": len(entries) // len(ROWS) // len(DEGRADATIONS),
        "scorer": "EdgeFace-XS" if arguments.development else "MobileFaceNet",
        "bytes": arguments.weights.stat().st_size,
        "rows": table(entries),
        "seconds_per_face": round(rows.seconds / rows.faces, 4),
    }
    (arguments.out / "evaluation.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "evaluation.md").write_text(markdown(result["rows"]))
    print(markdown(result["rows"]))
    print(f"{result['seconds_per_face'] * 1000:.0f} ms a face, one thread")


if __name__ == "__main__":
    main()
