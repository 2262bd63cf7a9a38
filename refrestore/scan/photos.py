"""References from still pictures: an album instead of a video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refrestore.errors import MediaError
from refrestore.faces.analyser import FaceModels
from refrestore.faces.pose import mesh_keypoints
from refrestore.faces.quality import resolved_size
from refrestore.file_names import is_utf8, readable_name
from refrestore.media.regions import Box
from refrestore.media.stills import read_picture
from refrestore.project.anchors import overlaps
from refrestore.scan.cut_close_ups import cut_close_up
from refrestore.scan.samples import MIN_SIZE
from refrestore.types import DoubleArray, Faces, ImageArray, Reference

CLEARLY_LARGEST = 1.5
"""How much larger than the next a face must be for a picture of several to be about it."""

MIN_RESOLVED = 40.0
"""Pixels that a photo's face must resolve (`quality.resolved_size`): 1.7 times, from which on a
reference gives all that it has to give (`render.need.CLEARLY_SHARPER`), the 24 that a face of
`MIN_SIZE` resolves in an ordinary compressed film (`render.need.UNJUDGED_SHARPNESS`). A recogniser
still knows it: 381 photos of 66 people are like the mean of the person's others by .627, enlarged
from 40 px by .616, from 24 px by .549 (lite pack); strangers do not come nearer."""

LEAST_OVERLAP = 0.2
"""Intersection over union of a detected face and the region somebody drew for it: people draw
around whole heads, and a region twice as wide and high still has 0.25."""

MIN_VISIBLE_QUALITY = 0.03
"""Below this, blur left aside, a large face is turned away, covered or badly lit."""

_DETECT_SIZE = 640

_EXAMPLES = 3


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


@dataclass(frozen=True, slots=True)
class Tagged:
    """A photo in which somebody has drawn a region around one person's face.

    Parameters
    ----------
    path
        The file.
    boxes
        Where that may be (`FaceRegion.boxes`): the face that fits one of them best is meant.
    """

    path: Path
    boxes: tuple[Box, ...]


def faces_of_pictures(
    pictures: Iterable[Path | ImageArray | Tagged],
    models: FaceModels,
    *,
    detect_size: int = _DETECT_SIZE,
) -> PictureFaces:
    """Take one person's references from pictures, one a picture.

    Parameters
    ----------
    pictures
        Files, or (H, W, 3) uint8 RGB arrays with square pixels (named "picture 1" and so on), or
        files with the face that is meant. Read one at a time.
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
    for number, given in enumerate(pictures, start=1):
        picture = given.path if isinstance(given, Tagged) else given
        source = readable_name(picture) if isinstance(picture, Path) else f"picture {number}"
        try:
            image = read_picture(picture, reduced=True) if isinstance(picture, Path) else picture
            if isinstance(given, Tagged):
                face = _face_in(image, given.boxes, models, detect_size)
            else:
                face = _the_face(models.detector.detect([image], [0], detect_size))
            references.append(_reference(image, source, models, face))
        except MediaError as error:
            assert isinstance(picture, Path)
            rejected.append(unreadable(picture, error))
        except _NotUsableError as error:
            rejected.append(Rejected(source, str(error)))
    return PictureFaces(tuple(references), tuple(rejected))


WANTED = f"sharp photos in which one face, {MIN_SIZE:.0f} px high or more, is the largest"
"""What to give instead, in a sentence."""


def why_none(rejected: Sequence[Rejected]) -> str:
    """Return why pictures gave no reference, as a part of a sentence: an example of each reason."""
    examples = {one.reason: one for one in reversed(rejected)}
    told = [one for one in rejected if examples.get(one.reason) is one][:_EXAMPLES]
    more = len(rejected) - len(told)
    said = "; ".join(f"{one.source}: {one.reason}" for one in told)
    return f"{said}; and {more} more" if more else said


def unreadable(picture: Path, error: MediaError) -> Rejected:
    """Return a picture that cannot be read, with the reason as the end of a sentence."""
    source = readable_name(picture)
    if not is_utf8(picture):
        return Rejected(source, "its name is not UTF-8: rename it")
    reason = str(error).rstrip(".")
    if reason.startswith(source):
        reason = f"it{reason.removeprefix(source)}"
    return Rejected(source, reason)


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


def _reference(image: ImageArray, source: str, models: FaceModels, found: Faces) -> Reference:
    face = models.describe(image, found)
    assert face.landmarks is not None
    assert face.embedding is not None
    assert face.pose is not None
    assert face.sharpness is not None
    assert face.quality is not None
    reason = flaw(face)
    if reason is not None:
        raise _NotUsableError(reason)
    aligned = cut_close_up(image, mesh_keypoints(face.landmarks)[0], face.landmarks[0])
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
    return _large(found[order[:1]])


def _large(face: Faces) -> Faces:
    size = float(face.size[0])
    if size < MIN_SIZE:
        raise _NotUsableError(f"its face is too small ({size:.0f} of {MIN_SIZE:.0f} pixels)")
    return face


def _face_in(image: ImageArray, boxes: Sequence[Box], models: FaceModels, size: int) -> Faces:
    """Return the face that lies in one of the regions, whatever else the picture shows."""
    height, width = image.shape[:2]
    regions = [np.multiply(box, (width, height, width, height)) for box in boxes]
    found = [_fitting(image, region, models, size) for region in regions]
    overlap, face = max(found, key=lambda one: one[0])
    if face is None or overlap < LEAST_OVERLAP:
        raise _NotUsableError("no face was found in its region")
    return _large(face)


def _fitting(
    image: ImageArray, region: DoubleArray, models: FaceModels, size: int
) -> tuple[float, Faces | None]:
    """Return the detected face that overlaps a region most, and how much; looks around it only."""
    left, top, right, bottom = region
    span = np.array([right - left, bottom - top])
    corner = np.maximum(np.floor(region[:2] - span), 0).astype(int)
    end = np.ceil(region[2:] + span).astype(int)
    near = np.ascontiguousarray(image[corner[1] : end[1], corner[0] : end[0]])
    if not near.size:
        return 0.0, None
    found = models.detector.detect([near], [0], size)
    if not len(found):
        return 0.0, None
    shift = corner.astype(np.float32)
    found = found.with_columns(box=found.box + np.tile(shift, 2), keypoints=found.keypoints + shift)
    fits = overlaps(found.box, region.astype(np.float32))
    best = int(np.argmax(fits))
    return float(fits[best]), found[[best]]
