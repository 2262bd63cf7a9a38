"""Still pictures in and out."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from refrestore.errors import MediaError, UsageError
from refrestore.media.failures import writing
from refrestore.media.files import check_file, publish
from refrestore.types import ImageArray

MAX_PIXELS = 160_000_000
"""Largest picture read: the largest sensor (Phase One IQ4) has 151 megapixels; more is a mistake or
an attack. Twice 4 bytes a pixel are held at a time where it is turned upright, 3 of them kept."""

FACE_PIXELS = 40_000_000
"""Most that are decoded where only faces are looked for: a face of 512 is a tenth of such a height.
The most that takes, by `tests/media/test_stills.py`, is 650 MB (WebP)."""

_STRIP = 256
"""Rows turned into an array at a time: on the way Pillow holds them twice more, as bytes."""

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}

_QUALITY = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}}
"""Visually lossless: 95 is the most that Pillow's documentation advises for JPEG."""


def read_picture(path: str | Path, *, reduced: bool = False) -> ImageArray:
    """Return a picture file as (H, W, 3) uint8 RGB, upright as its EXIF orientation says.

    Transparent pictures are put on black; 16-bit ones are reduced to 8.

    Parameters
    ----------
    path
        The file.
    reduced
        Whether `FACE_PIXELS` are enough: a larger JPEG is decoded to a half, a quarter or an
        eighth of its width and height, which costs no more memory than such a picture; others
        are refused by their header.

    Raises
    ------
    MediaError
        It is missing, damaged, no picture, or too large.
    """
    path = Path(path)
    check_file(path)
    try:
        return _decoded(path, None, reduced)
    except _TooLargeError as error:
        raise MediaError(f"{path} {error}") from error
    except UnidentifiedImageError as error:
        raise MediaError(f"{path} is not a picture that can be read.") from error
    except _DAMAGES as error:
        raise MediaError(f"{path} is damaged or truncated ({error}).") from error


def decode_picture(content: bytes, *, formats: tuple[str, ...]) -> ImageArray:
    """Return a picture that came from elsewhere as `read_picture` does, reduced.

    Parameters
    ----------
    content
        The file.
    formats
        Pillow's names of the formats that are tried; no other decoder sees the bytes.

    Raises
    ------
    MediaError
        It is damaged, of another format or too large.
    """
    try:
        return _decoded(io.BytesIO(content), formats, reduced=True)
    except _TooLargeError as error:
        raise MediaError(f"The picture {error}") from error
    except UnidentifiedImageError as error:
        raise MediaError(
            f"This is no picture that can be read; {', '.join(formats)} can."
        ) from error
    except _DAMAGES as error:
        raise MediaError(f"The picture is damaged or truncated ({error}).") from error


def write_picture(path: str | Path, rgb: ImageArray) -> None:
    """Write (H, W, 3) uint8 RGB as PNG, JPEG or WebP by suffix; complete or not at all.

    Raises
    ------
    UsageError
        The suffix is none of these.
    DiskError, MediaError
        It cannot be written.
    """
    path = Path(path)
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path} needs a name that ends in {', '.join(_FORMATS)}.")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"rgb must be (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
    with writing(path):
        temporary = path.with_name(f".{path.name}.partial")
        try:
            Image.fromarray(rgb).save(temporary, kind, **_QUALITY.get(kind, {}))
            publish(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


class _TooLargeError(Exception):
    """How large a picture is and may be, as the end of a sentence."""


_DAMAGES = (OSError, ValueError, SyntaxError)


def _decoded(source: Path | BinaryIO, formats: tuple[str, ...] | None, reduced: bool) -> ImageArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            opened = Image.open(source, formats=formats)
        except Image.DecompressionBombError as error:
            raise _TooLargeError(
                f"has more than {MAX_PIXELS // 1_000_000} megapixels; make it smaller first."
            ) from error
        with opened:
            _bound(opened, reduced)
            ImageOps.exif_transpose(opened, in_place=True)
            width, height = opened.size
            rgb = np.empty((height, width, 3), np.uint8)
            for top in range(0, height, _STRIP):
                strip = opened.crop((0, top, width, min(height, top + _STRIP)))
                rgb[top : top + _STRIP] = np.asarray(_as_rgb(strip))
            return rgb


def _bound(opened: Image.Image, reduced: bool) -> None:
    """Refuse a picture by its header, or have its decoder make it smaller."""
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise _TooLargeError(
            f"is {width}x{height}, more than {MAX_PIXELS // 1_000_000} megapixels; make it "
            "smaller first."
        )
    if not reduced or width * height <= FACE_PIXELS:
        return
    # A progressive JPEG is held whole before any of it is decoded.
    if opened.format != "JPEG" or opened.info.get("progressive"):
        raise _TooLargeError(
            f"is {width}x{height}, and only a JPEG that is not progressive may have more than "
            f"{FACE_PIXELS // 1_000_000} megapixels here; make it smaller first."
        )
    opened.draft(None, (-(-width // 2), -(-height // 2)))


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        array = np.asarray(image).astype(np.float64) / 257  # 65535 is white
        return Image.fromarray(np.rint(np.clip(array, 0, 255)).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return image.convert("RGB")
