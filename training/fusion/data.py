"""Training samples: a degraded face, references (right, wrong, misplaced, missing), the truth."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np
import torch

from refrestore.evaluate.degrade import jpeg
from refrestore.faces.align import ARCFACE_TEMPLATE, similarity
from refrestore.faces.eyes import EYES
from refrestore.faces.landmarker import Landmarker
from refrestore.restore.fusion_bands import FULL, missing_octaves
from refrestore.restore.hull_mask import hull_cells
from refrestore.restore.select import INNER_LIPS, mesh_distances
from refrestore.restore.warp import displacement
from training.common.degrade import degrade, drawn, h264
from training.common.faces import INNER, SIDE, Bank
from training.common.mesh import mirror_order
from training.common.split import CLIPS, PEOPLE, held_out
from training.common.worn import worn

KEPT_BACK = ("celeb20_Kate_Winslet", "celeb20_Will_Smith")
"""The recogniser keeps all of celeb20 back; here these two are, and the rest are trained on."""

DEVELOPMENT = (
    *("celeb20_Tom_Hanks", "celeb20_Megan_Fox", "celeb20_Denzel_Washington"),
    *("sport_virat_kohli", "dmdnet_00086", "LivePortrait__assets_examples_driving_d18"),
)
"""Never trained on either: choices are made by these, so that the validation people stay unseen."""

TOO_LIKE = 0.45
"""Cosine above which two people of the data are taken for one."""

MOVING_GROWTH = 1.5
"""Of eyes and lips, so that lids and lips are in what counts as moving."""

FULL_EYES = 63.0
"""Distance of the eyes in a crop of 256 px."""

SIDE_SHARES = {512: 0.35, 384: 0.12, 256: 0.53}
"""How often a batch is of crops of each side. Small ones need most and cost least."""

SMALL_SHARE = 0.2
"""Share of the small crops' samples that are small faces; the others are damaged as large ones."""

COUNT_SHARES = (0.1, 0.15, 0.35, 0.1, 0.3)
"""How often a batch has at most one, two, ... five references a face."""

MARGIN = (SIDE - INNER) // 2
KIND_SHARES = {"portrait": 0.26, "photo": 0.30, "clip": 0.24, "single": 0.08, "small": 0.12}
DEGRADATIONS = {
    **{"poor": 0.10, "moderate": 0.17, "legible": 0.12, "far": 0.13, "severe": 0.25},
    **{"video": 0.03, "clean": 0.02, "drawn": 0.18},
}
WORN = 0.12
"""How often the face, or some of its references, wear what the others do not."""

MODES = {"right": 0.78, "wrong": 0.05, "none": 0.12, "mixed": 0.05}


def seen_in_training(name: str) -> bool:
    """Whether the fusion network may learn from a person or clip of the bank."""
    plain = name.split("#", maxsplit=1)[0]
    if plain in DEVELOPMENT or plain in KEPT_BACK:
        return False
    if plain.startswith("lfw/") and any(
        plain.endswith(other.split("_", 1)[1]) for other in (*KEPT_BACK, *DEVELOPMENT)
    ):
        return False
    return plain.startswith("celeb20_") or not held_out(name)


def kind_of(name: str) -> str:
    if name.startswith(("dmdnet_", "sport_")):
        return "portrait"
    if name.startswith(("celeb20_", "celeb5_", "tbbt_")):
        return "photo"
    if name.startswith("lfw/"):
        return "small"
    return "single" if name.startswith(("celebs/", "generated_portraits/")) else "clip"


