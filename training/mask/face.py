"""Where a face lies on the canvas on which things are put in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.common.mesh import LIPS


@dataclass(frozen=True)
class Face:
    """Where the face is on the canvas."""

    image: np.ndarray
    """(S, S, 3) uint8 RGB."""
    mesh: np.ndarray
    """(468, 2), pixels."""

    @property
    def height(self) -> float:
        return float(np.ptp(self.mesh[:, 1]))

    @property
    def mouth(self) -> np.ndarray:
        return self.mesh[list(LIPS)].mean(0)

    def within(self, random: np.random.Generator) -> np.ndarray:
        """Return a random place on the face."""
        one, two = self.mesh[random.integers(len(self.mesh), size=2)]
        return one + random.random() * (two - one)

    def skin(self) -> np.ndarray:
        """Return the mean colour of the cheeks."""
        size = len(self.image)
        x, y = np.clip(np.rint(self.mesh[[50, 280]]).astype(int), 2, size - 3).T
        spots = zip(x, y, strict=True)
        around = [self.image[b - 2 : b + 3, a - 2 : a + 3] for a, b in spots]
        return np.mean(around, (0, 1, 2))


Painted = tuple[np.ndarray, np.ndarray]
"""Colour (S, S, 3) float32 0..255 and coverage (S, S) float32 0..1."""
