"""How code values mean colours: matrix, range and tags of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import av

HIGH_DEFINITION_HEIGHT = 720
"""Untagged pictures this high are BT.709, lower ones BT.601: the rule of mpv, VLC and others."""

UNSPECIFIED = 2
"""Code point "unspecified" of primaries, transfer and matrix (ITU-T H.273)."""

LIMITED, FULL = 1, 2
"""Values of AVColorRange."""

_BT709, _FCC, _BT470BG, _BT601, _SMPTE240M, _BT2020, _BT2020_CONSTANT = 1, 4, 5, 6, 7, 9, 10

LUMA_WEIGHTS = {
    _BT709: (0.2126, 0.0722),
    _FCC: (0.30, 0.11),
    _BT470BG: (0.299, 0.114),
    _BT601: (0.299, 0.114),
    _SMPTE240M: (0.212, 0.087),
    _BT2020: (0.2627, 0.0593),
    _BT2020_CONSTANT: (0.2627, 0.0593),
}
"""Red and blue share of luma by matrix code point (ITU-T H.273, table 4)."""

_SWSCALE_MATRIX = {
    _BT709: 1,
    _FCC: 4,
    _BT470BG: 5,
    _BT601: 5,
    _SMPTE240M: 7,
    _BT2020: 9,
    _BT2020_CONSTANT: 9,
}
"""Matrix code point to swscale's SWS_CS_* (libswscale/swscale.h)."""


@dataclass(frozen=True, slots=True)
class ColorTags:
    """Colour tags as code points of ITU-T H.273; `range` is 0 unknown, 1 limited, 2 full."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    range: int = 0


def matrix_of(picture: av.VideoFrame) -> int:
    """Return the matrix code point that the picture's code values are read with."""
    return matrix_for(int(picture.colorspace), picture.height)


def matrix_for(tagged: int, height: int) -> int:
    """Return the tagged matrix code point, or what untagged pictures of a height are read with."""
    if tagged in LUMA_WEIGHTS:
        return tagged
    return _BT709 if height >= HIGH_DEFINITION_HEIGHT else _BT601


def is_rgb(pixel_format: av.VideoFormat) -> bool:
    """Return whether samples are RGB, or numbers of RGB colours in a palette."""
    return bool(pixel_format.is_rgb or pixel_format.has_palette)


def is_full_range(picture: av.VideoFrame) -> bool:
    """Return whether black is code 0; RGB always is, YUV and gray only if said so."""
    if is_rgb(picture.format) or picture.format.name.startswith("yuvj"):
        return True
    return int(picture.color_range) == FULL


def swscale_arguments(picture: av.VideoFrame) -> dict[str, int]:
    """Return the source side of `VideoFrame.reformat`'s colour arguments."""
    return {
        "src_colorspace": _SWSCALE_MATRIX[matrix_of(picture)],
        "src_color_range": FULL if is_full_range(picture) else LIMITED,
    }
