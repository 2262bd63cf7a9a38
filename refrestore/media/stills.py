"""Still pictures in and out."""

from __future__ import annotations

import io
import mimetypes
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from refrestore.errors import MediaError, UsageError
from refrestore.file_names import readable_name
from refrestore.media.failures import writing
from refrestore.media.files import check_file, publish
from refrestore.media.provenance import Provenance
from refrestore.types import ImageArray

MAX_PIXELS = 160_000_000
"""Largest picture read: the largest sensor (Phase One IQ4) has 151 megapixels; more is a mistake or
an attack. Twice 4 bytes a pixel are held at a time where it is turned upright, 3 of them kept."""

FACE_PIXELS = 40_000_000
"""Most that are decoded where only faces are looked for: a face of 512 is a tenth of such a height.
The most that takes, by `tests/media/test_stills.py`, is 650 MB (WebP)."""

_STRIP = 256
"""Rows turned into an array at a time: on the way Pillow holds them twice more, as bytes."""

PICTURE_SUFFIXES = frozenset(
    {".bmp", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
"""What photos are kept in."""

_SIDECARS = frozenset({"", ".aae", ".db", ".ini", ".xmp"})
"""What programs keep beside photos; none is one."""

WRITTEN = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""Pillow's names of the formats that are written, by suffix."""

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


@dataclass(frozen=True, slots=True)
class PhotoTags:
    """What a photo's header says.

    Parameters
    ----------
    stored, shown
        Width and height of the picture as it is stored, and turned upright.
    orientation
        EXIF's number for how the one becomes the other, 1 to 8.
    xmp
        The XMP packet inside it, None where there is none.
    """

    stored: tuple[int, int]
    shown: tuple[int, int]
    orientation: int
    xmp: bytes | None


def read_tags(path: Path) -> PhotoTags:
    """Return what the header of a picture file says; no pixel is decoded.

    Raises
    ------
    MediaError
        As `read_picture`.
    """
    check_file(path)
    try:
        return _tags(path)
    except _TooLargeError as error:
        raise MediaError(f"{path} {error}") from error
    except UnidentifiedImageError as error:
        raise MediaError(f"{path} is not a picture that can be read.") from error
    except _DAMAGES as error:
        raise MediaError(f"{path} is damaged or truncated ({error}).") from error


def pictures_in(paths: Iterable[Path]) -> list[Path]:
    """Return the pictures among files and folders, by name within each folder.

    Of a folder's files those are left out that are plainly none, by name; what may be one and
    cannot be read is found out, and said, when it is read.

    Raises
    ------
    UsageError
        When a folder holds no picture.
    MediaError
        When a path is neither a file nor a folder.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if _may_be_picture(one))
            if not inside:
                raise UsageError(f"There is no picture in {path}.")
            found += inside
        else:
            check_file(path)
            found.append(path)
    return found


def pictures_below(folder: Path) -> list[Path]:
    """Return the pictures in a folder and all folders in it, in the order of their paths.

    Raises
    ------
    UsageError
        When there is none.
    MediaError
        When it is no folder.
    """
    if not folder.is_dir():
        raise MediaError(f"{readable_name(folder)} is not a folder.")
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith(".")]
        found += [one for one in map(Path(place).joinpath, files) if _may_be_picture(one)]
    if not found:
        raise UsageError(f"There is no picture in {readable_name(folder)}.")
    return sorted(found)


def _may_be_picture(path: Path) -> bool:
    suffix = path.suffix.lower()
    if path.name.startswith(".") or suffix in _SIDECARS:
        return False
    if suffix in PICTURE_SUFFIXES:
        return True
    kind, _ = mimetypes.guess_type(path.name)
    return path.is_file() and (kind is None or kind.startswith("image/"))


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


def write_picture(path: str | Path, rgb: ImageArray, *, said: Provenance | None = None) -> None:
    """Write (H, W, 3) uint8 RGB as PNG, JPEG or WebP by suffix; complete or not at all.

    Parameters
    ----------
    path
        The file.
    rgb
        The picture.
    said
        What it says of itself, as XMP.

    Raises
    ------
    UsageError
        The suffix is none of these.
    DiskError, MediaError
        It cannot be written.
    """
    path = Path(path)
    kind = WRITTEN.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path} needs a name that ends in {', '.join(WRITTEN)}.")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"rgb must be (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
    with writing(path):
        temporary = path.with_name(f".{path.name}.partial")
        try:
            options = {**_QUALITY.get(kind, {}), **_xmp(kind, said)}
            Image.fromarray(rgb).save(temporary, kind, **options)
            publish(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _xmp(kind: str, said: Provenance | None) -> dict[str, Any]:
    """Return Pillow's options for what a picture says of itself."""
    if said is None:
        return {}
    if kind != "PNG":
        return {"xmp": said.xmp()}
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", said.xmp().decode())
    return {"pnginfo": chunks}


class _TooLargeError(Exception):
    """How large a picture is and may be, as the end of a sentence."""


_DAMAGES = (OSError, ValueError, SyntaxError)

_FAR_TOO_LARGE = f"has more than {MAX_PIXELS // 1_000_000} megapixels; make it smaller first."

_ON_ITS_SIDE = 5
"""EXIF orientations from this on turn a picture by a quarter."""


@cache
def _know_heif() -> None:
    """Let Pillow read what phones write."""
    import pillow_heif

    pillow_heif.register_heif_opener()


def _decoded(source: Path | BinaryIO, formats: tuple[str, ...] | None, reduced: bool) -> ImageArray:
    _know_heif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            opened = Image.open(source, formats=formats)
        except Image.DecompressionBombError as error:
            raise _TooLargeError(_FAR_TOO_LARGE) from error
        with opened:
            _bound(opened, reduced)
            ImageOps.exif_transpose(opened, in_place=True)
            width, height = opened.size
            rgb = np.empty((height, width, 3), np.uint8)
            for top in range(0, height, _STRIP):
                strip = opened.crop((0, top, width, min(height, top + _STRIP)))
                rgb[top : top + _STRIP] = np.asarray(_as_rgb(strip))
            return rgb


def _tags(path: Path) -> PhotoTags:
    _know_heif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            opened = Image.open(path)
        except Image.DecompressionBombError as error:
            raise _TooLargeError(_FAR_TOO_LARGE) from error
        with opened:
            # What reads HEIF turns it upright itself, and keeps what it was.
            turned = opened.info.get("original_orientation") if opened.format == "HEIF" else None
            said = turned or opened.getexif().get(ExifTags.Base.Orientation, 1)
            orientation = said if isinstance(said, int) and 1 <= said <= 8 else 1
            other = opened.size[::-1] if orientation >= _ON_ITS_SIDE else opened.size
            stored, shown = (other, opened.size) if turned else (opened.size, other)
            xmp = opened.info.get("xmp")
    return PhotoTags(stored, shown, orientation, xmp if isinstance(xmp, bytes) else None)


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
