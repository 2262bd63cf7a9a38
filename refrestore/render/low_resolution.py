"""How a recogniser sees a person from afar: close-ups shrunk to a face of a dozen pixels.

Blur moves embeddings. A blurred face is compared best with blurred ones: of faces of 24-px crops of
13 people unknown to lite's recogniser, 93 % instead of 81 % are nearest to themselves among the 13
(docs/decisions/009).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from refrestore.faces.recogniser import Recogniser
from refrestore.render.crops import arcface_crops, from_uint8
from refrestore.types import FloatArray, Reference

CROP = 24
"""Pixels a side to which the 512 of a close-up are shrunk. Of 16 to 96 one alone does as well as
all together, beside the close-ups as they are, which are always compared (docs/decisions/009)."""

SMALLER = (24, 40, 48)
"""Sides in pixels to which a face's crop is shrunk to ask what of it the recogniser reads."""

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
    images = _from_afar(from_uint8(np.stack([one.image for one in references])))
    landmarks = np.stack([one.landmarks for one in references])
    mean = recogniser.embed(arcface_crops(images, landmarks)).mean(axis=0)
    unit: FloatArray = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return unit


def shrunk_embeddings(crops: Tensor, landmarks: FloatArray, recogniser: Recogniser) -> FloatArray:
    """Return the embeddings of faces shrunk to `SMALLER`, (3, N, 512).

    Parameters
    ----------
    crops : (N, 3, S, S) float32
        Aligned, RGB 0..1.
    landmarks : (N, 468, 2)
        In pixels of the crops.
    """
    shrunk = [
        recogniser.embed(arcface_crops(_from_afar(crops, side), landmarks)) for side in SMALLER
    ]
    return np.stack(shrunk)


def shrunk_cosines(embeddings: FloatArray, shrunk: FloatArray) -> FloatArray:
    """Return how like itself each face stays, shrunk to `SMALLER`: cosines, (N, 3).

    What changes when it is shrunk is what the recogniser reads in it beyond that size.

    Parameters
    ----------
    embeddings : (N, 512)
        Of the faces as they are.
    shrunk : (3, N, 512)
        From `shrunk_embeddings`.
    """
    cosines: FloatArray = (embeddings * shrunk).sum(axis=2).T.astype(np.float32)
    return cosines


def unreadable(cosines: FloatArray) -> FloatArray:
    """Return how far faces show no more than they would from afar, (N,) in 0..1.

    Parameters
    ----------
    cosines : (N, 3)
        From `shrunk_cosines`.
    """
    share: FloatArray = np.clip((cosines[:, 0] - READABLE) / (UNREADABLE - READABLE), 0, 1)
    return share.astype(np.float32)


def _from_afar(images: Tensor, side: int = CROP) -> Tensor:
    small = F.interpolate(images, size=side, mode="area")
    return F.interpolate(small, size=images.shape[-1], mode="bicubic").clamp(0, 1)
