"""How much of what the second stage draws is shown: no more than keeps a face like itself.

A second stage invents. How much of it a track gets is chosen from `AMOUNTS` by what the recogniser
sees: the most that does not lower the likeness to the person's close-ups or, without any, to the
track's own mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from refrestore.restore.restorer import Restored
from refrestore.types import FloatArray, IntArray

AMOUNTS = (0.0, 0.5, 1.0)
"""What is tried; the first is nothing of it."""

Embed = Callable[[Restored], FloatArray]


def tried(made: Restored, embed: Embed) -> FloatArray:
    """Return embeddings of restored faces with each of `AMOUNTS`, (N, 3, 512).

    Without a second stage, all three are of the same picture.
    """
    if made.fused is None:
        return np.repeat(embed(made)[:, None], len(AMOUNTS), 1)
    return np.stack([embed(made.inventing(amount)) for amount in AMOUNTS], 1)


def ideals(
    centroids: Sequence[FloatArray | None],
    inputs: FloatArray,
    tracks: IntArray,
    means: Mapping[int, FloatArray],
) -> FloatArray:
    """Return what each face is to stay like, (N, 512): its person's close-ups, or its track's mean.

    Parameters
    ----------
    centroids
        Of the persons' close-ups, None where there are none.
    inputs : (N, 512)
        Embeddings of the faces as they are.
    tracks : (N,)
        Their tracks.
    means
        By track, over all its frames, where that is known.
    """
    result = np.empty_like(inputs)
    for row, (centroid, track) in enumerate(zip(centroids, tracks.tolist(), strict=True)):
        ideal = means.get(track) if centroid is None else centroid
        if ideal is None:
            own = inputs[tracks == track]
            own = own[np.isfinite(own).all(1)]
            ideal = own.sum(0) / max(float(np.linalg.norm(own.sum(0))), 1e-9)
        result[row] = ideal
    return result


def likeness(embeddings: FloatArray, wanted: FloatArray) -> FloatArray:
    """Return how like each face is to what it is to stay like, with each amount, (N, 3)."""
    result: FloatArray = np.einsum("nad,nd->na", embeddings, wanted).astype(np.float32)
    return result


def most(likenesses: FloatArray) -> IntArray:
    """Return which of `AMOUNTS` is the most that does not lower the likeness, (N,).

    >>> most(np.float32([[.5, .6, .55], [.5, .5, .4], [.5, .4, .5], [.5, .4, .3]]))
    array([2, 1, 2, 0])
    """
    kept = likenesses >= likenesses[:, :1]
    kept[:, 0] = True
    chosen: IntArray = (len(AMOUNTS) - 1 - kept[:, ::-1].argmax(1)).astype(np.int64)
    return chosen


def shown(made: Restored, chosen: IntArray) -> Tensor:
    """Return restored faces with the amounts chosen, (N, 3, S, S)."""
    return made.inventing(np.array(AMOUNTS, np.float32)[chosen]).images
