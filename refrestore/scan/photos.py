"""References from still pictures: an album instead of a video."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refrestore.errors import MediaError
from refrestore.faces.analyser import FaceModels
from refrestore.faces.pose import mesh_keypoints
from refrestore.faces.quality import resolved_size
from refrestore.media.stills import read_picture
from refrestore.names import is_utf8, readable_name
from refrestore.scan.closeups import closeup
from refrestore.scan.harvest import MIN_SIZE
from refrestore.types import Faces, ImageArray, Reference

CLEARLY_LARGEST = 1.5
"""How much larger than the next a face must be for a picture of several to be about it."""

MIN_RESOLVED = 40.0
"""Pixels that a photo's face must resolve (`quality.resolved_size`): 1.7 times, from which on a
reference gives all that it has to give (`render.need.CLEARLY_SHARPER`), the 24 that a face of
`MIN_SIZE` resolves in an ordinary compressed film (`render.need.UNJUDGED_SHARPNESS`). A recogniser
still knows it: 381 photos of 66 people are like the mean of the person's others by .627, enlarged
from 40 px by .616, from 24 px by .549 (lite pack); strangers do not come nearer."""

MIN_VISIBLE_QUALITY = 0.03
"""Below this, blur left aside, a large face is turned away, covered or badly lit."""

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
        Of several faces the clearly largest is taken; a picture without a clear, large one that
        resolves `MIN_RESOLVED` pixels is rejected, and why.
    """
    references, rejected = [], []
    for number, picture in enumerate(pictures, start=1):
        source = readable_name(picture) if isinstance(picture, Path) else f"picture {number}"
        try:
            image = read_picture(picture, reduced=True) if isinstance(picture, Path) else picture
            references.append(_reference(image, source, models, detect_size))
        except MediaError as error:
            odd = isinstance(picture, Path) and not is_utf8(picture)
            reason = str(error).rstrip(".")
            if reason.startswith(source):
                reason = f"it{reason.removeprefix(source)}"
            rejected.append(Rejected(source, "its name is not UTF-8: rename it" if odd else reason))
        except _NotUsableError as error:
            rejected.append(Rejected(source, str(error)))
    return PictureFaces(tuple(references), tuple(rejected))


def flaw(face: Faces) -> str | None:
    """Return why a described face, large enough, is no reference, as the end of a sentence.

    Blur counts by what is left to see, not by how much of the pixels are wasted: a photo is as
    sharp as its largest reduction that is sharp.

    Parameters
    ----------
    face
        A table of one face.
    """
    assert face.sharpness is not None
    assert face.quality is not None
    resolved = float(resolved_size(face.size, face.sharpness)[0])
    if resolved < MIN_RESOLVED:
        return (
            f"its face of {face.size[0]:.0f} pixels is so blurred that it shows no more than a "
            f"sharp one of {resolved:.0f}, and {MIN_RESOLVED:.0f} are needed"
        )
    if face.quality[0] < MIN_VISIBLE_QUALITY * face.sharpness[0]:
        return "its face is turned away, covered or badly lit"
    return None


class _NotUsableError(Exception):
    """Why a picture gives no reference."""


def _reference(image: ImageArray, source: str, models: FaceModels, size: int) -> Reference:
    face = models.describe(image, _the_face(models.detector.detect([image], [0], size)))
    assert face.landmarks is not None
    assert face.embedding is not None
    assert face.pose is not None
    assert face.sharpness is not None
    assert face.quality is not None
    reason = flaw(face)
    if reason is not None:
        raise _NotUsableError(reason)
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
