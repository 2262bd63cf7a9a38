"""Whole pictures before and after: side by side, or split by a moving line."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

import numpy as np

from refrestore.compare.pairs import FilmPair, Pair
from refrestore.compare.text import BACKGROUND, badge, strip
from refrestore.media.pixels import fitted_rgb
from refrestore.types import ImageArray

BEFORE, AFTER = "before", "after"

WIDEST = 7680
"""Pixels: two pictures wider than this together are shown smaller. Few players take more."""

SWEEP_SECONDS = 10.0
"""Time the line takes to go over and back: slow enough to look at what it passes."""

SWEEP_SHARE = 0.46
"""How far the line goes from the middle, in picture widths."""

LABEL_SHARE = 0.055
"""Height of a label in picture heights."""

LEAST_LABEL = 18


class Layout(Protocol):
    """Draws pairs; every picture has the same size."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, even: 4:2:0 wants whole chroma samples."""

    def draw(self, pair: Pair) -> ImageArray:
        """Return (H, W, 3) RGB."""


class SideBySide:
    """Both pictures under their names, at the size of the one after."""

    def __init__(self, films: FilmPair) -> None:
        width, height = films.after.geometry.display_size
        self._gap = 2 * max(1, round(width / 320))
        share = min(1.0, (WIDEST - self._gap) / (2 * width))
        self.picture = max(1, round(width * share)), max(1, round(height * share))
        width, height = self.picture
        header = label_height(height)
        self.size = even(2 * width + self._gap, header + height)
        self._canvas: ImageArray = np.empty((self.size[1], self.size[0], 3), np.uint8)
        self._canvas[:] = BACKGROUND
        self._header = header
        for left, word in zip(self._lefts, (BEFORE, AFTER), strict=True):
            self._canvas[:header, left : left + width] = strip(word, (width, header))

    @property
    def _lefts(self) -> tuple[int, int]:
        return 0, self.picture[0] + self._gap

    def draw(self, pair: Pair) -> ImageArray:
        """Return both pictures."""
        canvas = self._canvas.copy()
        width, height = self.picture
        for left, frame in zip(self._lefts, (pair.before, pair.after), strict=True):
            window = canvas[self._header : self._header + height, left : left + width]
            window[:] = fitted_rgb(frame, self.picture)
        return canvas


class SplitScreen:
    """One picture: before on the left of a line, after on its right; the line goes to and fro."""

    def __init__(self, films: FilmPair) -> None:
        self.picture = films.after.geometry.display_size
        self.size = even(*self.picture)
        height = label_height(self.picture[1])
        self._labels = badge(BEFORE, height), badge(AFTER, height)
        self._line = max(1, round(self.picture[1] / 360))
        self._began: Fraction | None = None

    def draw(self, pair: Pair) -> ImageArray:
        """Return the picture of a moment; the line's place follows from the time alone."""
        if self._began is None:
            self._began = pair.time
        width, height = self.picture
        canvas: ImageArray = np.empty((self.size[1], self.size[0], 3), np.uint8)
        canvas[:] = BACKGROUND
        window = canvas[:height, :width]
        window[:] = fitted_rgb(pair.after, self.picture)
        before = fitted_rgb(pair.before, self.picture).copy()
        word = self._labels[0]
        before[: word.shape[0], : word.shape[1]] = word[:height, :width]
        word = self._labels[1][:height, -width:]
        window[: word.shape[0], width - word.shape[1] :] = word
        line = line_at(float(pair.time - self._began), width)
        window[:, :line] = before[:, :line]
        window[:, max(0, line - self._line) : line + self._line] = 255
        return canvas


def line_at(seconds: float, width: int) -> int:
    """Return the column of the split's line after some time."""
    swing = SWEEP_SHARE * np.sin(2 * np.pi * seconds / SWEEP_SECONDS)
    return round(width * (0.5 + float(swing)))


def label_height(picture_height: int) -> int:
    """Return the height of a label for a picture's, even."""
    return 2 * round(max(LEAST_LABEL, picture_height * LABEL_SHARE) / 2)


def even(width: int, height: int) -> tuple[int, int]:
    """Return a size rounded up to even numbers."""
    return width + width % 2, height + height % 2
