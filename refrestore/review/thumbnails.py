"""Pictures of people: files as they are, or made small once and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path

import cv2
import numpy as np

from refrestore.storage.images import encode_jpeg, read_image
from refrestore.types import ImageArray

SIZES = (112, 256, 512)
COVER = 256
"""Side of the picture of a person, a close-up or a profile, unless another is asked for; pixels."""

KEPT_BYTES = 48_000_000
"""Small pictures held in memory: some 4,000 of 256 px."""


class PictureCache:
    """JPEGs by what they show, the ones longest unused forgotten first."""

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self._most = most
        self._held: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0
        self._mutex = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return a picture, made if it is not held."""
        with self._mutex:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        made = make()
        with self._mutex:
            if key not in self._held:
                self._held[key] = made
                self._bytes += len(made)
            while self._bytes > self._most and len(self._held) > 1:
                _, gone = self._held.popitem(last=False)
                self._bytes -= len(gone)
        return made


def small_jpeg(path: Path, size: int) -> bytes:
    """Return a square picture of a project as a JPEG of `size` pixels."""
    return square_jpeg(read_image(path), size)


def square_jpeg(image: ImageArray, size: int) -> bytes:
    """Return a square (H, H, 3) RGB picture as a JPEG of `size` pixels."""
    if image.shape[0] != size:
        small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
        image = np.asarray(small, np.uint8)
    return encode_jpeg(image)
