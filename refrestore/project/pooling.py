"""One embedding for several tracks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refrestore.types import EMBEDDING_SIZE, FloatArray, Track


def pool_tracks(tracks: Sequence[Track]) -> FloatArray:
    """Return the unit mean embedding of one person's tracks, weighted by their trust."""
    total = np.zeros(EMBEDDING_SIZE)
    for track in tracks:
        if track.embedding is not None:
            total += max(track.embedding_weight, 1e-3) * track.embedding
    mean: FloatArray = (total / max(float(np.linalg.norm(total)), 1e-9)).astype(np.float32)
    return mean
