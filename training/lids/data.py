"""Faces whose eyes are known to be open or shut, as films show them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from refrestore.faces.eyes import eye_openness, open_level
from refrestore.faces.landmarker import Landmarker
from refrestore.restore.drawn_lids import draw_lids
from refrestore.restore.lids import eye_pictures
from training.common.degrade import degrade, drawn
from training.common.faces import INNER, SIDE, Bank
from training.common.split import held_out
from training.fusion.data import DEVELOPMENT, MARGIN, as_small

SHUT, OPEN = 0.5, 0.68
"""Openness over a clip's own open eyes up to which eyes are shut, and from which open."""

FEWEST = 8
"""Faces of a clip from which it is known how open its eyes are. Photos of other days, other light
and with glasses say nothing of it (a quarter of them would be shut): they are taken for open."""

NARROW, LOWERED = 0.5, 0.8
"""Part of its way that a lid has come down up to which eyes are open, and from which shut."""

MADE, FILMED = 0.26, 0.2
"""Of the samples: lids that are drawn down (`draw_lids`), mostly all the way, and eyes that are
shut in a film. Of made ones alone it learns how they are made, and finds fewer real ones."""

UNSURE = (
    *("driving_d8", "driving_d12", "source_s32", "hamilton_clip"),
    *("synthetic_1", "synthetic_1_c723ec", "synthetic_3", "synthetic_3_ca27d6"),
)
"""Clips in which openness says little, looked at: narrow eyes, mirroring glasses, flickering light,
blur. What is shut in them is not learnt from."""

DEGRADATIONS = {
    **{"poor": 0.12, "moderate": 0.24, "legible": 0.1, "far": 0.16, "severe": 0.2},
    **{"video": 0.12, "clean": 0.055, "drawn": 0.005},
}
SEEN_FROM = 20.0
"""Distance of the eyes in the picture, pixels, from which it says what lids do."""

NOISE = 0.004
"""Deviation of the mesh's place besides, over the crop's side."""


class Samples:
    """Endless batches, drawn anew from a seed.

    Parameters
    ----------
    bank, films
        What `training.common.faces` wrote: of photos and films, and of many pictures of films.
    mesh
        The landmark network that finds the mesh on a degraded face, as in use.
    seed
        Of everything random.
    without
        Stems of clips that are not learnt from, besides those held out for all networks.
    """

    def __init__(
        self, bank: Path, films: Path, mesh: Path, seed: int, without: frozenset[str] = frozenset()
    ) -> None:
        cv2.setNumThreads(1)
        self.random = np.random.default_rng(seed)
        self.banks = [Bank.open(bank), Bank.open(films)]
        self.landmarker = Landmarker(mesh, threads=1)
        self.shut: list[tuple[int, list[int]]] = []
        self.open: list[list[int]] = []
        for which, one in enumerate(self.banks):
            known = known_lids(one)
            stems = [name.split("#")[0] for name in one.people]
            apart = [
                held_out(name) or stem in without or stem in DEVELOPMENT
                for name, stem in zip(one.people, stems, strict=True)
            ]
            usable = ~np.array(apart)[one.person] & (one.presence > 0.5) & (one.eyes > SEEN_FROM)
            sure = np.array([not stem.endswith(UNSURE) for stem in stems])[one.person]
            shut = usable & sure & (known >= 1)
            for person in np.unique(one.person[shut]):
                rows = np.flatnonzero(shut & (one.person == person))
                self.shut.append((which, rows.tolist()))
            self.open.append(np.flatnonzero(usable & ~(known > 0)).tolist())

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
        if what < FILMED:
            which, rows = self.shut[random.integers(len(self.shut))]
            row = int(random.choice(rows))
        else:
            which = int(random.integers(len(self.banks)))
            row = int(random.choice(self.open[which]))
        bank = self.banks[which]
        image, mesh = bank.crops[row], bank.landmarks[row].astype(np.float64)
        shut = float(what < FILMED)
        if FILMED <= what < FILMED + MADE:
            share = random.uniform(0, 1) if random.random() < 0.3 else random.uniform(0.85, 1.05)
            image, shut = draw_lids(image, mesh, share), (share - NARROW) / (LOWERED - NARROW)
        middle = (SIDE / 2, SIDE / 2)
        turn = cv2.getRotationMatrix2D(middle, random.normal(0, 6), random.uniform(0.85, 1.1))
        turn[:, 2] += random.normal(0, 4, 2) - MARGIN
        face = cv2.warpAffine(image, turn, (INNER, INNER), flags=cv2.INTER_CUBIC)
        kind = str(random.choice(list(DEGRADATIONS), p=list(DEGRADATIONS.values())))
        if kind == "drawn":
            shown, sharp = drawn(face, random)
            face = sharp if random.random() < 0.5 else shown
        elif random.random() < 0.25:
            face = as_small(face, int(random.choice([64, 96, 128])), random)
            face = cv2.resize(face, (INNER, INNER), interpolation=cv2.INTER_LINEAR)
        else:
            face = degrade(face, kind, random)
        curve = np.linspace(0, 1, 256) ** random.uniform(0.7, 1.4) * random.uniform(140, 255)
        face = cv2.LUT(face, curve.astype(np.uint8))
        found = self.landmarker.dense(face[None])[0][0]
        found = found + random.normal(0, NOISE * INNER, (1, 2))
        return face, found.astype(np.float32), np.float32(np.clip(shut, 0, 1))


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
