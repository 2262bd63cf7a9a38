"""From restored crops back to the picture: only the difference travels.

What is pasted is `mask x (restored - crop)`, resampled to the picture's grid and added there.
Where the restorer changed nothing the source keeps its every sample, grain included; nothing is
resampled twice; and the difference can be added at the source's own bit depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it
from torch import Tensor

from refrestore.types import DoubleArray, FloatArray


@dataclass(frozen=True, eq=False)
class Difference:
    """A rectangle of the picture and what to add to it.

    Parameters
    ----------
    left, top
        Its corner on the picture's storage grid.
    residual : (h, w, 3) float32
        RGB difference, -1..1.
    alpha : (h, w) float32
        How much of it, 0..1.
    """

    left: int
    top: int
    residual: FloatArray
    alpha: FloatArray

    @property
    def delta(self) -> FloatArray:
        """What is added, (h, w, 3)."""
        return self.residual * self.alpha[..., None]

    def __repr__(self) -> str:
        height, width = self.alpha.shape
        return f"Difference({width}x{height} at {self.left},{self.top})"


def differences(
    restored: Tensor,
    crops: Tensor,
    masks: Tensor,
    strengths: Sequence[float],
    to_crop: DoubleArray,
    *,
    picture_size: tuple[int, int],
) -> list[Difference]:
    """Return each face's difference on the picture's grid; overlapping faces share their pixels.

    Parameters
    ----------
    restored, crops : (B, 3, S, S) RGB 0..1
        After and before.
    masks : (B, S, S) 0..1
        Where the restored face may show; 0 at the crop's border.
    strengths
        One a face, 0..1.
    to_crop : (B, 2, 3)
        Affine matrices from the picture's storage grid to crop pixels.
    picture_size
        Width and height of that grid.

    Returns
    -------
    list of `Difference`, in the order of the faces; faces outside the picture or with strength 0
    are left out.
    """
    stacked = torch.cat([restored - crops, masks[:, None]], dim=1).float()
    placed = [
        place(stacked[row], to_crop[row], strength, picture_size)
        for row, strength in enumerate(strengths)
        if strength > 0
    ]
    return share_overlaps([one for one in placed if one is not None])


def place(
    layers: Tensor, to_crop: DoubleArray, strength: float, picture_size: tuple[int, int]
) -> Difference | None:
    """Resample (4, S, S) residual and mask to the picture; None where they do not touch it."""
    size = layers.shape[-1]
    box = _covered(layers[3], to_crop, picture_size)
    if box is None:
        return None
    left, top, right, bottom = box
    # Shrinking needs a low-pass first; area-averaging to the grid's own pitch is one.
    pitch = float(np.sqrt(abs(np.linalg.det(to_crop[:, :2]))))
    reduced = max(8, round(size / pitch)) if pitch > 1 else size
    if reduced < size:
        layers = F.interpolate(
            layers[None], size=(reduced, reduced), mode="bilinear", antialias=True
        )[0]
    rows = torch.arange(top, bottom, dtype=torch.float64)
    columns = torch.arange(left, right, dtype=torch.float64)
    matrix = torch.from_numpy(np.ascontiguousarray(to_crop))
    # Normalised coordinates of grid_sample with align_corners=False: edges at -1 and 1.
    x = matrix[0, 0] * columns[None, :] + matrix[0, 1] * rows[:, None] + matrix[0, 2]
    y = matrix[1, 0] * columns[None, :] + matrix[1, 1] * rows[:, None] + matrix[1, 2]
    grid = (torch.stack([x, y], dim=-1) + 0.5) * (2.0 / size) - 1.0
    sampled = F.grid_sample(
        layers[None],
        grid[None].to(layers.device, layers.dtype),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )[0]
    values = sampled.permute(1, 2, 0).cpu().numpy()
    alpha = np.clip(values[..., 3] * np.float32(strength), 0, 1)
    return Difference(left, top, np.ascontiguousarray(values[..., :3]), alpha)


def _covered(
    mask: Tensor, to_crop: DoubleArray, picture_size: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Return the picture's rectangle (left, top, right, bottom) that the mask can reach."""
    used = mask > 0
    columns = torch.nonzero(used.any(dim=0)).flatten().tolist()
    rows = torch.nonzero(used.any(dim=1)).flatten().tolist()
    if not columns:
        return None
    x0, x1, y0, y1 = columns[0] - 1, columns[-1] + 1, rows[0] - 1, rows[-1] + 1
    corners = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], dtype=np.float64)
    inverse = np.linalg.inv(to_crop[:, :2])
    reached = (corners - to_crop[:, 2]) @ inverse.T
    width, height = picture_size
    left, top = np.floor(reached.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(reached.max(axis=0)).astype(int) + 2
    left, top = max(0, int(left)), max(0, int(top))
    right, bottom = min(width, int(right)), min(height, int(bottom))
    return (left, top, right, bottom) if left < right and top < bottom else None


def share_overlaps(faces: Sequence[Difference]) -> list[Difference]:
    """Scale alphas down where they add up to more than 1, so that no pixel is repaired twice."""
    result = list(faces)
    for first in range(len(faces)):
        for second in range(first + 1, len(faces)):
            shared = _intersection(faces[first], faces[second])
            if shared is None:
                continue
            left, top, right, bottom = shared
            windows = [
                (
                    slice(top - face.top, bottom - face.top),
                    slice(left - face.left, right - face.left),
                )
                for face in (result[first], result[second])
            ]
            alphas = [result[first].alpha.copy(), result[second].alpha.copy()]
            total = np.maximum(alphas[0][windows[0]] + alphas[1][windows[1]], 1)
            for index, alpha, window in zip((first, second), alphas, windows, strict=True):
                alpha[window] /= total
                face = result[index]
                result[index] = Difference(face.left, face.top, face.residual, alpha)
    return result


def _intersection(one: Difference, other: Difference) -> tuple[int, int, int, int] | None:
    left, top = max(one.left, other.left), max(one.top, other.top)
    right = min(one.left + one.alpha.shape[1], other.left + other.alpha.shape[1])
    bottom = min(one.top + one.alpha.shape[0], other.top + other.alpha.shape[0])
    return (left, top, right, bottom) if left < right and top < bottom else None
