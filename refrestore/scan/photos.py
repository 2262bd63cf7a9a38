"""References from still pictures: an album instead of a video."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refrestore.errors import MediaError
from refrestore.faces.analyser import FaceModels
from refrestore.faces.pose import mesh_keypoints
from refrestore.media.stills import read_picture
from refrestore.scan.closeups import closeup
from refrestore.scan.harvest import MIN_SIZE
from refrestore.types import Faces, ImageArray, Reference

CLEARLY_LARGEST = 1.5
"""How much larger than the next a face must be for a picture of several to be about it."""

MIN_PHOTO_SHARPNESS = 0.4
"""Stricter than for a film's own close-ups: a photo is chosen, and a better one can be."""

MIN_VISIBLE_QUALITY = 0.03
"""Below this a large and sharp face is turned away, covered or badly lit."""

_DETECT_SIZE = 640


@dataclass(frozen=True, slots=True)
class Rejected:
    """A picture that gave no reference.

    Parameters
    ----------
    source
        Which one.
    reason
        Why, as the end of a sentence.
    """

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class PictureFaces:
    """What an album gave.

    Parameters
    ----------
    references
        One a good picture, in the order of the pictures.
    rejected
        The other pictures.
    """

    references: tuple[Reference, ...]
    rejected: tuple[Rejected, ...]


def faces_of_pictures(
    pictures: Iterable[Path | ImageArray], models: FaceModels, *, detect_size: int = _DETECT_SIZE
) -> PictureFaces:
    """Take one person's references from pictures, one a picture.

    Parameters
    ----------
    pictures
        Files, or (H, W, 3) uint8 RGB arrays with square pixels (named "picture 1" and so on).
        Read one at a time.
    models
        Networks.
    detect_size
        Longer side of what the detector sees, pixels.

    Returns
    -------
    PictureFaces
        Of several faces the clearly largest is taken; a picture without a clear, large and sharp
        one is rejected, and why.
    """
    references, rejected = [], []
    for number, picture in enumerate(pictures, start=1):
        source = str(picture) if isinstance(picture, Path) else f"picture {number}"
        try:
            image = read_picture(picture) if isinstance(picture, Path) else picture
            references.append(_reference(image, source, models, detect_size))
        except MediaError as error:
            reason = str(error).removesuffix(".")
            rejected.append(Rejected(source, f"it cannot be read as a picture ({reason})"))
        except _NotUsableError as error:
            rejected.append(Rejected(source, str(error)))
    return PictureFaces(tuple(references), tuple(rejected))


class _NotUsableError(Exception):
    """Why a picture gives no reference."""


def _reference(image: ImageArray, source: str, models: FaceModels, size: int) -> Reference:
    face = models.describe(image, _the_face(models.detector.detect([image], [0], size)))
    assert face.landmarks is not None
    assert face.embedding is not None
    assert face.pose is not None
    assert face.sharpness is not None
    assert face.quality is not None
    if face.sharpness[0] < MIN_PHOTO_SHARPNESS:
        raise _NotUsableError(
            f"its face is too blurred ({face.sharpness[0]:.2f} of {MIN_PHOTO_SHARPNESS})"
        )
    if face.quality[0] < MIN_VISIBLE_QUALITY:
        raise _NotUsableError("its face is turned away, covered or badly lit")
    aligned = closeup(image, mesh_keypoints(face.landmarks)[0], face.landmarks[0])
    return Reference(
        image=aligned.image,
        landmarks=aligned.landmarks,
        embedding=face.embedding[0],
        pose=face.pose[0],
        sharpness=float(face.sharpness[0]),
        quality=float(face.quality[0]),
        native_size=float(face.size[0]),
        source=source,
    )


def _the_face(found: Faces) -> Faces:
    """Return the one face a picture is about."""
    if not len(found):
        raise _NotUsableError("no face was found in it")
    order = np.argsort(-found.size, kind="stable")
    largest = float(found.size[order[0]])
    if len(found) > 1 and largest < CLEARLY_LARGEST * float(found.size[order[1]]):
        raise _NotUsableError(f"it shows {len(found)} faces, and none is clearly the largest")
    if largest < MIN_SIZE:
        raise _NotUsableError(f"its face is too small ({largest:.0f} of {MIN_SIZE:.0f} pixels)")
    return found[order[:1]]
