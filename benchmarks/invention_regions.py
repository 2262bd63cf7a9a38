"""How much of a second stage is shown: one amount a track, or one for each region of its faces.

    python benchmarks/invention_regions.py PEOPLE MODELS [--people 12] [--photos 4] [-o OUT.json]

PEOPLE holds a folder of photos a person, MODELS the recognisers that score (MobileFaceNet and
EdgeFace). Photos are degraded, restored with and without the person's other photos, and a second
stage draws behind: the stand-in, and GFPGAN with random weights. The photos of a person at one
degradation count as a track. Amounts are chosen by the recogniser that guards renders:

* track: the most that does not lower the mean likeness, as a render does (`invention`);
* regions: from there, region by region, the most that does not lower it;
* regions, likest: region by region, the likest.

Scored are the mean cosine of both scorers to the true photo, and what an eye's colour is off the
fused face's (mean of absolute differences of the channels less the brightness, grey levels).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from refrestore.config import RuntimeSettings
from refrestore.evaluate.cast import find_people, read_photos, spread
from refrestore.evaluate.degrade import DEGRADATIONS, degrade
from refrestore.evaluate.scorer import SCORER_FILE, IdentityScorer
from refrestore.faces.recogniser import Recogniser
from refrestore.profiles import Profile
from refrestore.render.crops import arcface_crops, from_uint8
from refrestore.render.invention import AMOUNTS, most
from refrestore.render.second import opened
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.hull_mask import eye_masks, hull_mask
from refrestore.restore.light import luma_of
from refrestore.restore.restorer import Restored
from refrestore.restore.second.gfpgan import GFPGAN, GFPGANConfig
from refrestore.restore.second.kind import Asked
from refrestore.types import FloatArray

STANDIN = Path(__file__).resolve().parents[1] / "models/standin/gfpgan_standin.safetensors"
KINDS = ("moderate", "severe", "64px")
LIPS = (61, 291, 0, 17, 37, 267, 84, 314, 40, 270, 91, 321)
NOSE = (168, 6, 197, 195, 5, 4, 1, 2, 98, 327, 129, 358, 115, 344)
FEATHER = 0.02
Weights = Sequence[float]
"""How much of each region is shown."""


def regions(landmarks: FloatArray, side: int) -> Tensor:
    """Return how much each pixel is of eyes, nose, mouth and the rest, (4, N, 1, S, S)."""
    meshes = torch.from_numpy(landmarks)
    parts = [eye_masks(meshes, side)]
    parts += [hull_mask(meshes[:, list(points)], side, FEATHER * side) for points in (NOSE, LIPS)]
    found = torch.stack(parts)
    found = found / found.sum(0).clamp(min=1)
    return torch.cat([found, 1 - found.sum(0, keepdim=True)])[:, :, None]


class Track:
    """Faces of one person, restored and drawn behind; and what the recogniser says of them."""

    def __init__(
        self, toolbox: Toolbox, made: Restored, landmarks: FloatArray, wanted: FloatArray
    ) -> None:
        assert made.fused is not None
        self.fused, self.drawn, self.landmarks = made.fused, made.images, landmarks
        self.parts = regions(landmarks, made.images.shape[-1])
        self._eyes, self._wanted = toolbox.models.recogniser, wanted

    def shown(self, weights: Weights) -> Tensor:
        """Return the faces with so much of each region."""
        share = sum(one * part for one, part in zip(weights, self.parts, strict=True))
        return torch.lerp(self.fused, self.drawn, share)

    def crops(self, weights: Weights) -> Tensor:
        return arcface_crops(self.shown(weights), self.landmarks)

    def likeness(self, weights: Weights) -> float:
        """Return the mean likeness to what they are to stay like."""
        embeddings = self._eyes.embed(self.crops(weights))
        return float(np.einsum("nd,nd->n", embeddings, self._wanted).mean())

    def choices(self) -> dict[str, Weights]:
        """Return what each way of choosing shows."""
        alike = [self.likeness([one] * 4) for one in AMOUNTS]
        track = AMOUNTS[int(most(np.array([alike], np.float32))[0])]
        return {
            "none": [0.0] * 4,
            "track": [track] * 4,
            "regions": self._by_region([track] * 4, largest=True),
            "regions, likest": self._by_region([track] * 4, largest=False),
        }

    def _by_region(self, chosen: list[float], *, largest: bool) -> list[float]:
        for region in range(4):
            tried = {
                one: self.likeness([*chosen[:region], one, *chosen[region + 1 :]])
                for one in AMOUNTS
            }
            now = tried[chosen[region]]
            if largest:
                chosen[region] = max(one for one in AMOUNTS if tried[one] >= now)
            else:
                chosen[region] = max(AMOUNTS, key=lambda one: tried[one])
        return chosen

    def eye_colour(self, weights: Weights) -> float:
        """Return how far the colour of eyes is off the fused face's, grey levels."""
        change = self.shown(weights) - self.fused
        off = (change - luma_of(change)[:, None]).abs().mean(1)
        inside = eye_masks(torch.from_numpy(self.landmarks), off.shape[-1]) >= 1
        return float(off[inside].mean() * 255)


