"""Pictures of a project: encoded, decoded, read with errors in one sentence.

OpenCV is loaded with the first picture: opening a project needs none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from refrestore.errors import ProjectError
from refrestore.types import ImageArray

THUMBNAIL_QUALITY = 88
"""JPEG quality of thumbnails: they are looked at, never restored from."""

PNG_COMPRESSION = 1
"""zlib level of crops. With Paeth's filter on every row and runs of equal bytes only (`_encode`) a
crop of 512 px has 217 kB after 9 ms; as OpenCV does it by itself 241 kB after 20 ms at level 3, and
260 kB after 12 ms at 1 (16 close-ups of four people)."""


def encode_png(image: ImageArray) -> bytes:
    """Return a (H, W, 3) RGB picture as PNG; the same picture always gives the same bytes."""
    return _encode(".png", image)


def encode_jpeg(image: ImageArray) -> bytes:
    """Return a (H, W, 3) RGB picture as JPEG."""
    return _encode(".jpg", image)


def decode_image(content: bytes) -> ImageArray | None:
    """Return the (H, W, 3) RGB picture in a PNG or JPEG, or None if there is none in it."""
    import cv2

    if not content:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.ascontiguousarray(image[:, :, ::-1])


def read_image(path: Path) -> ImageArray:
    """Read a picture of a project as (H, W, 3) RGB.

    Raises
    ------
    ProjectError
        When it is missing or damaged.
    """
    try:
        image = decode_image(path.read_bytes())
    except FileNotFoundError as error:
        raise ProjectError(f"{path} is missing: scan the video again.") from error
    except OSError as error:
        raise ProjectError(f"{path} cannot be read ({error.strerror}).") from error
    if image is None:
        raise ProjectError(f"{path} is not a picture any more: scan the video again.")
    return image


def read_crop(path: Path) -> ImageArray:
    """Read a close-up of a project, (512, 512, 3) RGB.

    Raises
    ------
    ProjectError
        When it is missing, damaged or of another size.
    """
    from refrestore.faces.align import CROP_SIZE

    image = read_image(path)
    if image.shape != (CROP_SIZE, CROP_SIZE, 3):
        raise ProjectError(f"{path} is no close-up any more: scan the video again.")
    return image


def _encode(kind: Literal[".png", ".jpg"], image: ImageArray) -> bytes:
    import cv2

    options = {
        ".png": [
            cv2.IMWRITE_PNG_COMPRESSION,
            PNG_COMPRESSION,
            cv2.IMWRITE_PNG_FILTER,
            cv2.IMWRITE_PNG_FILTER_PAETH,
            cv2.IMWRITE_PNG_STRATEGY,
            cv2.IMWRITE_PNG_STRATEGY_RLE,
        ],
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, THUMBNAIL_QUALITY],
    }[kind]
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected a (H, W, 3) uint8 picture, got {image.shape} {image.dtype}")
    done, content = cv2.imencode(kind, np.ascontiguousarray(image[:, :, ::-1]), options)
    if not done:
        raise ValueError(f"a {image.shape} picture cannot be written as {kind}")
    return bytes(content.tobytes())
