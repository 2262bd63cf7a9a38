"""The reference bank: one person's close-ups, as tensors the restorer can pick from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from refrestore.errors import UsageError
from refrestore.media.tensors import at
from refrestore.restore.drawn_lids import draw_lids
from refrestore.types import DENSE_LANDMARKS, EMBEDDING_SIZE, FloatArray, IntArray, Reference

if TYPE_CHECKING:
    from refrestore.restore.adapter import Adapter

LIGHT_CELLS = 8
"""Light is compared on a grid of this many cells a side (64 px at 512): shading, no features."""

LIDS_STEPS = 2
"""In so many steps the lids of references are drawn down."""

PHOTO = -1
"""Stands in `ReferenceBank.frames` for a reference that is no frame of the project's video."""


def light_of(images: torch.Tensor) -> FloatArray:
    """Describe the light of aligned crops.

    Parameters
    ----------
    images : (N, 3, S, S)
        RGB, uint8 or float in 0..1.

    Returns
    -------
    (N, 64) float32
        Mean luminance of an 8 x 8 grid over the middle three quarters of each crop (skin, not
        background), less its mean and over its spread: exposure and contrast do not count, the
        direction of the light does.
    """
    if not len(images):
        return np.zeros((0, LIGHT_CELLS**2), np.float32)
    size = images.shape[-1]
    margin = size // 8
    middle = images[..., margin : size - margin, margin : size - margin].float()
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device)  # ITU-R BT.601 luma
    pooled = torch.nn.functional.adaptive_avg_pool2d(middle, LIGHT_CELLS)
    cells = (pooled * weights[:, None, None]).sum(1).flatten(1)
    cells = cells - cells.mean(dim=1, keepdim=True)
    spread = cells.std(dim=1, keepdim=True)
    scale = 0.02 if images.is_floating_point() else 0.02 * 255
    result: FloatArray = (cells / (spread + scale)).cpu().numpy().astype(np.float32)
    return result


def own_likeness(embeddings: FloatArray) -> float | None:
    """Return the mean similarity of unit embeddings (N, 512) to the mean of the others."""
    if len(embeddings) < 2:
        return None
    others = embeddings.sum(axis=0) - embeddings
    similarity = (embeddings * others).sum(axis=1) / np.linalg.norm(others, axis=1)
    return float(similarity.mean())


