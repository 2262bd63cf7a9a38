"""Which faces gain from being restored? What a face resolves, beside what its references resolve.

    python benchmarks/need.py DATA MODELS [--json out.json] [--people N]

DATA holds `faces512/people` and `identities` (albums, a folder a person), MODELS the two networks
that score: the independent recogniser, and EdgeFace as a second one. Two tables are made:

* *calibration*: `faces.quality.sharpness` of faces that were shrunk by known factors and enlarged
  again, and of blurred ones, whose factor is that which loses as much;
* *benefit*: faces of known resolution restored from references of known resolution and without any,
  held against the truth as an output of 220 px shows it, less what the input has. The same with
  close-ups from another moment of the same clip, as they are.

People are split in two by their place in the list: what is chosen is chosen by the first half.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import takewhile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from refrestore.config import RuntimeSettings
from refrestore.evaluate.degrade import Degradation, degrade
from refrestore.evaluate.metrics import psnr
from refrestore.evaluate.perceptual import SQUEEZENET_FILE, squeezenet_distance
from refrestore.evaluate.scorer import SCORER_FILE, IdentityScorer
from refrestore.faces.pose import mesh_keypoints
from refrestore.faces.quality import resolved_size, sharpness
from refrestore.faces.recogniser import Recogniser
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.render.crops import arcface_crops, from_uint8
from refrestore.render.people import resolved_by
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.hull_mask import hull_mask
from refrestore.scan.photos import faces_of_pictures
from refrestore.types import FloatArray, ImageArray, Reference

UNSEEN = (
    *("dmdnet_00022", "dmdnet_00119", "dmdnet_00146", "dmdnet_00086"),
    *("sport_roger_federer", "sport_serena_williams", "sport_virat_kohli"),
)
ALBUMS = (
    *("avengers", "bolly6", "bollyf", "cs412", "duenf", "football5", "got"),
    *("jurassic", "malayalam", "shroud2", "singer"),
)
"""People of `faces512/people`, and families of folders in `identities`, never trained on."""

PHOTOS = 12
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
CROP, FACE = 512, 330.0
"""Side of an aligned crop, and size of the face in it (`Faces.size`): mean of these people's."""

SHARP, LEAST = 0.9, 190.0
"""Sharpness and size of photos that count as sharp, so that what they are shrunk to is known."""

SIZES = (50, 64, 110)
FACTORS = (1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0)
BLURS = (0.4, 0.6, 0.8, 1.0, 1.4, 2.0, 3.0)

OWN = (24, 36, 54, 80)
RATIOS = (1.0, 1.3, 1.7, 2.2, 3.0, 5.0)
"""What a face resolves, pixels; how many times more its references do (`LEAST` at most)."""

OUTPUT = 220
"""Size at which a face is shown."""

CLIPS = (
    "LivePortrait__assets_examples_source_s20",
    "LivePortrait__assets_examples_driving_d12",
    "LivePortrait__assets_examples_driving_d18",
    "MegaPortrait-hack__junk_M2Ohb0FAaJU_1",
)
CLIP_OWN, CLIP_EVERY, CLIP_FRAMES = (28, 40, 56, 80, 110), 12, 400
"""Clips never trained on, and of which frames close-ups are taken."""

FILMED = Degradation(noise=2.0, quality=80)
"""What happens to a face at its own size."""


Row = dict[str, Any]


def albums(data: Path, toolbox: Toolbox) -> dict[str, tuple[Reference, ...]]:
    """Return the close-ups of everybody who was never trained on."""
    folders = [data / "faces512/people" / name for name in UNSEEN]
    every = sorted((data / "identities").iterdir())
    folders += [folder for folder in every if folder.name.split("_")[0] in ALBUMS]
    found = {}
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
        found[folder.name] = faces_of_pictures(files[:PHOTOS], toolbox.models).references
    return found


def shrunk(image: ImageArray, side: int) -> ImageArray:
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def enlarged(image: ImageArray, side: int) -> ImageArray:
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def limited(image: ImageArray, size: float, chain: Degradation | None = None) -> ImageArray:
    """Return a crop whose face has as many pixels as a face of a size, enlarged again."""
    small = shrunk(image, round(image.shape[0] * size / FACE))
    if chain is not None:
        small = degrade(small, chain, np.random.default_rng(0))
    return enlarged(small, image.shape[0])


