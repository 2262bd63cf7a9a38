"""Pictures and other files: written whole or not at all, errors in one sentence."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import cv2
import numpy as np

from refrestore.errors import DiskError, ProjectError
from refrestore.types import ImageArray

THUMBNAIL_QUALITY = 88
"""JPEG quality of thumbnails: they are looked at, never restored from."""

PNG_COMPRESSION = 3
"""zlib level of reference crops; higher levels save 2 % and take five times as long."""


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that its name never shows a part of it, not even after a power cut.

    Raises
    ------
    DiskError
        When there is no room or no permission.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise disk_error(path, error) from error


def disk_error(path: Path, error: OSError) -> DiskError:
    """Return the sentence for a file that could not be written."""
    reason = error.strerror or str(error)
    return DiskError(f"Cannot write {path} ({reason}): make room or choose another folder.")


def encode_png(image: ImageArray) -> bytes:
    """Return a (H, W, 3) RGB picture as PNG; the same picture always gives the same bytes."""
    return _encode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION])


def encode_jpeg(image: ImageArray) -> bytes:
    """Return a (H, W, 3) RGB picture as JPEG."""
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, THUMBNAIL_QUALITY])


def decode_image(content: bytes) -> ImageArray | None:
    """Return the (H, W, 3) RGB picture in a PNG or JPEG, or None if there is none in it."""
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


def _encode(kind: str, image: ImageArray, options: list[int]) -> bytes:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected a (H, W, 3) uint8 picture, got {image.shape} {image.dtype}")
    done, content = cv2.imencode(kind, np.ascontiguousarray(image[:, :, ::-1]), options)
    if not done:
        raise ValueError(f"a {image.shape} picture cannot be written as {kind}")
    return bytes(content.tobytes())


def _umask() -> int:
    # The process's mask can only be read by setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
