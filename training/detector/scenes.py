"""Pictures of films, and a picture with the teacher's faces, which is what training reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

SEEN = 0.25
"""Teacher's score from which a place is no background."""

FACE = 0.5
"""Teacher's score from which it is a face; between the two it is ignored."""


@dataclass
class Scene:
    """A picture and what the teacher finds on it, in its pixels."""

    group: str
    name: str
    image: np.ndarray
    """(H, W, 3) uint8, RGB."""
    box: np.ndarray
    """(N, 4)."""
    keypoints: np.ndarray
    """(N, 5, 2)."""
    score: np.ndarray


def frames(path: Path, spacing: Fraction, limit: int) -> Iterator[np.ndarray]:
    """Yield pictures of a film in display pixels, RGB."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        aspect = stream.sample_aspect_ratio or Fraction(1)
        due, taken = None, 0
        for frame in source.decode(stream):
            time = frame.pts * frame.time_base
            if due is not None and time < due:
                continue
            due = time + spacing
            picture = frame.to_ndarray(format="rgb24")
            if aspect != 1:
                size = (round(picture.shape[1] * aspect), picture.shape[0])
                picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
            yield picture
            taken += 1
            if taken == limit:
                return
