"""From restored crops back to the picture: only the difference travels.

What is pasted is `mask x (restored - crop)`, resampled to the picture's grid and added there.
Where the restorer changed nothing the source keeps its every sample, grain included; nothing is
resampled twice; and the difference can be added at the source's own bit depth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it
from torch import Tensor

from refrestore.faces.align import invert, scale_of, transform
from refrestore.media.patch import Patch, changes
from refrestore.media.tensors import parts, sent
from refrestore.restore.hull_mask import HULL_GROWTH, grown, hull_mask
from refrestore.restore.resize import resized
from refrestore.types import DoubleArray, FloatArray, ImageArray, IntArray

HEAD_GROWTH = 1.75
"""Hair, ears and neck lie in the mesh enlarged so many times."""

HEAD_EDGE = 0.2
"""Width over the crop's side in which what is drawn of a head gives way to the picture."""

LEAST_SIDE = 8
"""Pixels a side that a crop is shrunk to at least, before it is laid on the picture."""

FINER, SHRUNK_TO = 1.5, 1.2
"""A crop this many times finer than the picture is averaged to so many times first; less finer ones
are sampled as they are, and bicubically: of faces of 64 px restored at 256, averaged to the
picture's own pitch and sampled linearly, two recognisers lose .03 and .01."""