def random_network(folder: Path) -> Path:
    """Write GFPGAN of 256 px with random weights, and return its file."""
    torch.manual_seed(0)
    path = folder / "random.safetensors"
    save_file(GFPGAN(GFPGANConfig(out_size=256, narrow=0.125)).state_dict(), path)
    return path


def tracks(
    arguments: argparse.Namespace, toolboxes: dict[str, Toolbox]
) -> Iterator[tuple[str, Track, Tensor]]:
    """Yield each setting, its track, and the true faces."""
    any_one = next(iter(toolboxes.values()))
    for person in find_people([arguments.stills], (), arguments.people, 12):
        photos = read_photos(person, any_one.models)
        taken = spread(photos, arguments.photos)
        if len(photos) < 3:
            continue
        profiles = [
            Profile.chosen(
                person.name,
                [one.reference for one in photos if one is not photo],
                any_one.eyes.network,
            )
            for photo in taken
        ]
        truth = from_uint8(np.stack([photo.truth for photo in taken]))
        places = np.stack([photo.face.landmarks for photo in taken]).astype(np.float32)
        true_crops = arcface_crops(truth, places)
        for kind in KINDS:
            pictures = []
            for photo in taken:
                random = np.random.default_rng(zlib.crc32(f"{person.name}{photo.name}".encode()))
                pictures.append(degrade(photo.truth, DEGRADATIONS[kind].draw(random), random))
            given = np.stack(pictures)
            landmarks = any_one.models.landmarker.dense(given)[0].astype(np.float32)
            own = any_one.models.recogniser.embed(arcface_crops(from_uint8(given), landmarks))
            mean = own.sum(0) / np.linalg.norm(own.sum(0))
            close = np.stack([profile.centroid for profile in profiles])
            for name, toolbox in toolboxes.items():
                for referenced in (True, False):
                    banks = [
                        ReferenceBank.from_references(profile.references) if referenced else None
                        for profile in profiles
                    ]
                    made = toolbox.restorer.restore(from_uint8(given), landmarks, banks)
                    wanted = close if referenced else np.broadcast_to(mean, close.shape)
                    where = "with" if referenced else "without"
                    setting = f"{name}, {kind}, {where} references"
                    yield setting, Track(toolbox, made, landmarks, wanted), true_crops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stills", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--photos", type=int, default=4)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    plain = open_toolbox(RuntimeSettings(device="cpu", threads=1))
    asked = Asked(dtype=torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        files = {"stand-in": STANDIN, "random": random_network(Path(folder))}
        toolboxes = {name: plain.followed_by(opened(path, asked)) for name, path in files.items()}
    first = IdentityScorer(arguments.models / SCORER_FILE, "cpu", 1)
    second = Recogniser(arguments.models / "edgeface_xs.fp32.onnx", "cpu", 1)
    found: dict[tuple[str, str], list[list[float]]] = {}
    for setting, track, truth in tracks(arguments, toolboxes):
        truths = [first.embed(truth.numpy()), second.embed(truth)]
        for way, weights in track.choices().items():
            crops = track.crops(weights)
            seen = [first.embed(crops.numpy()), second.embed(crops)]
            scores = [float((a * b).sum(1).mean()) for a, b in zip(seen, truths, strict=True)]
            row = [*scores, track.likeness(weights), *weights, track.eye_colour(weights)]
            found.setdefault((setting, way), []).append(row)
        print(setting, file=sys.stderr, flush=True)
    keys = ["first", "second", "guard", "eyes", "nose", "mouth", "rest", "eye_colour_off"]
    rows = [
        {"setting": setting, "way": way}
        | {key: round(float(one), 4) for key, one in zip(keys, np.mean(values, 0), strict=True)}
        for (setting, way), values in found.items()
    ]
    result = {
        "command": "python benchmarks/invention_regions.py PEOPLE MODELS "
        f"--people {arguments.people} --photos {arguments.photos}",
        "date": str(date.today()),
        "tracks": len(next(iter(found.values()))),
    }
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    text = json.dumps(result, indent=1)[:-2] + f',\n "rows": [\n  {lines}\n ]\n}}'
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
