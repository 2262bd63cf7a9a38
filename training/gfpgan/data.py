"""Training pairs of the stand-in generator: made once by `prepare`, drawn from by `train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from refrestore.faces.align import ARCFACE_TEMPLATE, similarity
from refrestore.restore.fusion import FusionNetwork
from refrestore.restore.fusion_bands import FINE_BANDS
from refrestore.restore.hull_mask import hull_cells
from refrestore.restore.warp import displacement
from training.common.degrade import degrade
from training.common.faces import INNER
from training.fusion.data import DEGRADATIONS, FULL_EYES, Samples

KIND_SHARES = {"portrait": 0.16, "photo": 0.22, "clip": 0.16, "single": 0.36, "small": 0.10}
"""More single portraits than the fusion learns from: no second photo is needed here."""

MODES = {"right": 0.52, "none": 0.38, "wrong": 0.05, "mixed": 0.05}
"""Whose references the fused face had."""

PLAIN = 0.35
"""Share of the inputs that are degraded crops as they are; the others are fused faces."""

FRESH = 0.6
"""Share of those that are degraded anew."""

COLUMNS = {
    "truth": ((INNER, INNER, 3), np.uint8),
    "face": ((INNER, INNER, 3), np.uint8),
    "fused": ((INNER, INNER, 3), np.uint8),
    "hull": ((INNER // 4, INNER // 4), np.uint8),
    "confidence": ((INNER // 4, INNER // 4), np.uint8),
    "arcface": ((2, 3), np.float32),
    "sharp": ((), np.float32),
}
"""What a pair holds: shape and type. The degraded face, what the fusion network made of it, the
mesh hull and the fusion's confidence (255 for 1), the way to the recogniser's alignment, and how
far the truth is to be trusted in fine detail (0..1)."""


@dataclass(frozen=True)
class Store:
    """Columns of pairs on disk, of which the first `count` are written."""

    folder: Path
    columns: dict[str, np.ndarray]

    @classmethod
    def create(cls, folder: Path, size: int) -> Store:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "count").write_text("0")
        columns = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, (size, *shape))
            for name, (shape, kind) in COLUMNS.items()
        }
        return cls(folder, columns)

    @classmethod
    def open(cls, folder: Path) -> Store:
        return cls(
            folder, {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in COLUMNS}
        )

    @property
    def count(self) -> int:
        return int((self.folder / "count").read_text() or 0)

    def write(self, row: int, values: dict[str, np.ndarray | float]) -> None:
        for name, value in values.items():
            self.columns[name][row] = value
        (self.folder / "count.tmp").write_text(str(row + 1))
        (self.folder / "count.tmp").replace(self.folder / "count")


class Pairs(Samples):
    """Draws pairs; see `Samples` for the parameters."""

    def pair(self, fusion: FusionNetwork) -> dict[str, np.ndarray | float]:
        """Return one pair: nobody of the held-out people, as in the fusion's training."""
        random = self.random
        kind, mode, degradation = (
            self._drawn(shares) for shares in (KIND_SHARES, MODES, DEGRADATIONS)
        )
        person = int(random.choice(self.people[kind]))
        target = int(random.choice(self.rows_of[person]))
        flip = random.random() < 0.5
        truth, mesh, five = self._placed(target, flip)
        most = int(random.integers(1, 6))
        if kind == "single":
            rows, flip_references = [target] * (mode != "none"), not flip
        else:
            rows, flip_references = self._rows(target, person, kind, mode, most), flip
        face = degrade(truth, degradation, random)
        mesh = self._found(face, mesh, degradation)[None]
        fused, trust, hull = self._fused(fusion, face, mesh, rows, flip_references)
        eyes = float(self.bank.eyes[target])
        return {
            "truth": truth,
            "face": face,
            "fused": fused,
            "hull": hull,
            "confidence": trust,
            "arcface": similarity(five[None], ARCFACE_TEMPLATE)[0].astype(np.float32),
            "sharp": float(np.clip((eyes / FULL_EYES - 0.4) / 0.4, 0, 1)),
        }

    @torch.inference_mode()
    def _fused(
        self, fusion: FusionNetwork, face: np.ndarray, mesh: np.ndarray, rows: list[int], flip: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the fused face, its confidence and the hull, all uint8."""
        count = len(rows)
        images = np.zeros((1, count, 3, INNER, INNER), np.uint8)
        meshes = np.zeros((1, count, *mesh.shape[1:]), np.float32)
        for index, row in enumerate(rows):
            image, points = self._reference(row, flip)
            images[0, index], meshes[0, index] = image.transpose(2, 0, 1), points
        offsets = displacement(torch.from_numpy(mesh), torch.from_numpy(meshes), INNER)
        hull = hull_cells(torch.from_numpy((mesh + 0.5) * 2 - 0.5), 2 * INNER)
        with torch.autocast("cpu", torch.bfloat16):
            thought = fusion.think(
                torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255,
                torch.from_numpy(images).float() / 255,
                offsets,
                torch.ones((1, count), dtype=torch.bool),
                hull,
            )
        trust = thought.shares[:, :FINE_BANDS].mean(1)[0]
        return _bytes(thought.images[0].permute(1, 2, 0)), _bytes(trust), _bytes(hull[0, 0])


def _bytes(values: torch.Tensor) -> np.ndarray:
    return values.float().clamp(0, 1).mul(255).round().byte().numpy()


class Batches:
    """Endless batches from a store, which may still grow.

    Parameters
    ----------
    folder
        The store's.
    seed
        Of everything random.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        cv2.setNumThreads(1)
        self.store, self.count = Store.open(folder), 0
        self.random = np.random.default_rng(seed)

    def batch(self, size: int) -> dict[str, torch.Tensor]:
        """Return images (B, 3, 256, 256) float 0..1, hull (B, 1, 64, 64) and the small columns."""
        self.count = max(self.count, self.store.count)
        parts = [self._one(int(self.random.integers(self.count))) for _ in range(size)]
        return {name: torch.stack([part[name] for part in parts]) for name in parts[0]}

    def _one(self, row: int) -> dict[str, torch.Tensor]:
        random, columns = self.random, self.store.columns
        truth = np.array(columns["truth"][row])
        plain = random.random() < PLAIN
        if plain and random.random() < FRESH:
            kind = random.choice(list(DEGRADATIONS), p=list(DEGRADATIONS.values()))
            given = degrade(truth, str(kind), random)
        else:
            given = np.array(columns["face" if plain else "fused"][row])
        hull, matrix = np.array(columns["hull"][row]), np.array(columns["arcface"][row])
        if random.random() < 0.5:
            truth, given, hull = truth[:, ::-1], given[:, ::-1], hull[:, ::-1]
            # The aligned face is turned back: the recogniser sees what it would have seen.
            matrix = matrix @ np.array([[-1, 0, INNER - 1], [0, 1, 0], [0, 0, 1]], np.float32)
        return {
            "given": _picture(given),
            "truth": _picture(truth),
            "hull": torch.from_numpy(hull.astype(np.float32) / 255)[None],
            "arcface": torch.from_numpy(matrix.astype(np.float32)),
            "sharp": torch.tensor(float(columns["sharp"][row])),
        }


def _picture(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255
