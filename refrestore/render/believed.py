"""What is believed, references or the film's own frames, before and after faces are restored."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refrestore.media.tensors import parts, sent
from refrestore.restore import burst
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.fusion_bands import missing_octaves
from refrestore.restore.guard import HALF
from refrestore.restore.hull_mask import eye_masks
from refrestore.restore.light import collapse, enlarge, pyramid, shrunk
from refrestore.restore.restorer import Restored
from refrestore.types import FloatArray

TEXTURE = 2
"""Octaves of a whole crop in which references never count by half: who a face is it shows in
coarser ones, and half of a texture is a worn face."""


DRAWN = 0.5
"""How much of what a film's own close-ups restore was drawn, where the noise is the film's own."""


def between(plain: Tensor, guided: Tensor, weights: FloatArray) -> Tensor:
    """Return faces of which references count so much, (B, 3, S, S); `TEXTURE` from `HALF` on whole.

    Parameters
    ----------
    plain, guided : (B, 3, S, S)
        RGB 0..1, restored without references and with them. The first may be half as large where
        `half_will_do`.
    weights : (B,)
        0..1.
    """
    if plain.shape[-1] < guided.shape[-1]:
        small = shrunk(guided, 2)
        return (guided + enlarge(between(plain, small, weights) - small)).clamp(0, 1)
    coarse = sent(torch.from_numpy(weights.astype(np.float32)), plain.device)[:, None, None, None]
    mixed = np.flatnonzero((weights > 0) & (weights < 1))
    if not len(mixed):
        return torch.lerp(plain, guided, coarse)
    octaves = TEXTURE - missing_octaves(plain.shape[-1])
    bands, rest = pyramid(guided - plain, octaves)
    texture = collapse(bands, torch.zeros_like(rest))
    more = (coarse / HALF).clamp(max=1) - coarse
    return (torch.lerp(plain, guided, coarse) + more * texture).clamp(0, 1)


def half_will_do(side: int, weights: FloatArray, sides: Collection[int]) -> NDArray[np.bool_]:
    """Say of faces whether half their side is enough without references, (B,).

    It is where `between` shows nothing of a crop's finest octave, and half is one of the sides.
    """
    textured = missing_octaves(side) < TEXTURE and side // 2 in sides
    result: NDArray[np.bool_] = (weights >= HALF) & textured
    return result


def for_references(
    faces: Tensor,
    drawn: Tensor,
    banks: Sequence[ReferenceBank | None],
    blur: FloatArray,
) -> Tensor:
    """Return what is restored from references, (B, 3, S, S): faces as they were drawn.

    But where the references are the film's own half as their frames show them, and wholly where the
    noise was a codec's: both are averages of what there is, and one of them is nearly enough
    (docs/decisions/030, 053).

    Parameters
    ----------
    faces, drawn : (B, 3, S, S)
        RGB 0..1 before and after `burst.sharpened`.
    banks
        What they are restored from.
    blur : (B, 6)
        See `restore.burst.blur_of`.
    """
    film = [0.0 if bank is None else 1 - bank.photos_among(range(len(bank))) for bank in banks]
    share = np.array(film, np.float32) * (1 - DRAWN * burst.analogue(blur))
    weight = sent(torch.from_numpy(share), faces.device)[:, None, None, None]
    return torch.lerp(drawn, faces, weight)


def put_right(
    made: Restored,
    images: Tensor,
    landmarks: FloatArray,
    blur: FloatArray,
    *,
    banks: Sequence[ReferenceBank | None],
    guided: FloatArray | None = None,
) -> Tensor:
    """Return restored faces as their frames show them where they can (`burst.agreeing`).

    Parameters
    ----------
    made
        What the restorer returned.
    images, blur
        See `burst.agreeing`.
    landmarks : (B, 468, 2)
        In pixels of the crops.
    banks, guided
        See `errors`.
    """
    weights = np.ones(len(banks), np.float32) if guided is None else guided
    weights = (weights * [bool(used) for used in made.used]).astype(np.float32)
    device, wrong = images.device, errors(made, banks, guided)
    meshes = sent(torch.from_numpy(np.asarray(landmarks, np.float32)), device)
    right = []
    for part in parts(len(images), device):
        if not burst.share(blur[part]).any():
            right.append(made.images[part])
            continue
        eyes = None
        if weights[part].any():
            eyes = eye_masks(meshes[part], images.shape[-1])
            eyes *= sent(torch.from_numpy(weights[part]), device)[:, None, None]
        given = images[part], blur[part], wrong[part], eyes
        right.append(burst.agreeing(made.images[part], *given))
    return torch.cat(right)


def errors(
    made: Restored, banks: Sequence[ReferenceBank | None], guided: FloatArray | None = None
) -> FloatArray:
    """Return how much of restored faces is expected to be wrong, (N,), for `burst.agreeing`.

    Parameters
    ----------
    banks
        What they could be restored from.
    guided : (N,), optional
        Weight of the references; default 1.
    """
    weights = np.ones(len(banks), np.float32) if guided is None else guided
    photos = np.array(
        [
            -1.0 if bank is None or not used else bank.photos_among(used)
            for bank, used in zip(banks, made.used, strict=True)
        ]
    )
    weights = np.where(photos < 0, 0, weights)
    result: FloatArray = (1 - weights) * burst.OWN_ERROR + weights * photos * burst.PHOTOS_ERROR
    return result.astype(np.float32)
