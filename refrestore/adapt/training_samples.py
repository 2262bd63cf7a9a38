"""Samples of a person: a reference spoilt, the others beside it, and what it was."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from refrestore.evaluate.degrade import TUNING, DegradationRange, degrade
from refrestore.faces.align import ARCFACE_TEMPLATE, similarity
from refrestore.faces.landmarker import Landmarker
from refrestore.faces.pose import mesh_keypoints
from refrestore.restore.bank import ReferenceBank, light_of
from refrestore.restore.fusion import FusionNetwork
from refrestore.restore.fusion_bands import WORKING
from refrestore.restore.fusion_types import Mixture
from refrestore.restore.hull_mask import hull_cells
from refrestore.restore.restorer import DEFAULT_REFERENCES
from refrestore.restore.select import select
from refrestore.restore.warp import displacement
from refrestore.types import DoubleArray, FloatArray, ImageArray

LEFT, TOP, WINDOW = 32, 40, 192
"""The part of the working picture (256 px) that is learnt from: all of the face."""

FORGOTTEN = 0.3
"""Share of the other references that a sample does without, so that each meets all others."""

TURN, ZOOM, SHIFT = 4.0, 0.05, 5.0
"""Degrees, share and pixels by which crops are cut askew in four of ten samples."""


@dataclass(frozen=True, eq=False)
class TrainingSample:
    """B faces that the network has looked at.

    Parameters
    ----------
    seen
        What it saw.
    truth : (B, 3, T, T) float32
        What the faces were.
    matrices : (B, 2, 3) float32
        To the recogniser's alignment.
    """

    seen: Mixture
    truth: torch.Tensor
    matrices: torch.Tensor

    @classmethod
    def together(cls, samples: Sequence[TrainingSample]) -> TrainingSample:
        """Return samples as one batch."""
        seen = {
            one.name: torch.cat([getattr(sample.seen, one.name) for sample in samples])
            for one in fields(Mixture)
            if one.name != "side"
        }
        return cls(
            Mixture(**seen, side=samples[0].seen.side),
            torch.cat([sample.truth for sample in samples]),
            torch.cat([sample.matrices for sample in samples]),
        )


def spoilt(image: ImageArray, random: np.random.Generator, ranges: DegradationRange) -> ImageArray:
    """Return a degraded copy of a crop."""
    return degrade(image, ranges.draw(random), random)


def askew(
    image: ImageArray, mesh: FloatArray, random: np.random.Generator
) -> tuple[ImageArray, FloatArray]:
    """Return a crop and its mesh as if cut by landmarks that are a little off."""
    size = image.shape[0]
    turn, zoom = random.uniform(-TURN, TURN), 1 + random.uniform(-ZOOM, ZOOM)
    move = cv2.getRotationMatrix2D((size / 2, size * 0.55), turn, zoom)
    move[:, 2] = move[:, 2] + random.normal(0, SHIFT, 2)
    cut = cv2.warpAffine(
        image, move, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    moved = mesh @ move[:, :2].T + move[:, 2]
    return np.asarray(cut, np.uint8), moved.astype(np.float32)


class SampleMaker:
    """Makes samples of one person.

    Parameters
    ----------
    network
        The untuned network.
    landmarker
        Finds the mesh on the spoilt face, as in use.
    random
        Of everything drawn.
    dtype
        What the network computes in.
    """

    def __init__(
        self,
        network: FusionNetwork,
        landmarker: Landmarker,
        random: np.random.Generator,
        dtype: torch.dtype,
    ) -> None:
        self.network, self.landmarker, self.random = network, landmarker, random
        self.device = next(network.parameters()).device
        self.dtype = dtype

    def draw(
        self,
        target: ReferenceBank,
        rows: Sequence[int],
        bank: ReferenceBank,
        without: Collection[int] = (),
    ) -> TrainingSample:
        """Return a sample: one of `rows` of `target`, restored from `bank`.

        Parameters
        ----------
        without
            Rows of `bank` never used; if it is `target`, the drawn row is not either.
        """
        random = self.random
        row = int(random.choice(list(rows)))
        image = np.ascontiguousarray(target.images[row].permute(1, 2, 0).numpy())
        mesh = target.landmarks[row]
        if random.random() < 0.4:
            image, mesh = askew(image, mesh, random)
        face = spoilt(image, random, TUNING[random.random() >= 0.5])
        hidden = set(without) | ({row} if bank is target else set())
        left = [one for one in range(len(bank)) if one not in hidden]
        count = min(DEFAULT_REFERENCES, len(left))
        spare = min(round(FORGOTTEN * len(left)), len(left) - count)
        hidden |= set(random.permutation(left)[:spare].tolist())
        return self.looked_at(face, image, mesh, bank, hidden)

    @torch.no_grad()
    def looked_at(
        self,
        face: ImageArray,
        truth: ImageArray,
        mesh: FloatArray,
        bank: ReferenceBank,
        hidden: Collection[int],
    ) -> TrainingSample:
        """Let the network look at a spoilt crop beside the references that suit it."""
        found = self.landmarker.dense(face[None])[0]
        light = light_of(_planes(face))
        (chosen,) = select(bank, found, light, DEFAULT_REFERENCES, exclude=[hidden])
        chosen = chosen[chosen >= 0]
        meshes = torch.from_numpy(bank.landmarks[chosen])[None]
        offsets = displacement(torch.from_numpy(found), meshes, face.shape[0])
        corner = torch.tensor([LEFT, TOP], dtype=torch.float32)
        pictures = bank.images[torch.from_numpy(chosen)].to(self.device)
        little = F.avg_pool2d(pictures.float(), WORKING) / 255
        cells = offsets / WORKING
        part = cells[..., TOP // 2 : (TOP + WINDOW) // 2, LEFT // 2 : (LEFT + WINDOW) // 2]
        hull = hull_cells(torch.from_numpy(found))
        with torch.autocast(self.device.type, self.dtype, self.dtype != torch.float32):
            seen = self.network.look(
                crop_of(face).to(self.device),
                little[None],
                (part + corner[:, None, None]).contiguous().to(self.device),
                torch.ones((1, len(chosen)), dtype=torch.bool, device=self.device),
                hull[..., TOP // 4 : (TOP + WINDOW) // 4, LEFT // 4 : (LEFT + WINDOW) // 4].to(
                    self.device
                ),
            )
        kept = {one.name: getattr(seen, one.name) for one in fields(Mixture)}
        for name in ("field", "light", "attention"):  # not needed, and of any number of references
            kept[name] = kept[name][..., :0].flatten(1)
        matrices = torch.from_numpy(to_recogniser(mesh)).to(self.device)
        return TrainingSample(Mixture(**kept), crop_of(truth).to(self.device), matrices)


def crop_of(image: ImageArray) -> torch.Tensor:
    """Return the window (1, 3, T, T) of a crop (512, 512, 3) at the working resolution, 0..1."""
    small = F.avg_pool2d(_planes(image).float() / 255, WORKING)
    return small[..., TOP : TOP + WINDOW, LEFT : LEFT + WINDOW].contiguous()


def to_recogniser(mesh: FloatArray) -> FloatArray:
    """Return the (1, 2, 3) matrix from the window's pixels to the recogniser's alignment."""
    five = (mesh_keypoints(mesh[None]) + 0.5) / WORKING - 0.5 - (LEFT, TOP)
    matrix: DoubleArray = similarity(five, ARCFACE_TEMPLATE)
    return matrix.astype(np.float32)


def _planes(image: ImageArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
