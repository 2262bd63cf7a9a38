"""Faces whose eyes are known to be open or shut, as films show them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from refrestore.faces.eyes import eye_openness, open_level
from refrestore.restore.lids import eye_pictures
from training.common.degrade import degrade, drawn
from training.common.faces import INNER, SIDE, Bank
from training.common.split import held_out
from training.fusion.data import DEVELOPMENT, MARGIN, as_small
from training.lids.shutting import shutting

SHUT, OPEN = 0.5, 0.68
"""Openness over a clip's own open eyes up to which eyes are shut, and from which open."""

FEWEST = 8
"""Faces of a clip from which it is known how open its eyes are. Photos of other days, other light
and with glasses say nothing of it (a quarter of them would be shut): they are taken for open."""

NARROW, LOWERED = 0.5, 0.8
"""Part of its way that a lid has come down up to which eyes are open, and from which shut."""

MADE = 0.4
"""Of the samples, whose lids are drawn down (`shutting`): mostly all the way."""

FILMED = 0.12
"""Of the samples, eyes that are shut in a clip: the few there are."""

DEGRADATIONS = {
    **{"poor": 0.12, "moderate": 0.24, "legible": 0.1, "far": 0.16, "severe": 0.2},
    **{"video": 0.12, "clean": 0.055, "drawn": 0.005},
}
SEEN_FROM = 20.0
"""Distance of the eyes in the picture, pixels, from which it says what lids do."""

NOISE = 0.006
"""Deviation of the mesh that is found, over the crop's side."""


class Samples:
    """Endless batches, drawn anew from a seed.

    Parameters
    ----------
    bank
        What `training.common.faces` wrote.
    seed
        Of everything random.
    without
        Stems of clips that are not learnt from, besides those held out for all networks.
    """

    def __init__(self, bank: Bank, seed: int, without: frozenset[str] = frozenset()) -> None:
        self.random, self.bank = np.random.default_rng(seed), bank
        known = known_lids(bank)
        apart = np.array(
            [
                held_out(name) or name.split("#")[0] in without or name in DEVELOPMENT
                for name in bank.people
            ]
        )
        usable = ~apart[bank.person] & (bank.presence > 0.5) & (bank.eyes > SEEN_FROM)
        self.shut = np.flatnonzero(usable & (known >= 1))
        self.open = np.flatnonzero(usable & ~(known > 0))

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return eyes, (B, 2, 40, 64), and how far they are shut, (B,)."""
        parts = [self.sample() for _ in range(size)]
        faces, meshes, shut = (np.stack(part) for part in zip(*parts, strict=True))
        pictures = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255
        eyes = eye_pictures(pictures, torch.from_numpy(meshes))
        return eyes, torch.from_numpy(shut)

    def sample(self) -> tuple[np.ndarray, np.ndarray, np.float32]:
        """Return a degraded crop of 256 px, its mesh, and how far the eyes are shut."""
        random, what = self.random, self.random.random()
        row = int(random.choice(self.shut if what < FILMED else self.open))
        image, mesh = self.bank.crops[row], self.bank.landmarks[row].astype(np.float64)
        shut = float(what < FILMED)
        if FILMED <= what < FILMED + MADE:
            share = random.uniform(0, 1) if random.random() < 0.3 else random.uniform(0.85, 1.05)
            image, shut = shutting(image, mesh, share), (share - NARROW) / (LOWERED - NARROW)
        middle = (SIDE / 2, SIDE / 2)
        turn = cv2.getRotationMatrix2D(middle, random.normal(0, 6), random.uniform(0.85, 1.1))
        turn[:, 2] += random.normal(0, 4, 2) - MARGIN
        face = cv2.warpAffine(image, turn, (INNER, INNER), flags=cv2.INTER_CUBIC)
        mesh = mesh @ turn[:, :2].T + turn[:, 2]
        kind = str(random.choice(list(DEGRADATIONS), p=list(DEGRADATIONS.values())))
        if kind == "drawn":
            shown, sharp = drawn(face, random)
            face = sharp if random.random() < 0.5 else shown
        elif random.random() < 0.25:
            face = as_small(face, int(random.choice([64, 96, 128])), random)
            face = cv2.resize(face, (INNER, INNER), interpolation=cv2.INTER_LINEAR)
        else:
            face = degrade(face, kind, random)
        # Light and contrast are the film's, and the mesh is found on a blurred face.
        curve = np.linspace(0, 1, 256) ** random.uniform(0.7, 1.4) * random.uniform(140, 255)
        face = cv2.LUT(face, curve.astype(np.uint8))
        spread = NOISE * INNER
        mesh = mesh + random.normal(0, spread, (1, 2)) + random.normal(0, spread / 3, mesh.shape)
        return face, mesh.astype(np.float32), np.float32(np.clip(shut, 0, 1))


def known_lids(bank: Bank) -> np.ndarray:
    """Return how far each face's eyes are shut by its clip's, (N,), NaN where nobody knows."""
    openness = np.array(
        [
            float(eye_openness(image, mesh[None])[0])
            for image, mesh in zip(bank.crops, bank.landmarks, strict=True)
        ]
    )
    known = np.full(len(openness), np.nan)
    for person in np.unique(bank.person):
        rows = np.flatnonzero(
            (bank.person == person) & (bank.presence > 0.5) & (bank.eyes > SEEN_FROM)
        )
        if len(rows) >= FEWEST and "#" in bank.people[person]:
            share = openness[rows] / open_level(openness[rows].tolist())
            known[rows] = ((OPEN - share) / (OPEN - SHUT)).clip(0, 1)
    return known


def open_bank(path: Path) -> Bank:
    """Return the bank; single-threaded like all of a training."""
    cv2.setNumThreads(1)
    return Bank.open(path)