class Samples:
    """Endless batches, drawn anew from a seed.

    Parameters
    ----------
    bank
        What `training.common.faces` wrote.
    mesh
        The landmark network that finds the mesh on the degraded face, as in use; None to disturb
        the true one instead.
    seed
        Of everything random.
    """

    def __init__(self, bank: Path, mesh: Path | None, seed: int) -> None:
        cv2.setNumThreads(1)
        self.random = np.random.default_rng(seed)
        self.bank = Bank.open(bank)
        self.landmarker = None if mesh is None else Landmarker(mesh, threads=1)
        self.mirror = mirror_order(self.bank.landmarks)
        self.meshes = self._own_meshes()
        rows = np.flatnonzero((self.bank.presence > 0.5) & (self.bank.eyes > 15))
        allowed = np.array([seen_in_training(name) for name in self.bank.people])
        allowed &= ~self._resembling(rows)
        self.rows_of: dict[int, np.ndarray] = {}
        self.people: dict[str, list[int]] = {kind: [] for kind in KIND_SHARES}
        for person in np.unique(self.bank.person[rows]):
            name = self.bank.people[person]
            own = rows[self.bank.person[rows] == person]
            kind = kind_of(name)
            if not allowed[person] or (kind != "single" and len(own) < 4):
                continue
            if kind in ("clip", "portrait") and np.median(self.bank.eyes[own]) < 0.6 * FULL_EYES:
                kind = "small"
            self.rows_of[int(person)] = own
            self.people[kind].append(int(person))
        centroids = {p: self.bank.embedding[r].mean(0) for p, r in self.rows_of.items()}
        self.everybody = np.array(list(centroids))
        self.centroids = np.stack([c / np.linalg.norm(c) for c in centroids.values()])

    def _resembling(self, rows: np.ndarray) -> np.ndarray:
        """Say of every person of the bank whether they may be somebody who is kept back.

        The single portraits have numbers for names, and some show people of the validation.
        """
        count = len(self.bank.people)
        sums = np.zeros((count, self.bank.embedding.shape[1]), np.float32)
        np.add.at(sums, self.bank.person[rows], self.bank.embedding[rows])
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
        apart = (*KEPT_BACK, *DEVELOPMENT, *PEOPLE, *CLIPS)
        known = [name.split("#")[0] in apart for name in self.bank.people]
        return (centres @ centres[known].T).max(1) > TOO_LIKE

    def _own_meshes(self) -> np.ndarray:
        """Return the meshes of the clean crops by the network that finds those of degraded ones.

        What it gets wrong in the same way on both then cancels in the warp.
        """
        if self.landmarker is None:
            return self.bank.landmarks
        inner = self.bank.crops[:, MARGIN : MARGIN + INNER, MARGIN : MARGIN + INNER]
        parts = [
            self.landmarker.dense(np.ascontiguousarray(inner[start : start + 64]))[0]
            for start in range(0, len(inner), 64)
        ]
        return np.concatenate(parts) + np.float32(MARGIN)

    def batch(self, size: int) -> tuple[int, dict[str, torch.Tensor]]:
        """Return the crops' side, and samples with room for the same number of references."""
        side = int(self._drawn(SIDE_SHARES))
        most = int(self.random.choice(len(COUNT_SHARES), p=COUNT_SHARES)) + 1
        parts = [self.sample(most, side) for _ in range(size)]
        return side, {name: torch.stack([part[name] for part in parts]) for name in parts[0]}

    def _drawn(self, shares: dict) -> str:
        return str(self.random.choice(list(shares), p=np.array(list(shares.values()))))

    def _stranger(self, person: int) -> int:
        """Return somebody else, more often than not a lookalike."""
        own = self.centroids[np.flatnonzero(self.everybody == person)[0]]
        order = np.argsort(-(self.centroids @ own))[1:]
        near = order[: len(order) // 12] if self.random.random() < 0.6 else order
        return int(self.everybody[self.random.choice(near)])

    def _rows(self, target: int, person: int, kind: str, mode: str, most: int) -> list[int]:
        random = self.random
        count = most if random.random() < 0.8 else int(random.integers(1, most + 1))
        if mode == "none":
            return []
        own = self.rows_of[self._stranger(person)] if mode == "wrong" else self.rows_of[person]
        # Neighbours in a clip are nearly the same picture.
        own = own[np.abs(own - target) > (2 if kind == "clip" else 0)]
        if not len(own):
            return []
        pool = random.permutation(own)[: int(random.integers(count, 4 * count + 1))]
        distance = mesh_distances(self.meshes[[target]], self.meshes[pool])[0]
        rows = [int(row) for row in pool[np.argsort(distance)][:count]]
        if mode == "mixed" and len(rows) > 1:
            other = self.rows_of[self._stranger(person)]
            rows[int(random.integers(len(rows)))] = int(random.choice(other))
        return rows

    def _flipped(self, image: np.ndarray, mesh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mirrored = mesh[self.mirror] * [-1, 1] + [image.shape[1] - 1, 0]
        return np.ascontiguousarray(image[:, ::-1]), mirrored.astype(np.float32)

    def _reference(
        self, row: int, flip: bool, without: Collection[int] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        random = self.random
        image, mesh = self.bank.crops[row], self.meshes[row]
        if flip:
            image, mesh = self._flipped(image, mesh)
        image = image[MARGIN : MARGIN + INNER, MARGIN : MARGIN + INNER]
        mesh = mesh - MARGIN
        if random.random() < 0.25:  # a softer reference
            side = int(random.integers(100, 220))
            image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
            image = cv2.resize(image, (INNER, INNER), interpolation=cv2.INTER_CUBIC)
        if random.random() < 0.5:  # other light
            gain = random.uniform(0.7, 1.3) * random.uniform(0.93, 1.07, 3)
            curve = np.linspace(0, 1, 256) ** random.uniform(0.8, 1.25) * 255
            table = np.clip(curve[:, None] * gain, 0, 255).astype(np.uint8)
            image = cv2.LUT(np.ascontiguousarray(image), table[None])
        if random.random() < 0.05:  # its own mesh was wrong
            mesh = mesh + random.normal(0, 4, (1, 2))
        return image, mesh.astype(np.float32)

    def _placed(self, row: int, flip: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the true crop, its mesh and keypoints, cut a little askew in four of ten."""
        random, bank = self.random, self.bank
        image, mesh, five = bank.crops[row], bank.landmarks[row], bank.keypoints[row]
        if flip:
            image, mesh = self._flipped(image, mesh)
            five = (five * [-1, 1] + [SIDE - 1, 0])[[1, 0, 2, 4, 3]]
        move = np.array([[1, 0, -MARGIN], [0, 1, -MARGIN]], np.float64)
        if random.random() < 0.4:  # the crop is cut by landmarks found on a degraded face
            middle = (SIDE / 2, SIDE * 0.55)
            move = cv2.getRotationMatrix2D(
                middle, random.uniform(-4, 4), random.uniform(0.95, 1.05)
            )
            move[:, 2] += random.normal(0, 2.5, 2) - MARGIN
            image = cv2.warpAffine(image, move, (INNER, INNER), flags=cv2.INTER_CUBIC)
        else:
            image = np.ascontiguousarray(image[MARGIN:-MARGIN, MARGIN:-MARGIN])
        mesh, five = (points @ move[:, :2].T + move[:, 2] for points in (mesh, five))
        return image, mesh.astype(np.float32), five

    def _found(self, face: np.ndarray, truth: np.ndarray, kind: str) -> np.ndarray:
        """Return the mesh as it is found on the degraded face."""
        random = self.random
        if self.landmarker is not None:
            mesh = self.landmarker.dense(face[None])[0][0]
        else:
            spread = {
                "clean": 0.5,
                "video": 1.5,
                "moderate": 1.5,
                "severe": 4.0,
                "far": 4.0,
                "poor": 2.0,
                "legible": 0.8,
                "drawn": 2.5,
            }[kind]
            centred = truth - truth.mean(0)
            shift, turn = random.normal(0, spread, 2), random.normal(0, spread / 60, (2, 2))
            mesh = truth + shift + centred @ turn
        if random.random() < 0.1:
            mesh = mesh + random.normal(0, 2, (1, 2))
        return mesh.astype(np.float32)

    def sample(self, most: int, side: int = FULL) -> dict[str, torch.Tensor]:
        """Return one sample with room for `most` references.

        Of crops that have all octaves a window of the half is trained on, which the bank has; of
        smaller ones the whole crop.
        """
        random = self.random
        kind, mode, degradation = (
            self._drawn(shares) for shares in (KIND_SHARES, MODES, DEGRADATIONS)
        )
        person = int(random.choice(self.people[kind]))
        target = int(random.choice(self.rows_of[person]))
        flip = random.random() < 0.5
        truth, mesh, five = self._placed(target, flip)
        if kind == "single":
            # Its own mirror image stands in for another photo: other light, not the same pixels.
            rows, flip_references = [target] * (mode != "none"), not flip
            mode = "right"
        else:
            rows, flip_references = self._rows(target, person, kind, mode, most), flip
        working = side // 2 if missing_octaves(side) == 0 else side
        small = missing_octaves(side) > 0 and random.random() < SMALL_SHARE
        seed, wearing = int(random.integers(1 << 31)), random.random()
        if wearing < WORN / 2:
            truth = worn(truth, mesh, seed)
        true_mesh = mesh
        if small:
            face = shown = as_small(truth, side, random)
        elif degradation == "drawn":
            shown, face = drawn(truth, random)
            shown = face if random.random() < 0.5 else shown
        else:
            face = shown = degrade(truth, degradation, random)
        face, truth = (fitted(image, working) for image in (face, truth))
        mesh = self._found(fitted(shown, INNER), mesh, degradation)[None]
        images = np.zeros((most, 3, working, working), np.uint8)
        meshes = np.zeros((1, most, *mesh.shape[1:]), np.float32)
        for index, row in enumerate(rows):
            image, points = self._reference(row, flip_references)
            if WORN / 2 <= wearing < WORN and random.random() < 0.6:
                image = worn(image, points, seed)
            images[index], meshes[0, index] = fitted(image, working).transpose(2, 0, 1), points
        factor = working / INNER
        offsets = displacement(torch.from_numpy(mesh), torch.from_numpy(meshes), INNER)[0] * factor
        hull = hull_cells(torch.from_numpy((mesh + 0.5) * (side / INNER) - 0.5), side)[0]
        moving = moving_parts(true_mesh)
        five = (five + 0.5) * factor - 0.5
        corner = torch.zeros(2)
        if missing_octaves(side) == 0:
            length = working * 3 // 4
            unit = working // 32
            left, top = unit * int(random.integers(3, 6)), unit * int(random.integers(4, 7))
            window = (slice(top, top + length), slice(left, left + length))
            corner = torch.tensor([left, top], dtype=torch.float32)
            face, truth, five = face[window], truth[window], five - corner.numpy()
            rows_, columns = _part(window, offsets.shape[-1] / working)
            offsets = offsets[..., rows_, columns]
            rows_, columns = _part(window, hull.shape[-1] / working)
            hull = hull[..., rows_, columns]
            rows_, columns = _part(window, len(moving) / working)
            moving = moving[rows_, columns]
        arcface = similarity(five[None], ARCFACE_TEMPLATE)[0]
        eyes = float(self.bank.eyes[target]) * INNER / min(working, INNER)
        return {
            "face": torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1))),
            "truth": torch.from_numpy(np.ascontiguousarray(truth.transpose(2, 0, 1))),
            "references": torch.from_numpy(images),
            "offsets": (offsets + corner[:, None, None]).contiguous(),
            "valid": torch.arange(most) < len(rows),
            "hull": hull.contiguous(),
            "moving": torch.from_numpy(np.ascontiguousarray(moving))[None],
            "arcface": torch.from_numpy(arcface.astype(np.float32)),
            "sharp": torch.tensor(float(np.clip((eyes / FULL_EYES - 0.4) / 0.4, 0, 1))),
            "right": torch.tensor(mode in ("right", "mixed") and len(rows) > 0),
            "severe": torch.tensor(not small and degradation in ("severe", "far")),
            "drawn": torch.tensor(not small and degradation == "drawn"),
        }


def moving_parts(mesh: np.ndarray) -> np.ndarray:
    """Return how much of each cell of a crop's 64 is eyes or mouth, (64, 64) float32."""
    image = np.zeros((INNER, INNER), np.uint8)
    for ring in (*EYES, INNER_LIPS):
        points = mesh[list(ring)]
        grown = points.mean(0) + (points - points.mean(0)) * MOVING_GROWTH
        cv2.fillConvexPoly(image, cv2.convexHull(np.rint(grown).astype(np.int32)), 255)
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), 1).astype(np.float32) / 255


def _part(window: tuple[slice, slice], factor: float) -> tuple[slice, slice]:
    """Return a window in cells of which `factor` make a pixel."""
    rows, columns = (slice(round(p.start * factor), round(p.stop * factor)) for p in window)
    return rows, columns


def fitted(image: np.ndarray, side: int) -> np.ndarray:
    """Return a square picture at another side: averaged when shrinking, bilinear when enlarging."""
    if image.shape[0] == side:
        return image
    way = cv2.INTER_AREA if side < image.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(image, (side, side), interpolation=way)


def as_small(image: np.ndarray, side: int, random: np.random.Generator) -> np.ndarray:
    """Return a face as it is in a film that shows it in few pixels, which this crop is meant for.

    Most are about as large as the crop; a film that is enlarged has half of that. A little blur,
    noise and compression, and the crop is cut bilinearly.
    """
    share = random.uniform(0.3, 0.6) if random.random() < 0.3 else random.uniform(0.6, 1.0)
    small = fitted(image, round(side * share))
    if random.random() < 0.6:
        small = cv2.GaussianBlur(small, (0, 0), random.uniform(0.2, 1.2))
    noise = random.normal(0, random.uniform(0, 6), small.shape)
    small = np.clip(small + noise, 0, 255).astype(np.uint8)
    if random.random() < 0.25:
        small = h264(small, int(random.integers(18, 32)))
    elif random.random() < 0.8:
        small = jpeg(small, int(random.integers(50, 96)))
    return fitted(small, side)