def head_masks(
    landmarks: Tensor, side: int, growth: float = HEAD_GROWTH, edge: float = HEAD_EDGE
) -> Tensor:
    """Return 1 on a face and 0 far from its head or at its crop's edge, (N, S, S).

    Parameters
    ----------
    landmarks : (N, 468, 2) float32
        In pixels of the crop.
    side
        Of the crop.
    growth, edge
        How many times larger than the mesh a head is, and the width over the crop's side in which
        it ends.
    """
    width = edge * side
    heads = hull_mask(grown(landmarks, growth), side, width)
    # What is drawn ends inside the crop.
    place = torch.arange(side, device=heads.device)
    inside = (torch.minimum(place, side - 1 - place) - side // 32).div(width / 2).clamp(0, 1)
    return heads * inside[:, None] * inside


def inside_crops(masks: Tensor) -> Tensor:
    """Return masks, (N, S, S), that end inside their crops, wherever motion has taken them."""
    side = masks.shape[-1]
    place = torch.arange(side, device=masks.device)
    inside = (torch.minimum(place, side - 1 - place) - side // 64).div(side // 64).clamp(0, 1)
    return masks * inside[:, None] * inside


def in_head(faces: Tensor, masks: Tensor, drawn: Tensor, heads: Tensor) -> tuple[Tensor, Tensor]:
    """Set restored faces into heads that were drawn; return images and where they are pasted.

    Parameters
    ----------
    faces, drawn : (N, 3, S, S)
        Restored faces, and what they were restored from.
    masks, heads : (N, S, S)
        Where each of the first two may be seen.
    """
    beneath = heads * (1 - masks)
    both = masks + beneath
    share = (beneath / both.clamp(min=1e-6))[:, None]
    return torch.lerp(faces, drawn, share), both


def mesh_boxes(landmarks: FloatArray, side: int, growth: float = HULL_GROWTH) -> IntArray:
    """Return where faces may be pasted, (N, 4): left, top, right, bottom; these two are beyond.

    Known from the meshes alone, before anything is computed: the mask ends with the grown hull.

    Parameters
    ----------
    landmarks : (N, 468, 2)
        In pixels of the crop.
    side
        Of the crop.
    growth
        Of the hull in which they are pasted.
    """
    low, high = landmarks.min(1), landmarks.max(1)
    middle, half = (low + high) / 2, (high - low) / 2 * growth
    # A pixel more each side: the hull's corners are rounded to pixels.
    edges = [np.floor(middle - half) - 1, np.ceil(middle + half) + 2]
    return np.concatenate(edges, 1).clip(0, side).astype(np.int64)


def differences(
    restored: Tensor,
    before: Tensor,
    masks: Tensor,
    strengths: FloatArray,
    to_crop: DoubleArray,
    *,
    boxes: IntArray,
    picture_size: tuple[int, int],
) -> list[Patch | None]:
    """Return each face's difference on its picture's grid; None for a face that shows nowhere.

    Parameters
    ----------
    restored, before : (B, 3, S, S) RGB 0..1
        Crops after and before.
    masks : (B, S, S) 0..1
        Where the restored face may show; 0 at the crop's border.
    strengths : (B,)
        0..1; a face of strength 0 shows nowhere.
    to_crop : (B, 2, 3)
        Affine matrices from the picture's storage grid to crop pixels.
    boxes : (B, 4)
        Outside of them the masks are 0, from `mesh_boxes` or `steadied`.
    picture_size
        Width and height of the grid.
    """
    result: list[Patch | None] = [None] * len(restored)
    reached = _reached(boxes, to_crop, picture_size)
    shown = np.flatnonzero((strengths > 0) & (reached[:, 2:] > reached[:, :2]).all(1))
    for part in parts(len(shown), restored.device):
        faces = shown[part]
        index = torch.from_numpy(faces).to(restored.device)
        after, was, mask = (planes[index].float() for planes in (restored, before, masks))
        layers = torch.cat([after - was, mask[:, None]], 1)
        placed = _placed(layers, to_crop[faces], reached[faces])
        strength = torch.from_numpy(strengths[faces]).to(placed)
        alpha = (placed[:, 3] * strength[:, None, None]).clamp_(0, 1)
        alpha = _within(alpha, reached[faces])
        residual = placed[:, :3].permute(0, 2, 3, 1)
        changed = changes(residual, alpha).unbind()
        for place, face in enumerate(faces.tolist()):
            left, top, right, bottom = reached[face].tolist()
            seen = place, slice(0, bottom - top), slice(0, right - left)
            result[face] = Patch(left, top, residual[seen], alpha[seen], changed[place])
    return result


def _placed(layers: Tensor, to_crop: DoubleArray, reached: IntArray) -> Tensor:
    """Resample layers (b, 4, S, S) to rectangles of their pictures, (b, 4, h, w).

    h and w are those of the largest; a smaller rectangle is in the top left corner.
    """
    side, device = layers.shape[-1], layers.device
    # Shrinking needs a low-pass first.
    whole = np.full(len(layers), side)
    pitch = scale_of(to_crop)
    wanted = np.where(pitch > FINER, np.rint(side / pitch * SHRUNK_TO), side)
    reduced = np.minimum(side, wanted.clip(LEAST_SIDE)).astype(np.int64)
    layers = resized(layers, whole, reduced, antialias=True)
    # Edges at -1 and 1, as grid_sample has them; a small picture fills a part of a larger one.
    factor = (reduced / side * 2 / layers.shape[-1])[:, None]
    first = transform(to_crop, reached[:, None, :2])[:, 0]
    start = torch.tensor((first + 0.5) * factor - 1, dtype=torch.float32, device=device)
    steps = torch.tensor(to_crop[:, :, :2] * factor[..., None], dtype=torch.float32, device=device)
    width, height = (reached[:, 2:] - reached[:, :2]).max(0).tolist()
    x = torch.arange(width, device=device, dtype=torch.float32)[:, None]
    y = torch.arange(height, device=device, dtype=torch.float32)[:, None, None]
    grid = (start[:, None, None] + x * steps[:, None, None, :, 0]) + y * steps[:, None, None, :, 1]
    # Masks must not ring.
    picture, mask = (
        F.grid_sample(part, grid, mode=mode, padding_mode="zeros", align_corners=False)
        for part, mode in ((layers[:, :3], "bicubic"), (layers[:, 3:], "bilinear"))
    )
    return torch.cat([picture, mask], 1)


def _within(alphas: Tensor, reached: IntArray) -> Tensor:
    """Return alphas (b, h, w) that end where their rectangles do, which begin at the top left."""
    if len(alphas) == 1:
        return alphas
    extents = sent(torch.from_numpy(reached[:, 2:] - reached[:, :2]), alphas.device)
    across = torch.arange(alphas.shape[2], device=alphas.device) < extents[:, :1]
    down = torch.arange(alphas.shape[1], device=alphas.device) < extents[:, 1:]
    return alphas * across[:, None] * down[:, :, None]


def _reached(boxes: IntArray, to_crop: DoubleArray, picture_size: tuple[int, int]) -> IntArray:
    """Return the picture's rectangles that boxes of crops reach, (B, 4); empty ones are outside."""
    edges = boxes + np.array([-1, -1, 0, 0])
    corners = transform(invert(to_crop), edges[:, [[0, 1], [2, 1], [0, 3], [2, 3]]])
    size = np.array(picture_size)
    low = np.clip(np.floor(corners.min(1)) - 1, 0, size)
    high = np.clip(np.ceil(corners.max(1)) + 2, 0, size)
    empty = (boxes[:, 2:] <= boxes[:, :2]).any(1, keepdims=True)
    return np.concatenate([low, np.where(empty, low, high)], 1).astype(np.int64)


def shared(faces: Sequence[Patch]) -> list[Patch]:
    """Scale alphas down where they add up to more than 1, so that no pixel is repaired twice.

    Parameters
    ----------
    faces
        Of one picture.
    """
    result = list(faces)
    for first in range(len(faces)):
        for second in range(first + 1, len(faces)):
            both = _intersection(faces[first], faces[second])
            if both is None:
                continue
            left, top, right, bottom = both
            pair = result[first], result[second]
            alphas = [face.alpha.clone() for face in pair]
            windows = [
                alpha[top - face.top : bottom - face.top, left - face.left : right - face.left]
                for face, alpha in zip(pair, alphas, strict=True)
            ]
            total = (windows[0] + windows[1]).clamp_(min=1)
            for place, face, alpha, window in zip(
                (first, second), pair, alphas, windows, strict=True
            ):
                window.div_(total)
                result[place] = Patch(face.left, face.top, face.residual, alpha)
    return result


def pasted(picture: ImageArray, patches: Sequence[Patch | None]) -> ImageArray:
    """Return an RGB picture, (H, W, 3) uint8, with all of its faces' patches laid on."""
    result = picture.astype(np.float32)
    for one in shared([patch for patch in patches if patch]):
        rows, columns = one.alpha.shape
        delta = one.delta.cpu().numpy() * 255
        result[one.top : one.top + rows, one.left : one.left + columns] += delta
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


def _intersection(one: Patch, other: Patch) -> tuple[int, int, int, int] | None:
    left, top = max(one.left, other.left), max(one.top, other.top)
    right = min(one.left + one.alpha.shape[1], other.left + other.alpha.shape[1])
    bottom = min(one.top + one.alpha.shape[0], other.top + other.alpha.shape[0])
    return (left, top, right, bottom) if left < right and top < bottom else None
