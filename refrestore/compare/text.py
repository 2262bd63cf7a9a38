"""Words in pictures, by Pillow."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from refrestore.plain_text import plain
from refrestore.types import ImageArray

BACKGROUND, TEXT, MUTED = (24, 24, 27), (240, 240, 240), (150, 150, 155)
"""Colours, RGB; the demo's sheets have the same."""

ELLIPSIS = "…"


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which matplotlib carries: it has Greek and Cyrillic names as well."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size)


def strip(
    text: str, size: tuple[int, int], *, colour: tuple[int, int, int] = TEXT, centred: bool = True
) -> ImageArray:
    """Return a line of text on the background as (height, width, 3) RGB, shortened to fit."""
    width, height = size
    letters = font(max(8, round(height * 0.55)))
    sheet = Image.new("RGB", size, BACKGROUND)
    shown = _shortened(text, letters, width - 8)
    place, anchor = ((width / 2, height / 2), "mm") if centred else ((4, height / 2), "lm")
    ImageDraw.Draw(sheet).text(place, shown, colour, font=letters, anchor=anchor)
    return np.asarray(sheet)


def badge(text: str, height: int) -> ImageArray:
    """Return a word on a dark ground, (height, w, 3) RGB, to be laid over a picture."""
    letters = font(max(8, round(height * 0.55)))
    return strip(text, (round(letters.getlength(text)) + height, height))


def _shortened(text: str, letters: ImageFont.FreeTypeFont, width: float) -> str:
    text = " ".join(plain(text).split())
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(text + ELLIPSIS) > width:
        text = text[:-1]
    return text.rstrip() + ELLIPSIS
