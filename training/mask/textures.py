"""What occluders are made of: patches of skin, hair, clothes and pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import skimage

from training.common.faces import INNER, SIDE, Bank
from training.common.mesh import CHIN, FOREHEAD

CHEEKS = (50, 280, 205, 425, 9, 151)
"""Mesh points in the middle of plain skin: cheeks and forehead."""

PATCH = 48
LEAST_EYES = 45.0
"""Native interocular distance from which a crop has texture to take."""

TRAINING_PICTURES = (
    *("astronaut.png", "brick.png", "coffee.png", "grass.png", "motorcycle_left.png"),
    *("rocket.jpg", "page.png", "ihc.png", "color.png", "hubble_deep_field.jpg"),
)
VALIDATION_PICTURES = ("chelsea.png", "gravel.png", "text.png", "coins.png", "retina.jpg")
"""Pictures that come with scikit-image."""


def _patch(crop: np.ndarray, centre: np.ndarray, side: int = PATCH) -> np.ndarray | None:
    x, y = np.rint(centre - side / 2).astype(int)
    if x < 0 or y < 0 or x + side > SIDE or y + side > SIDE:
        return None
    return crop[y : y + side, x : x + side].copy()


class Textures:
    """Patches of one side of the split.

    Parameters
    ----------
    bank
        Faces.
    rows
        Those to take from.
    validation
        Which of scikit-image's pictures.
    hands
        Cut-outs of real hands, RGBA (h, w, 4), may be none.
    """

    def __init__(
        self,
        bank: Bank,
        rows: np.ndarray,
        *,
        validation: bool,
        hands: list[np.ndarray] | None = None,
    ) -> None:
        self.bank, self.hands = bank, hands or []
        sharp = rows[(bank.eyes[rows] >= LEAST_EYES) & (bank.presence[rows] > 0.9)]
        self.heads = sharp
        self.skin: list[np.ndarray] = []
        self.hair: list[np.ndarray] = []
        self.cloth: list[np.ndarray] = []
        for row in sharp:
            crop, mesh = bank.crops[row], bank.landmarks[row]
            found = [_patch(crop, mesh[point], 26) for point in CHEEKS]
            self.skin += [patch for patch in found if patch is not None]
            up = mesh[FOREHEAD] - mesh[CHIN]
            hair = _patch(crop, mesh[FOREHEAD] + 0.16 * up)
            cloth = _patch(crop, mesh[CHIN] - 0.2 * up, 28)
            self.hair += [] if hair is None else [hair]
            self.cloth += [] if cloth is None else [cloth]
        folder = Path(skimage.__file__).parent / "data"
        names = VALIDATION_PICTURES if validation else TRAINING_PICTURES
        pictures = [cv2.imread(str(folder / name), cv2.IMREAD_COLOR) for name in names]
        self.pictures = [picture[..., ::-1] for picture in pictures if picture is not None]

    def _pick(self, pool: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
        return pool[random.integers(len(pool))]

    def spread(self, patch: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
        """Return (size, size, 3) float32 0..255: the patch mirrored on and on, turned, scaled."""
        zoom = random.uniform(0.7, 2.2) * size / INNER
        matrix = cv2.getRotationMatrix2D((0, 0), random.uniform(0, 360), zoom)
        matrix[:, 2] = random.uniform(0, size, 2)
        wide = cv2.warpAffine(
            np.ascontiguousarray(patch), matrix, (size, size), borderMode=cv2.BORDER_REFLECT
        )
        return wide.astype(np.float32)

    def skin_like(
        self, mean: np.ndarray | None, size: int, random: np.random.Generator
    ) -> np.ndarray:
        """Skin of a stranger, drawn to a mean colour if one is given."""
        texture = self.spread(self._pick(self.skin, random), size, random)
        if mean is not None:
            gain = mean / np.maximum(texture.mean((0, 1)), 8)
            texture = texture * gain * np.exp(random.normal(0, 0.08) + random.normal(0, 0.03, 3))
        return np.clip(texture, 0, 255)

    def thing(self, size: int, random: np.random.Generator) -> np.ndarray:
        """Clothes, a piece of a picture, a plain colour, noise."""
        way = random.random()
        if way < 0.35:
            return self.spread(self._pick(self.cloth, random), size, random)
        if way < 0.7:
            picture = self._pick(self.pictures, random)
            side = int(random.integers(60, min(picture.shape[:2])))
            y, x = (int(random.integers(0, length - side + 1)) for length in picture.shape[:2])
            part = cv2.resize(picture[y : y + side, x : x + side], (size, size))
            return part.astype(np.float32)
        texture = np.empty((size, size, 3), np.float32)
        texture[:] = random.integers(0, 256, 3)
        if random.random() < 0.5:
            texture[:] = texture.mean()
        rough = random.normal(0, random.uniform(0, 25), (size // 4, size // 4, 1))
        texture += cv2.resize(rough.astype(np.float32), (size, size))[..., None]
        return np.clip(texture, 0, 255)

    def strands(self, random: np.random.Generator) -> np.ndarray:
        """Return the colours (P, 3) of a patch of hair."""
        return self._pick(self.hair, random).reshape(-1, 3).astype(np.float32)

    def head(self, size: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return somebody's crop at the canvas' scale (size', size', 3) and mesh on it."""
        row = int(self.heads[random.integers(len(self.heads))])
        zoom = size / INNER
        side = round(SIDE * zoom)
        crop = cv2.resize(self.bank.crops[row], (side, side), interpolation=cv2.INTER_AREA)
        return crop.astype(np.float32), self.bank.landmarks[row] * zoom