def calibration(people: Mapping[str, Sequence[Reference]]) -> dict[str, object]:
    """Return mean and spread of the sharpness of faces that resolve known shares of their size."""
    found: dict[str, list[float]] = defaultdict(list)
    guessed: dict[float, list[float]] = defaultdict(list)
    for references in people.values():
        good = [r for r in references if r.sharpness > SHARP and r.native_size > LEAST][:4]
        for reference, size in ((r, s) for r in good for s in SIZES):
            side = round(CROP * size / FACE)
            base = shrunk(reference.image, side)
            mesh = ((reference.landmarks + 0.5) * side / CROP - 0.5)[None].astype(np.float32)
            inside = hull_mask(torch.from_numpy(mesh), side)[0].numpy() > 0
            pictures = {z: enlarged(shrunk(base, round(side / z)), side) for z in FACTORS}
            lost = {z: error(picture, base, inside) for z, picture in pictures.items()}
            for z, picture in pictures.items():
                value = float(sharpness(picture, mesh)[0])
                found[f"shrunk {z}"].append(value)
                guessed[z].append(float(resolved_size(np.float32(1), np.float32(value))))
            for sigma in BLURS:
                picture = np.asarray(cv2.GaussianBlur(base, (0, 0), sigma), np.uint8)
                z = float(np.interp(error(picture, base, inside), list(lost.values()), FACTORS))
                found[f"blurred {sigma}"].append(float(sharpness(picture, mesh)[0]))
                found[f"blurred {sigma} is shrunk"].append(z)
    return {
        **{name: [rounded(np.mean(one)), rounded(np.std(one))] for name, one in found.items()},
        "resolved share": {
            str(z): [rounded(q) for q in np.quantile(one, (0.1, 0.5, 0.9))]
            for z, one in guessed.items()
        },
    }


def error(image: ImageArray, truth: ImageArray, inside: np.ndarray) -> float:
    return float(np.sqrt(np.square(image.astype(float) - truth)[inside].mean()))


def rounded(value: float | np.floating) -> float:
    return round(float(value), 4)


class Scores:
    """What a picture of a face is worth beside the true one."""

    def __init__(self, models: Path) -> None:
        self.mobile = IdentityScorer(models / SCORER_FILE, "cpu", 1)
        self.edge = Recogniser(models / "edgeface_xs.fp32.onnx", "cpu", 1)
        self.perceptual = squeezenet_distance(models / SQUEEZENET_FILE)

    def of(self, images: ImageArray, truth: ImageArray, mesh: FloatArray) -> list[dict[str, float]]:
        """Score (N, S, S, 3) pictures against one (S, S, 3)."""
        every = np.concatenate([truth[None], images])
        cut = arcface_crops(from_uint8(every), np.repeat(mesh, len(every), 0)).numpy()
        mobile, edge = (embed(cut) for embed in (self.mobile.embed, self.edge.embed))
        mask = hull_mask(torch.from_numpy(mesh), truth.shape[0])[0].numpy()
        return [
            {
                "mobile": float(mobile[row] @ mobile[0]),
                "edge": float(edge[row] @ edge[0]),
                "psnr": min(psnr(every[row], truth, mask), 60.0),
                "squeeze": self.perceptual(every[row], truth, mask),
            }
            for row in range(1, len(every))
        ]


def restored(
    toolbox: Toolbox, image: ImageArray, mesh: FloatArray, bank: ReferenceBank | None
) -> ImageArray:
    """Restore a crop as the render does and lay it on the crop where the mask is."""
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    made = toolbox.restorer.restore(tensor, mesh, [bank])
    mask = made.masks[0, ..., None].numpy()
    face = made.images[0].permute(1, 2, 0).numpy() * 255
    return np.clip(np.rint(mask * face + (1 - mask) * image), 0, 255).astype(np.uint8)


def benefit(
    people: Mapping[str, Sequence[Reference]], toolbox: Toolbox, scores: Scores
) -> Iterator[Row]:
    """Yield what photos of other days change of a face, a row a person and pair of resolutions."""
    for name, references in people.items():
        good = [r for r in references if r.sharpness > SHARP and r.native_size > LEAST]
        if len(good) < 3 or len(references) < 6:
            continue
        others = sorted((r for r in references if r is not good[0]), key=lambda r: -r.sharpness)
        for own in OWN:
            sizes = [round(own * ratio) for ratio in RATIOS if own * ratio <= LEAST]
            banks = {
                size: ReferenceBank.from_references(
                    [replace(r, image=limited(r.image, size), native_size=size) for r in others[:8]]
                )
                for size in sizes
            }
            yield from gained(name, good[0], own, banks, toolbox, scores)


