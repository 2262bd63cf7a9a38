"""One frame in the forms a scan looks at, each made when it is first asked for.

Most frames are only followed through, or show nobody: full pictures of them, which cost more than
decoding, are never made.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property

import numpy as np

from refrestore.faces.align import compose, crops
from refrestore.media.pixels import display_rgb, plain_rgb, shrunk_rgb
from refrestore.types import DoubleArray, Faces, Frame, ImageArray


class FrameForms:
    """A decoded frame.

    Parameters
    ----------
    frame
        The frame; its samples are kept as long as this is.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    @property
    def number(self) -> int:
        """Frame index."""
        return self._frame.index

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds."""
        return self._frame.time

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in display pixels."""
        return self._frame.geometry.display_size

    @cached_property
    def display(self) -> ImageArray:
        """The whole picture, (H, W, 3) RGB in display pixels, as exactly as it can be read."""
        return display_rgb(self._frame)

    def shrunk(self, longest: int) -> ImageArray:
        """Return the picture (h, w, 3), upright, its longer side at most `longest` pixels."""
        width, height = self._frame.geometry.display_size
        scale = longest / max(width, height)
        if scale >= 1:
            return self.display
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        return shrunk_rgb(self._frame, size)

    def in_display(self, faces: Faces, shown: ImageArray) -> Faces:
        """Return faces found in a shrunk picture in display pixels."""
        # Edge-aligned: the centre of pixel x lies at (x + 0.5) * factor - 0.5.
        size = np.array(self._frame.geometry.display_size, np.float32)
        factor = size / np.array(shown.shape[1::-1], np.float32)
        shift = (factor - 1) / 2
        return faces.with_columns(
            box=faces.box * np.tile(factor, 2) + np.tile(shift, 2),
            keypoints=faces.keypoints * factor + shift,
        )

    def crops(self, matrices: DoubleArray, size: int) -> ImageArray:
        """Return crops (N, S, S, 3) for the mesh, from the picture as it is stored.

        Parameters
        ----------
        matrices : (N, 2, 3)
            Display pixels → crop.
        size
            Side of a crop in pixels.
        """
        upright = self._frame.geometry.storage_to_display()
        return crops(self._plain, compose(matrices, upright), size)

    @cached_property
    def _plain(self) -> ImageArray:
        return plain_rgb(self._frame)
