"""Samples of the mask network: faces behind things, degraded, with a hull that is a little off."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from refrestore.faces.hull import hull_polygon
from refrestore.restore.mask import MASK_SIZE, hull_input
from training.common.degrade import degrade
from training.common.faces import INNER, SIDE, Bank
from training.mask.face import Face
from training.mask.occluders import any_kind, cover
from training.mask.textures import Textures

CANVAS = 192
"""Side at which pictures are composed and degraded; the network sees 128."""

KIND_SHARES = {"clean": 0.35, "moderate": 0.25, "severe": 0.32, "video": 0.08}
FREE = 0.25
"""Share of faces with nothing in front of them."""

LEAST_PRESENCE, LEAST_EYES = 0.6, 14.0
LFW_CHANCE = 0.35
"""Photos of 96 px are drawn less often than others: coarse, and mirrored beyond their edge."""


def usable(bank: Bank, *, validation: bool) -> np.ndarray:
    """Rows whose mesh can be trusted."""
    rows = bank.rows(validation=validation)
    return rows[(bank.presence[rows] >= LEAST_PRESENCE) & (bank.eyes[rows] >= LEAST_EYES)]


def real_hands(path: Path | None) -> list[np.ndarray]:
    """Read what `training.mask.real_hands` wrote."""
    if path is None:
        return []
    with np.load(path) as file:
        return [file[name] for name in file.files]


def jittered(mesh: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Return a mesh that is moved, scaled, turned and stretched by about `amount` of its size."""
    centre, size = mesh.mean(0), np.ptp(mesh, 0).max()
    turn = random.normal(0, amount)
    stretch = np.exp(random.normal(0, amount, 2))
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * stretch
    return (mesh - centre) @ matrix.T + centre + random.normal(0, 0.7 * amount, 2) * size


def recoloured(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Another exposure and tint; sometimes grey."""
    if random.random() < 0.08:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    level = np.arange(256)[:, None] / 255
    bent = level ** np.exp(random.normal(0, 0.3))
    gain = np.exp(random.normal(0, 0.15)) * np.exp(random.normal(0, 0.06, 3))
    table = np.clip((bent * gain + random.normal(0, 0.04)) * 255, 0, 255).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(image), table[None])


class Samples:
    """Endless batches.

    Parameters
    ----------
    bank
        Faces.
    seed
        Of everything.
    validation
        Which people; occluders are made of the same people's crops.
    hands
        Cut-outs of real hands (training only).
    """

    def __init__(
        self,
        bank: Bank,
        seed: int,
        *,
        validation: bool = False,
        hands: list[np.ndarray] | None = None,
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.bank = bank
        self.rows = usable(bank, validation=validation)
        self.textures = Textures(bank, self.rows, validation=validation, hands=hands)
        lfw = np.array([name.startswith("lfw/") for name in bank.people])[bank.person[self.rows]]
        chance = np.where(lfw, LFW_CHANCE, 1.0)
        self.chance = np.cumsum(chance / chance.sum())

    def face(self, row: int | None = None) -> Face:
        """Cut a face out, turned and scaled a little; half of them are mirrored.

        A given row is cut as the run does it, unturned.
        """
        random, zoom = self.random, CANVAS / INNER
        angle, shift, mirrored = 0.0, np.zeros(2), False
        if row is None:
            place = min(int(np.searchsorted(self.chance, random.random())), len(self.rows) - 1)
            row = int(self.rows[place])
            zoom *= random.uniform(0.9, 1.1)
            angle, shift = random.normal(0, 5), random.normal(0, 0.02, 2) * CANVAS
            mirrored = random.random() < 0.5
        matrix = cv2.getRotationMatrix2D(((SIDE - 1) / 2,) * 2, angle, zoom)
        matrix[:, 2] += (CANVAS - SIDE) / 2 + shift
        if mirrored:
            matrix[0] *= -1
            matrix[0, 2] += CANVAS - 1
        image = cv2.warpAffine(
            self.bank.crops[row], matrix, (CANVAS, CANVAS), borderMode=cv2.BORDER_REFLECT_101
        )
        mesh = self.bank.landmarks[row] @ matrix[:, :2].T + matrix[:, 2]
        return Face(image, mesh)

    def covered(self, face: Face) -> tuple[Face, np.ndarray]:
        """Return the face behind nothing, one thing or two, and how far it is covered."""
        random = self.random
        hidden = np.zeros((CANVAS, CANVAS), np.float32)
        if random.random() < FREE:
            return face, hidden
        for _ in range(1 if random.random() < 0.8 else 2):
            image, alpha = cover(face, any_kind(random), self.textures, random)
            face = Face(image, face.mesh)
            hidden = np.maximum(hidden, alpha)
        return face, hidden

    def sample(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a picture (128, 128, 3) uint8, mesh on it, and two maps (2, 128, 128) uint8.

        The maps are the face's true hull and what covers the picture.
        """
        random = self.random
        face, hidden = self.covered(self.face())
        hull = hull_polygon(face.mesh[None], CANVAS)[0]
        kind = list(KIND_SHARES)[random.choice(len(KIND_SHARES), p=list(KIND_SHARES.values()))]
        image = degrade(recoloured(face.image, random), kind, random)
        amount = abs(random.normal(0, 0.06)) if random.random() < 0.5 else 0.01
        mesh = jittered(face.mesh, amount, random)
        maps = np.dstack([hull, hidden * 255]).astype(np.uint8)
        return (shrunk(image), *onto(mesh, shrunk(maps)))

    def batch(self, size: int) -> dict[str, torch.Tensor]:
        """Return `picture` (B, 3, 128, 128), `hull`, `truth`, `weight` (B, 1, 128, 128)."""
        samples = [self.sample() for _ in range(size)]
        return tensors(*(np.stack(part) for part in zip(*samples, strict=True)))


def shrunk(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA)


def onto(mesh: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring a mesh from the canvas to the network's pixels, and channels to the front."""
    return (mesh + 0.5) * (MASK_SIZE / CANVAS) - 0.5, maps.transpose(2, 0, 1)


def tensors(pictures: np.ndarray, meshes: np.ndarray, maps: np.ndarray) -> dict[str, torch.Tensor]:
    """Make a batch of samples."""
    hull, hidden = torch.from_numpy(np.ascontiguousarray(maps)).float().div_(255).unbind(1)
    seen = hull_input(torch.from_numpy(meshes.astype(np.float32)), MASK_SIZE)
    truth = (hull * (1 - hidden))[:, None]
    # What is outside both hulls is never pasted; what covers the face is the task.
    place = torch.maximum(seen, hull[:, None])
    weight = 0.1 + 0.9 * torch.nn.functional.max_pool2d(place, 9, 1, 4)
    weight = weight + 0.7 * (hull * hidden)[:, None]
    picture = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    return {"picture": picture, "hull": seen, "truth": truth, "weight": weight}