@dataclass(frozen=True, eq=False, slots=True)
class BankTensors:
    """A bank's pictures, (N, 3, S, S) uint8, and meshes, (N, 468, 2) float32, on a device."""

    images: torch.Tensor
    meshes: torch.Tensor

    def rows(self, rows: IntArray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return pictures and meshes of some rows."""
        index = at(rows, self.images.device)
        return self.images[index], self.meshes[index]


@dataclass(frozen=True, eq=False)
class ReferenceBank:
    """N references of one person.

    Parameters
    ----------
    images : (N, 3, S, S) uint8 tensor
        RGB crops aligned to the FFHQ template.
    landmarks : (N, 468, 2) float32
        Dense landmarks in crop pixels.
    pose : (N, 3) float32
        Yaw, pitch, roll in degrees.
    quality : (N,) float32
        0..1.
    native_size : (N,) float32
        Face size in pixels where the crop was taken.
    embeddings : (N, 512) float32
        Unit identity embeddings.
    frames : (N,) int64
        Frame index in the project's video, or -1 for a photo.
    light : (N, 64) float32
        See `light_of`.
    adapter
        The person's change to the fusion network, or None.
    """

    images: torch.Tensor
    landmarks: FloatArray
    pose: FloatArray
    quality: FloatArray
    native_size: FloatArray
    embeddings: FloatArray
    frames: IntArray
    light: FloatArray
    adapter: Adapter | None = None

    def __post_init__(self) -> None:
        count = len(self.images)
        for column in fields(self):
            if column.name == "adapter":
                continue
            if len(getattr(self, column.name)) != count:
                raise ValueError(
                    f"ReferenceBank.{column.name} has {len(getattr(self, column.name))} rows, "
                    f"images has {count}"
                )
        if self.landmarks.shape[1:] != (DENSE_LANDMARKS, 2):
            raise ValueError(f"ReferenceBank.landmarks has shape {self.landmarks.shape}")

    @classmethod
    def from_references(cls, references: Sequence[Reference], *, size: int = 512) -> ReferenceBank:
        """Build a bank; crops of another size than `size` are resized with their landmarks.

        Raises
        ------
        UsageError
            A reference whose crop is not a square RGB picture.
        """
        images, landmarks = [], []
        for reference in references:
            image = reference.image
            if image.ndim != 3 or image.shape[0] != image.shape[1] or image.shape[2] != 3:
                raise UsageError(
                    f"The reference {reference.source} has shape {image.shape}; "
                    "a square RGB crop is needed."
                )
            factor = size / image.shape[0]
            if factor != 1:
                way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
                image = np.asarray(cv2.resize(image, (size, size), interpolation=way), np.uint8)
            images.append(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1))
            # Pixel centres are whole numbers, so scaling is about (-0.5, -0.5).
            landmarks.append((reference.landmarks + 0.5) * factor - 0.5)
        stacked = (
            torch.stack(images).contiguous()
            if images
            else torch.zeros((0, 3, size, size), dtype=torch.uint8)
        )

        def column(values: list[FloatArray], *tail: int) -> FloatArray:
            return np.asarray(values, np.float32).reshape(len(images), *tail)

        return cls(
            images=stacked,
            landmarks=column(landmarks, DENSE_LANDMARKS, 2),
            pose=column([r.pose for r in references], 3),
            quality=np.asarray([r.quality for r in references], np.float32),
            native_size=np.asarray([r.native_size for r in references], np.float32),
            embeddings=column([r.embedding for r in references], EMBEDDING_SIZE),
            frames=np.asarray(
                [PHOTO if r.frame is None else r.frame for r in references], np.int64
            ),
            light=light_of(stacked),
        )

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def _shown(self) -> dict[tuple[int, str], BankTensors]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {column.name: getattr(self, column.name) for column in fields(self)}

    def on(self, side: int, device: torch.device) -> BankTensors:
        """Return pictures and meshes at a side, where the restorer computes; made once."""
        key = side, str(device)
        if key not in self._shown:
            images, meshes = self.images, torch.from_numpy(self.landmarks)
            own = images.shape[-1]
            if side != own:
                small = torch.nn.functional.interpolate(images.float(), size=side, mode="area")
                images = small.round_().to(torch.uint8)
                meshes = (meshes + 0.5) * (side / own) - 0.5
            self._shown[key] = BankTensors(images.to(device), meshes.to(device))
        return self._shown[key]

    @cached_property
    def _lowered(self) -> dict[int, ReferenceBank]:
        return {0: self}

    def lowered(self, share: float) -> ReferenceBank:
        """Return the same references with lids drawn down so far, 0..1; made once a step."""
        step = round(share * LIDS_STEPS)
        if step not in self._lowered:
            pictures = [
                torch.from_numpy(draw_lids(picture, mesh, step / LIDS_STEPS)).permute(2, 0, 1)
                for picture, mesh in zip(
                    self.images.permute(0, 2, 3, 1).contiguous().numpy(),
                    self.landmarks,
                    strict=True,
                )
            ]
            self._lowered[step] = replace(self, images=torch.stack(pictures))
        return self._lowered[step]

    @property
    def centroid(self) -> FloatArray | None:
        """Unit quality-weighted mean embedding, (512,); None for an empty bank."""
        return self.centroid_without(())

    def centroid_without(self, rows: Sequence[int]) -> FloatArray | None:
        """Return the centroid of the other references (leave-one-out); None if none is left."""
        keep = np.setdiff1d(np.arange(len(self)), np.asarray(rows, np.int64))
        total = (self.embeddings[keep] * (self.quality[keep, None] + 1e-3)).sum(axis=0)
        length = float(np.linalg.norm(total))
        return None if length == 0 else (total / length).astype(np.float32)

    def rows_of_frame(self, frame: int) -> list[int]:
        """Return the rows that were taken from a frame of the project's video."""
        return self.rows_between(frame, frame + 1)

    def photos_among(self, rows: Sequence[int]) -> float:
        """Return the share of rows that are no frames of the project's video, 0..1."""
        return float(np.mean(self.frames[list(rows)] == PHOTO)) if rows else 0.0

    def rows_between(self, first: int, stop: int) -> list[int]:
        """Return the rows that were taken from frames of the project's video, half open."""
        return [int(row) for row in np.flatnonzero((self.frames >= first) & (self.frames < stop))]

    def __repr__(self) -> str:
        return f"ReferenceBank({len(self)} references of {self.images.shape[-1]} px)"
