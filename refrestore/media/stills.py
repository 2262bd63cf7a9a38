"""Still pictures in and out."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from refrestore.errors import MediaError, UsageError
from refrestore.media.failures import writing
from refrestore.media.files import publish
from refrestore.plain_file import check_plain
from refrestore.types import ImageArray

MAX_PIXELS = 200_000_000
"""Largest picture read (200 megapixels, 600 MB as RGB): more is a mistake or an attack."""

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}

_QUALITY = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}}
"""Visually lossless: 95 is the most that Pillow's documentation advises for JPEG."""


def read_picture(path: str | Path) -> ImageArray:
    """Return a picture file as (H, W, 3) uint8 RGB, upright as its EXIF orientation says.

    Transparent pictures are put on black; 16-bit ones are reduced to 8.

    Raises
    ------
    MediaError
        It is missing, damaged, no picture, or larger than `MAX_PIXELS`.
    """
    path = Path(path)
    try:
        check_plain(path)
    except FileNotFoundError as error:
        raise MediaError(f"There is no picture {path}.") from error
    except OSError as error:
        raise MediaError(f"{path} is not a picture that can be read ({error.strerror}).") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise MediaError(
                        f"{path} is {opened.width}x{opened.height}, more than "
                        f"{MAX_PIXELS // 1_000_000} megapixels; make it smaller first."
                    )
                upright = ImageOps.exif_transpose(opened)
                return np.asarray(_as_rgb(upright), np.uint8).copy()
    except UnidentifiedImageError as error:
        raise MediaError(f"{path} is not a picture that can be read.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path} is damaged or truncated ({error}).") from error


def decode_picture(content: bytes, *, formats: tuple[str, ...], most_pixels: int) -> ImageArray:
    """Return a picture that came from elsewhere as `read_picture` does; its name is not needed.

    Parameters
    ----------
    content
        The file.
    formats
        Pillow's names of the formats that are tried; no other decoder sees the bytes.
    most_pixels
        Larger ones are refused by their header, before they are decoded.

    Raises
    ------
    MediaError
        It is damaged, of another format or larger than that.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=formats) as opened:
                if opened.width * opened.height > most_pixels:
                    raise Image.DecompressionBombError
                return np.asarray(_as_rgb(ImageOps.exif_transpose(opened)), np.uint8).copy()
    except Image.DecompressionBombError as error:
        raise MediaError(
            f"The picture has more than {most_pixels // 1_000_000} megapixels; make it smaller "
            "first."
        ) from error
    except UnidentifiedImageError as error:
        raise MediaError(
            f"This is no picture that can be read; {', '.join(formats)} can."
        ) from error
    except (OSError, ValueError, SyntaxError) as error:
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


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        array = np.asarray(image).astype(np.float64) / 257  # 65535 is white
        return Image.fromarray(np.rint(np.clip(array, 0, 255)).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return image.convert("RGB")
