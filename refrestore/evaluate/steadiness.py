"""Metrics of faces in motion, each defined where it is computed.

They are taken in crops that follow the true face, so that what is left is the restorer's own
motion. Identity jitter (VIDD) and its deviation are in `metrics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from refrestore.faces.hull import hull_polygon
from refrestore.restore.hull_mask import grown
from refrestore.types import FloatArray, ImageArray

RING = 0.03
"""Half the width of the ring around the mask's edge, over the side of an FFHQ crop: about half an
eye's width in all."""

UPPER_LIP, LOWER_LIP, EYE_ENDS = 13, 14, (33, 263)
"""Points of MediaPipe's mesh."""

STILL = 1e-3
"""Deviation of a mouth's opening, over the distance of the eyes, below which nothing moves."""

ROUND_TRIP = 1.0
"""Pixels by which the flow there and back may miss: beyond, something was covered (Lai et al.)."""


def landmark_motion_error(
    found: NDArray[np.floating], truth: NDArray[np.floating], interocular: float
) -> float:
    """Return how differently landmarks move from the true ones (TLME).

    The mean over frames and points of |(x(t+1) - x(t)) - (y(t+1) - y(t))|, x found and y true,
    over the interocular distance. PGTFormer (IJCAI 2024) reports a metric of this name and does
    not define it; this is the definition used here.

    Parameters
    ----------
    found, truth : (T, K, 2)
        In pixels of the same crops; at least two frames.
    interocular
        True distance of the eyes in those pixels.
    """
    apart = np.diff(found, axis=0) - np.diff(truth, axis=0)
    return float(np.linalg.norm(apart, axis=-1).mean() / interocular)


def speech_likeness(found: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Return how a mouth's motion follows the true one: a correlation over time, -1..1.

    Of the distance of the lips' inner edges over that of the eyes' outer corners; NaN of a mouth
    that truly does not move, and 0 of one that does not though the true one does.

    Parameters
    ----------
    found, truth : (T, 468, 2)
        Meshes in pixels of the same crops.
    """
    opening = [
        np.linalg.norm(one[:, UPPER_LIP] - one[:, LOWER_LIP], axis=1)
        / np.linalg.norm(one[:, EYE_ENDS[0]] - one[:, EYE_ENDS[1]], axis=1)
        for one in (found, truth)
    ]
    moves, truly = (np.std(one) >= STILL for one in opening)
    if not truly:
        return float("nan")
    if not moves:
        return 0.0
    return float(np.corrcoef(*opening)[0, 1])


def lids_right(found: Sequence[float], truth: Sequence[float]) -> float:
    """Return the share of frames in which eyes are as far shut as they truly are, to half of it.

    Parameters
    ----------
    found, truth : (T,)
        0 open, 1 shut.
    """
    apart = np.abs(np.subtract(found, truth))
    return float(np.mean(apart < 1 / 2))


@dataclass(frozen=True, eq=False)
class Flow:
    """Where the pixels of one picture are in the next, and for which that is known.

    Parameters
    ----------
    grid : (H, W, 2) float32
        Position in the next picture of each pixel of this one.
    known : (H, W) bool
        False where something was covered or left the picture.
    """

    grid: FloatArray
    known: NDArray[np.bool_]

    def back(self, image: ImageArray) -> FloatArray:
        """Return the next picture (H, W, 3) as this one would see it, float32."""
        x, y = self.grid[..., 0], self.grid[..., 1]
        moved = cv2.remap(image.astype(np.float32), x, y, cv2.INTER_LINEAR)
        return np.asarray(moved, np.float32)


def dense_flow(this: ImageArray, following: ImageArray) -> Flow:
    """Return the flow from a picture to the next by OpenCV's DIS (Kroeger et al., ECCV 2016).

    Parameters
    ----------
    this, following : (H, W, 3) uint8
        RGB; of the truth, so that no restorer's flicker passes for motion.
    """
    first, second = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (this, following))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = first.shape
    there, back = (
        np.asarray(search.calc(*pair, np.zeros((height, width, 2), np.float32)), np.float32)
        for pair in ((first, second), (second, first))
    )
    own = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
    grid: FloatArray = own + there
    returned = cv2.remap(back, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR)
    missed = np.linalg.norm(there + returned, axis=-1)
    inside = ((grid >= 0) & (grid <= (width - 1, height - 1))).all(axis=-1)
    return Flow(grid, inside & (missed <= ROUND_TRIP))


def ring_mask(landmarks: FloatArray, size: int) -> NDArray[np.bool_]:
    """Return the ring around the edge of what a restorer pastes, (size, size).

    Parameters
    ----------
    landmarks : (468, 2)
        The true mesh in pixels of the crop; enlarged as the restorer's mask is.
    """
    hard = hull_polygon(grown(torch.from_numpy(landmarks[None])).numpy(), size)[0]
    reach = 2 * round(RING * size) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    ring: NDArray[np.bool_] = cv2.dilate(hard, kernel) > cv2.erode(hard, kernel)
    return ring


@dataclass
class Steadiness:
    """How much a face's pixels change beyond its true motion, summed up frame by frame.

    Every next frame is brought back along the true flow and compared with this one. Two crops
    and a few sums are all that is held, however long the clip.
    """

    _squares: dict[str, float] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def add(
        self, this: ImageArray, following: ImageArray, flow: Flow, landmarks: FloatArray
    ) -> None:
        """Take a pair of neighbouring crops.

        Parameters
        ----------
        this, following : (S, S, 3) uint8
            RGB crops that follow the true face.
        flow
            Of the truth between them.
        landmarks : (468, 2)
            The true mesh in the first.
        """
        change = np.square(flow.back(following) - this.astype(np.float32)).mean(axis=-1)
        size = this.shape[0]
        face = hull_polygon(landmarks[None], size)[0] > 0
        for name, region in (("face", face), ("ring", ring_mask(landmarks, size))):
            where = region & flow.known
            self._squares[name] = self._squares.get(name, 0.0) + float(change[where].sum())
            self._counts[name] = self._counts.get(name, 0) + int(where.sum())

    @property
    def warping_error(self) -> float:
        """Root of the mean squared change inside the face, grey levels.

        Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, section 4.1, whose
        E_warp is its square (of values in 0..1): only pixels that stay in sight count.
        """
        return self._root("face")

    @property
    def ring_deviation(self) -> float:
        """Temporal deviation in the ring around the mask, grey levels.

        The standard deviation that independent noise would need to make neighbouring frames as
        different as they are. Boundary flicker is this less the input's.
        """
        return self._root("ring") / float(np.sqrt(2))

    def _root(self, name: str) -> float:
        count = self._counts.get(name, 0)
        return float(np.sqrt(self._squares[name] / count)) if count else float("nan")
