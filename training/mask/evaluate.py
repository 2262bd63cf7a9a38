"""How much of what covers a face is left out, and how much of the face with it.

    python -m training.mask.evaluate CACHE [--weights models/lite/mask.safetensors]
        [--landmarks models/lite/landmarks.onnx] [--sheet sheet.png]

Faces of people never trained on; what covers them is made of such people's pictures too. Every
figure is taken twice: with the true mesh hull, and with the one that the pack's own landmarks find
in the degraded and covered picture, as a run has it. Writes `evaluation.json` beside this file.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from refrestore.faces.hull import hull_polygon
from refrestore.faces.landmarker import Landmarker
from refrestore.models.runtime import torch_dtype
from refrestore.restore.mask import MASK_SIZE, SURE, LearntMask, hull_input, load_mask
from training.common.degrade import degrade
from training.common.faces import Bank
from training.mask.data import CANVAS, Samples, onto, shrunk
from training.mask.face import Face
from training.mask.occluders import KINDS, cover

ROOT = Path(__file__).resolve().parents[2]
LEVELS = ("clean", "moderate", "severe")
MAIN = ("free", "hand", "microphone")
LEAST_EYES = 25.0
"""Smaller faces are not clean ones."""

EDGE = 2
"""Pixels of 128: as far from the thing "lost_away" begins to count, inside the given hull."""

PER_PERSON = 2
SEED = 11


def chosen(samples: Samples, count: int) -> np.ndarray:
    """Rows of as many people as possible."""
    random = np.random.default_rng(SEED)
    bank = samples.bank
    rows = random.permutation(samples.rows[bank.eyes[samples.rows] >= LEAST_EYES])
    taken: dict[int, int] = {}
    picked = []
    for row in rows:
        who = int(bank.person[row])
        if taken.get(who, 0) < PER_PERSON:
            taken[who] = taken.get(who, 0) + 1
            picked.append(row)
    # Photos of 96 px are most people; they shall not be most faces.
    lfw = np.array([bank.people[bank.person[row]].startswith("lfw/") for row in picked])
    order = np.concatenate([np.flatnonzero(~lfw), np.flatnonzero(lfw)])
    half = max(count // 2, count - int(lfw.sum()))
    return np.array(picked)[np.concatenate([order[:half], order[::-1][: count - half]])]


def rates(
    probability: np.ndarray, hull: np.ndarray, true: np.ndarray, hidden: np.ndarray
) -> dict[str, float]:
    """Return figures of one picture from four maps (128, 128), 0..1.

    Parameters
    ----------
    probability, hull
        The network's, and the hull it was given.
    true, hidden
        The true hull, and what covers the picture.
    """
    kept = (probability >= 0.5) & (hull >= 0.5)
    face, seen = true >= 0.5, (true >= 0.5) & (hidden < 0.5)
    covered = face & (hidden >= 0.5)
    figures = {
        "iou": float((kept & seen).sum() / max((kept | seen).sum(), 1)),
        "hull_iou": float(((hull >= 0.5) & seen).sum() / max(((hull >= 0.5) | seen).sum(), 1)),
        "lost": float((seen & ~kept).sum() / max(seen.sum(), 1)),
        "unsure": float(((probability > SURE[0]) & (probability < SURE[1]) & face).sum())
        / float(face.sum()),
    }
    # A cell of the edge is as often one as the other; what is further away is a real loss.
    thing = cv2.dilate((hidden >= 0.5).astype(np.uint8), np.ones((2 * EDGE + 1, 2 * EDGE + 1)))
    away = seen & (thing == 0) & (hull >= 0.5)
    figures["lost_away"] = float((away & ~kept).sum() / max(away.sum(), 1))
    if covered.sum() >= 20:
        figures["left_out"] = float((covered & ~kept).sum() / covered.sum())
    return figures


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        name: round(float(np.mean([row[name] for row in rows if name in row])), 4) for name in names
    }


def found_mesh(landmarks: Landmarker, image: np.ndarray) -> np.ndarray:
    """Return the mesh (468, 2) in a picture."""
    return landmarks.dense(image[None])[0][0]


def figures(
    mask: LearntMask, landmarks: Landmarker, bank: Bank, count: int = 160
) -> tuple[dict, list[np.ndarray]]:
    """Return figures by hull, cover and level, and pictures for a sheet."""
    samples = Samples(bank, SEED, validation=True)
    table: dict[str, dict] = {"true hull": {}, "found hull": {}}
    shown = []
    for kind in (*MAIN, *(name for name in KINDS if name not in MAIN)):
        rows = chosen(samples, count if kind in MAIN else count // 2)
        for level in LEVELS if kind in MAIN else LEVELS[1:2]:
            samples.random = np.random.default_rng([SEED, *map(ord, kind + level)])
            results: dict[str, list] = {name: [] for name in table}
            for number, row in enumerate(rows):
                face, hidden = samples.face(int(row)), np.zeros((CANVAS, CANVAS), np.float32)
                if kind != "free":
                    image, hidden = cover(face, kind, samples.textures, samples.random)
                    face = Face(image, face.mesh)
                image = degrade(face.image, level, samples.random)
                hull = hull_polygon(face.mesh[None], CANVAS)[0]
                maps = np.dstack([hull, hidden * 255]).astype(np.uint8)
                picture = torch.from_numpy(shrunk(image)).permute(2, 0, 1)[None].float() / 255
                for name, mesh in (
                    ("true hull", face.mesh),
                    ("found hull", found_mesh(landmarks, image)),
                ):
                    points, small = onto(mesh, shrunk(maps))
                    true, covered = small / 255
                    given = hull_polygon(points[None].astype(np.float32), MASK_SIZE)[0] / 255
                    with torch.inference_mode():
                        tensor = torch.from_numpy(points[None].astype(np.float32))
                        seen = mask.probability(picture, hull_input(tensor, MASK_SIZE))
                    seen = seen[0, 0].numpy()
                    results[name].append(rates(seen, given, true, covered))
                    if number < 8 and name == "found hull":
                        shown.append(tile(shrunk(image), seen, given))
            for name, values in results.items():
                table[name].setdefault(kind, {})[level] = means(values)
    return table, shown


def tile(image: np.ndarray, seen: np.ndarray, hull: np.ndarray) -> np.ndarray:
    """Return the picture over itself, green where it is pasted, red in the rest of the hull."""
    low, high = SURE
    paste = np.clip((seen - low) / (high - low), 0, 1) * hull
    tint = np.dstack([(hull - paste) * 255, paste * 255, np.zeros_like(paste)])
    weight = 0.45 * (hull > 0)[..., None]
    return np.vstack([image, image * (1 - weight) + tint * weight]).astype(np.uint8)


def milliseconds(mask: LearntMask) -> float:
    """Return the CPU time of one 512-px face, median of 30, one thread."""
    face, mesh = torch.rand(1, 3, 512, 512), np.random.default_rng(0).uniform(120, 390, (1, 468, 2))
    times = []
    with torch.inference_mode():
        for _ in range(33):
            start = time.process_time()
            mask.visible(face, mesh.astype(np.float32))
            times.append(time.process_time() - start)
    return round(float(np.median(times[3:])) * 1000, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--weights", type=Path, default=ROOT / "models/lite/mask.safetensors")
    parser.add_argument("--landmarks", type=Path, default=ROOT / "models/lite/landmarks.onnx")
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("evaluation.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    dtype = torch_dtype(torch.device("cpu"))
    mask = load_mask(arguments.weights, dtype=dtype)
    landmarks = Landmarker(arguments.landmarks, threads=1)
    table, shown = figures(mask, landmarks, Bank.open(arguments.cache), arguments.count)
    result = {
        "seed": SEED,
        "faces": arguments.count,
        "precision": str(dtype).removeprefix("torch."),
        "megabytes": round(arguments.weights.stat().st_size / 1e6, 3),
        "milliseconds": milliseconds(mask),
        **table,
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    for name, kinds in table.items():
        print(f"{name:24} {'IoU':>6} {'hull':>6} {'out':>9} {'lost':>6} {'away':>6} {'unsure':>7}")
        for kind, levels in kinds.items():
            for level, row in levels.items():
                out = row.get("left_out", float("nan"))
                print(
                    f"  {kind:12}{level:10}{row['iou']:6.3f} {row['hull_iou']:6.3f}"
                    f" {out:9.3f} {row['lost']:6.3f} {row['lost_away']:6.3f} {row['unsure']:7.3f}"
                )
    print(f"{result['milliseconds']} ms a face, {result['megabytes']} MB")
    if arguments.sheet:
        lines = [np.hstack(shown[start : start + 8]) for start in range(0, len(shown), 8)]
        pairs = [np.hstack(lines[start : start + 2]) for start in range(0, len(lines) - 1, 2)]
        cv2.imwrite(str(arguments.sheet), np.vstack(pairs)[..., ::-1])


if __name__ == "__main__":
    main()
