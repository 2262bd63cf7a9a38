"""How a recogniser sees a person from afar: close-ups shrunk to a face of a dozen pixels.

Blur moves embeddings. A blurred face is compared best with blurred ones: of faces of 24-px crops of
13 people unknown to lite's recogniser, 93 % instead of 81 % are nearest to themselves among the 13
(docs/decisions/009).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from refrestore.faces.recogniser import Recogniser
from refrestore.render.crops import arcface_crops
from refrestore.types import FloatArray, ImageArray, Reference

CROP = 24
"""Pixels a side to which the 512 of a close-up are shrunk. Of 16 to 96 one alone does as well as
all together, beside the close-ups as they are, which are always compared (docs/decisions/009)."""

READABLE, UNREADABLE = 0.80, 0.90
"""Cosines of a face to itself from afar up to which it shows more, and from which on it does not.
Of six people, with lite: crops of 24 px (noise, JPEG, enlarged again) at least .89; of 32 px .87 in
the middle; of 40 px .77; of 64 px, blurred, .72 and at most .87."""

UNREADABLE_SHARE = 0.6
"""What is asked of an unreadable face, of the likeness asked of a readable one: there a stranger's
references change the likeness to the true face little (-.007 on average), one's own help most."""


def centroid_from_afar(references: Sequence[Reference], recogniser: Recogniser) -> FloatArray:
    """Return the unit mean embedding, (512,), of close-ups seen from afar.

    Parameters
    ----------
    references
        At least one.
    """
    images = np.stack([_from_afar(one.image) for one in references])
    landmarks = np.stack([one.landmarks for one in references])
    mean = recogniser.embed(arcface_crops(images, landmarks)).mean(axis=0)
    unit: FloatArray = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return unit


def unreadable(
    crops: ImageArray, landmarks: FloatArray, embeddings: FloatArray, recogniser: Recogniser
) -> FloatArray:
    """Return how far faces show no more than they would from afar, (N,) in 0..1.

    Parameters
    ----------
    crops : (N, 512, 512, 3) uint8
        Aligned, RGB.
    landmarks : (N, 468, 2)
        In pixels of the crops.
    embeddings : (N, 512)
        The recogniser's of these crops.
    """
    shrunk = np.stack([_from_afar(crop) for crop in crops])
    itself = (embeddings * recogniser.embed(arcface_crops(shrunk, landmarks))).sum(axis=1)
    share: FloatArray = np.clip((itself - READABLE) / (UNREADABLE - READABLE), 0, 1)
    return share.astype(np.float32)


def _from_afar(image: ImageArray) -> ImageArray:
    small = cv2.resize(image, (CROP, CROP), interpolation=cv2.INTER_AREA)
    return np.asarray(
        cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8
    )
