"""The untrained baseline: low frequencies of the input, high ones of five warped references."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from refrestore.restore.bank import ReferenceBank, light_of
from refrestore.restore.select import select
from refrestore.restore.warp import displacement, warp
from refrestore.types import FloatArray, ImageArray

REFERENCES = 5

SPLIT_SIGMA = {"moderate": 12.0, "64px": 12.0, "severe": 18.0, "24px": 18.0}
"""Standard deviation of the Gaussian between low and high, pixels of the 512-px crop."""


def frequency_split(
    crops: ImageArray,
    landmarks: FloatArray,
    banks: Sequence[ReferenceBank],
    *,
    sigma: float,
) -> ImageArray:
    """Put the detail of the mean of five warped references onto faces.

    Averaging several warped references removes each one's expression and light and keeps the
    person: the identity of a trained network, at more than a decibel less.

    Parameters
    ----------
    crops : (B, 512, 512, 3) uint8
        RGB, aligned to the FFHQ template.
    landmarks : (B, 468, 2)
        Their meshes.
    banks
        Each face's references; one face a bank or the same for several.
    sigma
        Of the Gaussian that splits, pixels.
    """
    result = np.empty_like(crops)
    planes = torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))
    light = light_of(planes)
    for face, bank in enumerate(banks):
        one = slice(face, face + 1)
        rows = select(bank, landmarks[one], light[one], REFERENCES)[0]
        rows = rows[rows >= 0]
        if not len(rows):
            result[face] = crops[face]
            continue
        target = torch.from_numpy(np.asarray(landmarks[one], np.float32))
        meshes = torch.from_numpy(bank.landmarks[rows])[None]
        offsets = displacement(target, meshes, crops.shape[1])[0]
        warped = warp(bank.images[torch.from_numpy(rows)].float(), offsets)
        mean = warped.mean(dim=0).permute(1, 2, 0).numpy()
        low = cv2.GaussianBlur(crops[face].astype(np.float32), (0, 0), sigma)
        split = low + mean - cv2.GaussianBlur(mean, (0, 0), sigma)
        result[face] = np.clip(np.rint(split), 0, 255).astype(np.uint8)
    return result
