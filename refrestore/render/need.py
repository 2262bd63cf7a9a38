"""Whether a face can gain: what it resolves, beside what its references do.

A face is worked on where its references show clearly more than it does. Pixels of another frame
that resolves no more cannot add anything, though they make a face more like the mean of its
person's close-ups (docs/decisions/020).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from refrestore.faces.quality import resolved_size
from refrestore.types import DoubleArray, Faces

AS_SHARP, CLEARLY_SHARPER = 1.3, 1.7
"""How many times more than a face its references must resolve before it is touched, and is restored
fully."""

SOFT = 60.0
"""Pixels that a face resolves up to which, where its references show no more than it does, frames
around it may (`restore.burst`): what is told of a noisy face is more than it resolves."""

MOST = 90
"""Percentile of a track's faces, those that its references show most beside."""

BEST_REFERENCES = 5
"""A face is restored from about this many references; the middle one of the best says what they
resolve: one lucky measurement does not."""

UNJUDGED_SHARPNESS = 0.5
"""Of faces that no scan judged: those of an ordinary compressed film."""

DetailReason = Literal["sharp already", "as sharp as its references"]

SHARP_FULL, SHARP_NONE = 112.0, 208.0
"""Pixels that a face resolves, at scale 1, up to which it is restored fully, and from which not at
all: a 512-px crop of the second holds over two thirds of what a restored one could. Whether a face
can be read as it is, which is much sooner, the guard asks the recogniser (`restore.guard`): noise
reads as sharpness."""


def references_resolve(sizes: ArrayLike, sharpness: ArrayLike) -> float:
    """Return how many pixels a sharp face would have that shows what a person's references do.

    Parameters
    ----------
    sizes, sharpness : (N,)
        `native_size` and `sharpness` of the references; at least one.
    """
    resolved = resolved_size(np.asarray(sizes, np.float64), np.asarray(sharpness, np.float64))
    return float(np.median(np.sort(resolved)[-BEST_REFERENCES:]))


def known_sharpness(faces: Faces) -> DoubleArray:
    """Return the sharpness of every row, (N,), between those that were judged; NaN if none was."""
    known = np.isfinite(faces.sharpness) if faces.sharpness is not None else np.zeros(0, bool)
    if faces.sharpness is None or not known.any():
        return np.full(len(faces), np.nan)
    between = np.interp(faces.frame, faces.frame[known], faces.sharpness[known])
    return np.where(known, faces.sharpness, between)


def need(
    faces: Faces, scale: int, references: float | None
) -> list[tuple[DetailReason, DoubleArray]]:
    """Return what speaks against restoring each face, with how much of it that leaves, (N,) 0..1.

    Parameters
    ----------
    faces
        Rows of one track, ascending frames, or of one picture.
    scale
        How much larger the output is than the picture.
    references
        What the references resolve (`references_resolve`), None where there are none.
    """
    own = _resolved(faces)
    known = np.inf if references is None else references
    return [
        ("sharp already", 1 - ramp(own, scale * SHARP_FULL, scale * SHARP_NONE)),
        ("as sharp as its references", ramp(known / own, AS_SHARP, CLEARLY_SHARPER)),
    ]


def takes_references(faces: Faces, references: float | None) -> bool:
    """Say whether a track is restored from its references.

    Not where it is soft and they show hardly more than any of its faces: those are drawn from the
    frames around them, as faces of people who have none.
    """
    if references is None or not len(faces):
        return True
    own = _resolved(faces)
    more = float(np.percentile(references / own, MOST))
    return float(np.median(own)) > SOFT or more >= (AS_SHARP + CLEARLY_SHARPER) / 2


def _resolved(faces: Faces) -> DoubleArray:
    sharpness = np.nan_to_num(known_sharpness(faces), nan=UNJUDGED_SHARPNESS)
    return np.maximum(resolved_size(faces.size, sharpness), 1.0)


def ramp(values: ArrayLike, low: float, high: float) -> DoubleArray:
    """Return 0 below `low`, 1 above `high`, smooth between (Hermite)."""
    t = np.clip((np.asarray(values, dtype=np.float64) - low) / (high - low), 0, 1)
    result: DoubleArray = t * t * (3 - 2 * t)
    return result
