"""Score the levels of conditioning of the second stage, each as a row.

    python -m training.gfpgan.condition_table CACHE MODELS OUT [--weights FILE] [--development]

CACHE is what `training.fusion.prepare` wrote; people, pictures, degradations, references and mesh
are those of `training.fusion.evaluate`, the figures those of `refrestore evaluate` (its judge).
`--development` scores the people that choices are made by, with the recogniser of the loss.
Writes `conditioning.json` (every picture's figures) and `faces_*.png`; prints the table: means
over people and differences with their standard error: to the fused face for eyes and mouth, which
need no second stage, to the plain second stage for all others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from refrestore.config import RuntimeSettings
from refrestore.evaluate.judge import PERCEPTUAL_SIDE, Judge, TrueFace, open_judge
from refrestore.evaluate.metrics import psnr
from refrestore.faces.landmarker import Landmarker
from refrestore.faces.recogniser import Recogniser
from refrestore.restore.bank import ReferenceBank, light_of
from refrestore.restore.fusion import load_fusion
from refrestore.restore.fusion_bands import WORKING, aligned
from refrestore.restore.hull_mask import hull_cells
from refrestore.restore.restorer import DEFAULT_REFERENCES
from refrestore.restore.second.combined import combine
from refrestore.restore.second.gfpgan import GFPGAN, Codes
from refrestore.restore.select import select
from refrestore.restore.warp import displacement
from training.fusion.data import DEVELOPMENT
from training.fusion.evaluate import APART, DEGRADATIONS, Cache, spoilt, to_bytes
from training.fusion.prepare import KINDS, VALIDATION
from training.gfpgan import conditioning as levels

PLAIN, NONE = "second stage, plain", "no second stage"
KEYS = ("identity", "psnr", "perceptual", "landmarks", "niqe", "parts_psnr", "parts_distance")
TITLES = ("identity", "PSNR", "SqueezeNet", "landmarks", "NIQE", "parts PSNR", "parts SqueezeNet")
EVERYWHERE = ", generator everywhere"
FIRST = 4
"""W+ codes before this one (4 to 8 px: pose, light) stay the face's own."""

SHOWN = ("input", NONE, PLAIN, "W+ 1", "SFT 1", "eyes and mouth 0.5", "eyes and mouth 1")
ALONE = tuple(f"{row}{EVERYWHERE}" for row in ("plain", "W+ 1", "SFT 1 hull", "W+ 1, SFT 1 hull"))


@dataclass(frozen=True, eq=False)
class Face:
    """One degraded face after the first stage; tensors of one face, (1, ...)."""

    given: Tensor
    fused: Tensor
    trust: Tensor
    unaided: Tensor
    mesh: np.ndarray
    used: np.ndarray
    meshes: np.ndarray
    offsets: Tensor
    registered: Tensor
    hull: Tensor
    allowed: np.ndarray