def benefit_in_clips(clips: Path, toolbox: Toolbox, scores: Scores) -> Iterator[Row]:
    """Yield what close-ups from another moment of the same clip change, as they are."""
    for name in CLIPS:
        with VideoReader(clips / f"{name}.mp4") as reader:
            frames = [
                (frame.time, display_rgb(frame))
                for frame in takewhile(lambda frame: frame.index <= CLIP_FRAMES, reader)
                if frame.index % CLIP_EVERY == 0
            ]
        found = [
            (time, reference)
            for time, picture in frames
            for reference in faces_of_pictures([picture], toolbox.models).references
        ]
        for row in np.linspace(0, len(found) - 1, 4 if len(found) > 8 else 2).astype(int):
            time, target = found[row]
            away = [r for other, r in found if abs(other - time) >= 1.5]
            if len(away) < 3:
                continue
            best = sorted(away, key=lambda r: -r.native_size * r.sharpness)[:8]
            bank = {round(resolved_by(best)): ReferenceBank.from_references(best)}
            for own in CLIP_OWN:
                yield from gained(name, target, own, bank, toolbox, scores)


def gained(
    name: str,
    target: Reference,
    own: int,
    banks: Mapping[int, ReferenceBank],
    toolbox: Toolbox,
    scores: Scores,
) -> Iterator[Row]:
    """Yield a face's scores, filmed at a size, and those of it restored without and from banks."""
    truth = shrunk(target.image, round(CROP * OUTPUT / FACE))
    true = (target.landmarks[None] + 0.5) * len(truth) / CROP - 0.5
    given = limited(target.image, own, FILMED)
    mesh = seen_mesh(given, target, toolbox)
    made = [restored(toolbox, given, mesh, bank) for bank in (None, *banks.values())]
    shown = np.stack([shrunk(picture, len(truth)) for picture in (given, *made)])
    before, *after = scores.of(shown, truth, true)
    for size, scored in zip((0, *banks), after, strict=True):
        yield {
            **{"person": name, "own": own, "references": size, "ratio": size / own},
            **{"input": before, "restored": scored},
        }


def seen_mesh(image: ImageArray, reference: Reference, toolbox: Toolbox) -> FloatArray:
    """Return the mesh as it is found on the degraded crop."""
    low, high = reference.landmarks.min(0), reference.landmarks.max(0)
    box = np.concatenate([low, high])[None].astype(np.float32)
    keypoints = mesh_keypoints(reference.landmarks[None]).astype(np.float32)
    return toolbox.models.mesh(image, box, keypoints)[0]


def table(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Return mean of the input and mean change with its standard error, a line a kind of face."""
    kinds: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in rows:
        kinds[row["own"], ratio_of(row)].append(row)
    return [
        {
            **{"own": own, "references": ratio, "faces": len(found)},
            "people": len({row["person"] for row in found}),
            **{name: changed(found, name) for name in ("mobile", "edge", "psnr", "squeeze")},
        }
        for (own, ratio), found in sorted(kinds.items())
    ]


def ratio_of(row: Row) -> str:
    """Return what the row's references resolve beside its face, in words."""
    if not row["references"]:
        return "none"
    if "__" in row["person"]:
        return "same clip"
    return f"{min(RATIOS, key=lambda ratio: abs(ratio - row['ratio']))} times"


def changed(rows: Sequence[Row], name: str) -> dict[str, float]:
    change = np.array([row["restored"][name] - row["input"][name] for row in rows])
    return {
        "input": rounded(np.mean([row["input"][name] for row in rows])),
        "change": rounded(change.mean()),
        "error": rounded(change.std() / np.sqrt(len(change))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--people", type=int, default=11, help="of each half")
    options = parser.parse_args()
    toolbox = open_toolbox(RuntimeSettings(device="cpu"))
    people, scores = albums(options.data, toolbox), Scores(options.models)
    report: dict[str, object] = {
        "command": "python benchmarks/need.py DATA MODELS",
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {platform.python_version()}",
    }
    for number, half in enumerate(("chosen by", "reported")):
        names = list(people)[number::2]
        random.Random(0).shuffle(names)
        own = {name: people[name] for name in names}
        some = {name: people[name] for name in names[: options.people]}
        report[half] = {
            "calibration": calibration(own),
            "benefit": table(list(benefit(some, toolbox, scores))),
        }
    report["same clip"] = table(list(benefit_in_clips(options.data / "clips", toolbox, scores)))
    text = json.dumps(report, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
