"""The comparison video: every row's face at the same moment, labelled, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from refrestore.types import DoubleArray, FloatArray, ImageArray

TILE = 304
"""Side of a row's tile, pixels; a multiple of 2, 3 and 4 people would share it."""

COLUMNS = 4

AROUND = 1.7
"""Height of what a tile shows, in heights of the face."""

_LABEL, _GAP, _HEAD = 24, 4, 34
_BACKGROUND, _TEXT, _MUTED = (24, 24, 27), (240, 240, 240), (170, 170, 175)


@dataclass(frozen=True)
class Window:
    """What a tile shows of a scene.

    The same part of every frame: what moves and flickers there does so in the video too.

    Parameters
    ----------
    matrix : (2, 3)
        Picture → strip.
    width
        Of the strip in pixels; all strips of a scene make one tile.
    """

    matrix: DoubleArray
    width: int


def windows(keypoints: Sequence[FloatArray], heights: Sequence[float]) -> list[Window]:
    """Return the strips of a scene, one a person.

    Parameters
    ----------
    keypoints
        Per person (T, 5, 2), pixels of the picture.
    heights
        Per person the face's height in them.
    """
    count = max(1, len(keypoints))
    width = TILE // count
    strips = []
    for points, height in zip(keypoints, heights, strict=True):
        scale = TILE / (AROUND * height)
        centre = points.reshape(-1, 2).mean(axis=0)
        shift = np.array([width / 2, TILE / 2]) - scale * centre
        strips.append(Window(np.hstack([scale * np.eye(2), shift[:, None]]), width))
    return strips


def tile(picture: ImageArray, strips: Sequence[Window]) -> ImageArray:
    """Cut a scene's strips out of a picture and put them beside each other, (TILE, TILE, 3)."""
    parts = [
        cv2.warpAffine(
            picture,
            strip.matrix,
            (strip.width, TILE),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for strip in strips
    ]
    joined = np.concatenate(parts, axis=1)
    return np.asarray(np.pad(joined, ((0, 0), (0, TILE - joined.shape[1]), (0, 0))), np.uint8)


def boards(
    moments: Iterable[tuple[str, Mapping[str, ImageArray]]], names: Sequence[str]
) -> Iterator[ImageArray]:
    """Yield a picture a moment: tiles in a grid with the rows' names above them.

    Parameters
    ----------
    moments
        Caption, and a tile per name.
    names
        All rows, in order; the grid is laid out for them.
    """
    columns = min(COLUMNS, max(1, len(names)))
    lines = -(-len(names) // columns)
    width = columns * (TILE + _GAP) + _GAP
    height = _HEAD + lines * (TILE + _LABEL + _GAP)
    size = (width + width % 2, height + height % 2)
    blank = Image.new("RGB", size, _BACKGROUND)
    draw, font = ImageDraw.Draw(blank), ImageFont.load_default(15)
    for place, name in enumerate(names):
        draw.text(_corner(place, columns, label=True), name, _TEXT, font=font)
    for caption, tiles in moments:
        board = blank.copy()
        ImageDraw.Draw(board).text((_GAP + 2, 8), caption, _MUTED, font=font)
        for place, name in enumerate(names):
            if name in tiles:
                board.paste(Image.fromarray(tiles[name]), _corner(place, columns))
        yield np.asarray(board)


def _corner(place: int, columns: int, *, label: bool = False) -> tuple[int, int]:
    line, column = divmod(place, columns)
    left = _GAP + column * (TILE + _GAP)
    top = _HEAD + line * (TILE + _LABEL + _GAP)
    return (left + 2, top + 3) if label else (left, top + _LABEL)