class Table:
    """The networks and what they make of a face."""

    def __init__(self, weights: Path, fusion: Path, mesh: Path) -> None:
        self.generator = GFPGAN.from_file(weights, dtype=torch.bfloat16)
        self.fusion = load_fusion(fusion, dtype=torch.bfloat16)
        self.landmarker = Landmarker(mesh, threads=1)

    def fuse(self, face: np.ndarray, bank: ReferenceBank, without: range) -> Face:
        given = torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255
        mesh = self.landmarker.dense(face[None])[0]
        used = select(bank, mesh, light_of(given), DEFAULT_REFERENCES, exclude=[without])
        used = used[used >= 0]
        pictures = bank.images[torch.from_numpy(used)][None]
        meshes = bank.landmarks[used]
        offsets = displacement(
            torch.from_numpy(mesh), torch.from_numpy(meshes)[None], face.shape[0]
        )
        valid, hull = (
            torch.ones((1, len(used)), dtype=torch.bool),
            hull_cells(torch.from_numpy(mesh)),
        )
        fused = self.fusion(given, pictures, offsets, valid, hull)
        nobody = self.fusion(given, pictures[:, :0], offsets[:, :0], valid[:, :0], hull)
        small = F.avg_pool2d(given, WORKING)
        little = F.avg_pool2d(pictures[0].float(), WORKING)[None] / 255
        field = (
            aligned(small, little, offsets / WORKING, valid, hull, side=given.shape[-1])[1]
            * WORKING
        )
        return Face(
            given,
            fused.images.clamp(0, 1),
            fused.confidence,
            nobody.images.clamp(0, 1),
            mesh[0],
            used,
            meshes,
            field,
            field[:, 0] - offsets[:, 0],
            F.interpolate(hull, size=512, mode="bilinear"),
            np.setdiff1d(np.arange(len(bank)), without),
        )

    def encode(self, faces: Tensor) -> Codes:
        side = self.generator.descriptor.side
        small = F.interpolate(faces, (side, side), mode="area")
        return self.generator.encode((small * 2 - 1).to(torch.bfloat16))

    def decode(self, codes: Codes) -> Tensor:
        large = F.interpolate(self.generator.decode(codes).float(), (512, 512), mode="bicubic")
        return (large / 2 + 0.5).clamp(0, 1)

    def rows(self, face: Face, bank: ReferenceBank, known: Codes) -> Iterator[tuple[str, Tensor]]:
        """Yield the name of each row and its picture (1, 3, S, S)."""
        yield "input", face.given
        yield NONE, face.fused
        own = self.encode(face.fused)
        at = torch.from_numpy(face.used)
        refs = Codes(
            known.styles[at],
            tuple(scale[at] for scale in known.scales),
            tuple(shift[at] for shift in known.shifts),
        )
        styles = refs.styles[None]
        pose = levels.pose_weights(face.mesh[None], face.meshes[None])
        hull = levels.nearest_in_hull(own.styles, styles)

        def maps(codes: Codes, share: float, trust: Tensor = face.trust, **how: bool) -> Codes:
            return levels.fused_maps(codes, refs, face.offsets, pose, trust, share, **how)

        def made(codes: Codes, trust: Tensor = face.trust) -> Tensor:
            return combine(face.fused, self.decode(codes), trust)

        yield PLAIN, made(own)
        for share in (0.25, 0.5, 1.0):
            yield f"W+ {share:g}", made(levels.blended(own, styles, pose, share, FIRST))
        yield "W+ 1, all layers", made(levels.blended(own, styles, pose, 1, 0))
        yield "W+ 1, nearest in the hull", made(levels.blended(own, styles, hull, 1, FIRST))
        for share in (0.25, 0.5, 1.0):
            yield f"SFT {share:g}", made(maps(own, share))
        yield "SFT 1, matched", made(maps(own, 1, matched=True))
        yield "SFT 0.5, all of the hull", made(maps(own, 0.5, face.hull))
        yield "SFT 1, all of the hull", made(maps(own, 1, face.hull))
        half = levels.blended(own, styles, pose, 0.5, FIRST)
        whole = levels.blended(own, styles, pose, 1, FIRST)
        yield "W+ 0.5, SFT 0.5", made(maps(half, 0.5))
        yield "W+ 1, SFT 1", made(maps(whole, 1))
        yield from self._everywhere(face, own, whole, maps)
        yield from self._alone(face, styles, pose, refs)
        yield from self._components(face, bank)

    def _everywhere(self, face, own, whole, maps) -> Iterator[tuple[str, Tensor]]:
        """Yield what the generator makes when the fused face stands for nothing but its input."""
        none = torch.zeros_like(face.trust)
        for name, codes in (
            ("plain", own),
            ("W+ 1", whole),
            ("SFT 1 hull", maps(own, 1, face.hull)),
            ("W+ 1, SFT 1 hull", maps(whole, 1, face.hull)),
        ):
            yield name + EVERYWHERE, combine(face.fused, self.decode(codes), none)

    def _alone(self, face, styles, pose, refs) -> Iterator[tuple[str, Tensor]]:
        """Yield conditioning in place of the fusion: references reach the generator only so."""
        own = self.encode(face.unaided)
        none = torch.zeros_like(face.trust)
        whole = levels.blended(own, styles, pose, 1, FIRST)

        def maps(codes: Codes, share: float) -> Codes:
            return levels.fused_maps(codes, refs, face.offsets, pose, face.hull, share)

        for name, codes in (
            ("plain", own),
            ("W+ 1", whole),
            ("SFT 0.5", maps(own, 0.5)),
            ("SFT 1", maps(own, 1)),
            ("W+ 1, SFT 1", maps(whole, 1)),
        ):
            made = combine(face.unaided, self.decode(codes), none)
            yield f"not fused: {name}", made

    def _components(self, face: Face, bank: ReferenceBank) -> Iterator[tuple[str, Tensor]]:
        """Yield the fused face with the detail of parts from the reference that suits them."""
        whole = {name: self._part(face, bank, face.allowed, name) for name in levels.COMPONENTS}
        five = {name: self._part(face, bank, face.used, name) for name in levels.COMPONENTS}
        both, sure = ("eyes", "mouth"), torch.ones_like(face.trust)
        for title, parts, names, share, where, bands in (
            ("eyes 0.5", whole, ("eyes",), 0.5, sure, 3),
            ("mouth 0.5", whole, ("mouth",), 0.5, sure, 3),
            ("eyes and mouth 0.25", whole, both, 0.25, sure, 3),
            ("eyes and mouth 0.5", whole, both, 0.5, sure, 3),
            ("eyes and mouth 1", whole, both, 1.0, sure, 3),
            ("eyes and mouth 0.5, an octave more", whole, both, 0.5, sure, 4),
            ("eyes and mouth 0.5, of the five", five, both, 0.5, sure, 3),
            ("eyes and mouth 0.5, by confidence", whole, both, 0.5, face.trust, 3),
        ):
            image = face.fused
            for name in names:
                picture, offsets, mask = parts[name]
                image = levels.with_component(image, picture, offsets, mask * where, share, bands)
            yield title, image

    def _part(
        self, face: Face, bank: ReferenceBank, allowed: np.ndarray, name: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        cost = levels.unlikeness(face.mesh, bank.landmarks[allowed], name)
        # of two as like, the one of the like pose: the warp has less to do
        cost = cost + 0.5 * levels.mesh_distances(face.mesh[None], bank.landmarks[allowed])[0]
        row = int(allowed[int(np.argmin(cost))])
        their = torch.from_numpy(bank.landmarks[row])[None, None]
        offsets = (
            displacement(torch.from_numpy(face.mesh)[None], their, 512)[:, 0] + face.registered
        )
        picture = bank.images[row][None].float() / 255
        return picture, offsets, levels.component_mask(face.mesh[None], name)


def figures(judge: Judge, image: np.ndarray, truth, at: TrueFace, parts: np.ndarray) -> dict:
    look = judge.look(image, at)
    small = cv2.resize(parts, (PERCEPTUAL_SIDE, PERCEPTUAL_SIDE), interpolation=cv2.INTER_AREA)
    values = judge.compare(look, truth, at)
    values["parts_psnr"] = psnr(look.crop, truth.crop, parts)
    values["parts_distance"] = judge.perceptual.between(look.features, truth.features, small)
    return {key: float(values[key]) for key in KEYS}


@torch.inference_mode()
def scored(
    cache: Cache, names: tuple[str, ...], table: Table, judge: Judge, count: int, out: Path
) -> list[dict]:
    """Return one entry a picture and row; write a sheet of faces per degradation."""
    entries: list[dict] = []
    sheets: dict[str, list[np.ndarray]] = {kind: [] for kind in DEGRADATIONS}
    for name in names:
        own = np.flatnonzero(cache.person == cache.people.index(name))
        bank = cache.bank(own, table.landmarker)
        crops = bank.images.float() / 255
        parts = [table.encode(crop[None]) for crop in crops]
        known = Codes(
            torch.cat([part.styles for part in parts]),
            tuple(map(torch.cat, zip(*(part.scales for part in parts), strict=True))),
            tuple(map(torch.cat, zip(*(part.shifts for part in parts), strict=True))),
        )
        picked = np.unique(np.linspace(0, len(own) - 1, count).round().astype(int))
        reach = APART if KINDS[cache.kind[own[0]]] == "clip" else 0
        for i in picked:
            truth = np.array(cache.crops[own[i]])
            at = TrueFace(cache.keypoints[own[i]], cache.landmarks[own[i]])
            wanted = judge.look(truth, at)
            mask = sum(
                levels.component_mask(at.landmarks[None], part)[0, 0].numpy()
                for part in levels.COMPONENTS
            )
            mask = (mask > 0.5).astype(np.float32)
            without = range(max(0, i - reach), min(len(own), i + reach + 1))
            for kind in DEGRADATIONS:
                face = table.fuse(spoilt(truth, kind, int(own[i])), bank, without)
                shown = {}
                for row, made in table.rows(face, bank, known):
                    image = to_bytes(made)[0]
                    values = figures(judge, image, wanted, at, mask)
                    entries.append({"row": row, "degradation": kind, "person": name, **values})
                    shown[row] = image
                if i == picked[len(picked) // 2]:
                    rows = (*SHOWN, *ALONE)
                    sheets[kind].append(np.concatenate([truth, *(shown[r] for r in rows)]))
        print(name, flush=True)
    for kind, columns in sheets.items():
        cv2.imwrite(str(out / f"faces_{kind}.png"), np.concatenate(columns, 1)[..., ::-1])
    return entries


def printed(entries: list[dict]) -> str:
    """Return a Markdown table for each degradation: mean, and difference to the plain stage."""
    lines = []
    people = sorted({entry["person"] for entry in entries})
    rows = list(dict.fromkeys(entry["row"] for entry in entries))
    for kind in DEGRADATIONS:
        values = {
            (row, key): np.array(
                [
                    np.mean(
                        [
                            e[key]
                            for e in entries
                            if (e["row"], e["degradation"], e["person"]) == (row, kind, person)
                        ]
                    )
                    for person in people
                ]
            )
            for row in rows
            for key in KEYS
        }
        lines += [f"\n{kind}\n", "| | " + " | ".join(TITLES) + " |", "|---" * 8 + "|"]
        for row in rows:
            cells = []
            for key in KEYS:
                digits = 2 if key in ("psnr", "niqe", "parts_psnr") else 4
                parts = row.startswith(tuple(levels.COMPONENTS))
                mine, base = values[row, key], values[NONE if parts else PLAIN, key]
                cell = f"{mine.mean():.{digits}f}"
                if row != PLAIN:
                    error = (mine - base).std(ddof=1) / len(people) ** 0.5
                    cell += f" ({(mine - base).mean():+.{digits}f} ±{error:.{digits}f})"
                cells.append(cell)
            lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("out", type=Path)
    standin = Path("models/standin/gfpgan_standin.safetensors")
    parser.add_argument("--weights", type=Path, default=standin)
    parser.add_argument("--fusion", type=Path, default=Path("models/lite/fusion.safetensors"))
    parser.add_argument("--mesh", type=Path, default=Path("models/lite/landmarks.onnx"))
    parser.add_argument("--faces", type=int, default=6, help="pictures of each person")
    parser.add_argument("--development", action="store_true")
    parser.add_argument("--people", type=int, help="only so many")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    judge = open_judge(RuntimeSettings(models_dir=arguments.models, device="cpu", threads=1))
    if arguments.development:
        own = Recogniser(arguments.models / "edgeface_xs.fp32.onnx", threads=1)
        judge = replace(judge, scorer=own)
    cache = Cache.open(arguments.cache)
    names = DEVELOPMENT if arguments.development else VALIDATION
    names = tuple(name for name in names if name in cache.people)[: arguments.people]
    table = Table(arguments.weights, arguments.fusion, arguments.mesh)
    entries = scored(cache, names, table, judge, arguments.faces, arguments.out)
    (arguments.out / "conditioning.json").write_text(json.dumps(entries))
    print(printed(entries))


if __name__ == "__main__":
    main()
