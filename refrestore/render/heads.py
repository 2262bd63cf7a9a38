"""What surrounds a restored face: its head, from a reference or from its own frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from refrestore.media.tensors import at, parts, sent
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.composite import HEAD_GROWTH, head_masks, in_head, mesh_boxes
from refrestore.restore.head import GROWTH, from_references
from refrestore.restore.restorer import Restored, Restorer
from refrestore.types import FloatArray, IntArray


class InHeads(NamedTuple):
    """Restored faces in their heads.

    Parameters
    ----------
    images : (B, 3, S, S)
        RGB 0..1.
    masks : (B, S, S)
        Where they may be pasted, 0..1.
    boxes : (B, 4)
        Outside of them the masks are 0.
    """

    images: Tensor
    masks: Tensor
    boxes: IntArray


def in_heads(
    done: Restored,
    faces: Tensor,
    landmarks: FloatArray,
    banks: Sequence[ReferenceBank | None],
    restorer: Restorer,
    *,
    guided: FloatArray,
    drawn: FloatArray | None = None,
) -> InHeads:
    """Set restored faces into their heads, as far as there is anything to draw these from.

    A head drawn from its own frames lies beneath, what a reference shows of it above.

    Parameters
    ----------
    done
        Of the restorer.
    faces : (B, 3, S, S)
        What they were restored from, RGB 0..1.
    landmarks : (B, 468, 2)
        In pixels of these.
    banks
        Where `done.used` are rows of.
    restorer
        Works on several faces at a time.
    guided : (B,)
        How much references count, 0..1.
    drawn : (B,), optional
        How much of each face was drawn from the frames around it; default 0.
    """
    side, device = faces.shape[-1], faces.device
    own = np.zeros(len(faces), np.float32) if drawn is None else drawn
    helped = np.flatnonzero(guided * [bool(rows) for rows in done.used] > 0)
    boxes = mesh_boxes(landmarks, side)
    if not len(helped) and not own.any():
        return InHeads(done.images, done.masks, boxes)
    meshes = sent(torch.from_numpy(np.asarray(landmarks, np.float32)), device)
    heads, masks = faces.clone(), torch.zeros_like(done.masks)
    if own.any():
        masks += head_masks(meshes, side) * sent(torch.from_numpy(own), device)[:, None, None]

    def draw(part: IntArray) -> None:
        with torch.inference_mode():  # holds for one thread only
            rows = at(part, device)
            best = [_best(banks[face], done.used[face], side, device) for face in part.tolist()]
            pictures, theirs = (torch.cat(one) for one in zip(*best, strict=True))
            shown, agreed = from_references(
                faces[rows], done.images[rows], meshes[rows], pictures.float() / 255, theirs
            )
            agreed = agreed * sent(torch.from_numpy(guided[part]), device)[:, None, None]
            if own[part].any():
                shown, agreed = in_head(shown, agreed, faces[rows], masks[rows])
            heads[rows], masks[rows] = shown, agreed

    restorer.each(draw, [helped[one] for one in parts(len(helped), device)])
    images, both = in_head(done.images, done.masks, heads, masks)
    boxes = np.where(own[:, None] > 0, mesh_boxes(landmarks, side, HEAD_GROWTH), boxes)
    boxes[helped] = mesh_boxes(landmarks[helped], side, GROWTH)
    return InHeads(images, both, boxes)


def _best(
    bank: ReferenceBank | None, used: Sequence[int], side: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the picture and the mesh of the reference that suits a face best, one row each."""
    assert bank is not None
    return bank.on(side, device).rows(np.array(used[:1], np.int64))
