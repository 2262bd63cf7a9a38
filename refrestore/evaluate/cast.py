"""People to evaluate on: folders of photos, and clips of talking heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from refrestore.errors import UsageError
from refrestore.evaluate.judge import TrueFace
from refrestore.faces.analyser import FaceModels
from refrestore.faces.pose import mesh_keypoints
from refrestore.media.stills import PICTURE_SUFFIXES
from refrestore.scan.photos import faces_of_pictures
from refrestore.types import FloatArray, ImageArray, Reference

VIDEOS = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v"}

SAME_PHOTO = 4.0
"""Mean difference in grey levels, of 32-px thumbnails, below which two photos are one: a copy of
the truth among the references would make everything look well."""

_THUMBNAIL = 32

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Photographed:
    """One person's photos."""

    name: str
    photos: tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo that is good enough to be truth and reference.

    Parameters
    ----------
    name
        Of the file.
    reference
        As a profile would hold it.
    face
        Where the face is in its 512-px crop.
    thumbnail
        To know copies by.
    """

    name: str
    reference: Reference
    face: TrueFace
    thumbnail: FloatArray

    @property
    def truth(self) -> ImageArray:
        """The crop, (512, 512, 3) uint8."""
        return self.reference.image

    def is_copy_of(self, other: Photo) -> bool:
        """Whether both are the same photo."""
        return float(np.abs(self.thumbnail - other.thumbnail).mean()) < SAME_PHOTO


def find_people(
    folders: Sequence[Path], names: Sequence[str], most: int | None, album: int
) -> list[Photographed]:
    """Return the people of some folders, by name.

    Parameters
    ----------
    names
        Only these; everybody if empty.
    most
        How many people at most, evenly spread; None for all.
    album
        Photos of a person at most, evenly spread.

    Raises
    ------
    UsageError
        If a folder is missing or nobody in them has two photos.
    """
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"There is no folder {folder} with people's photos.")
        for one in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
            files = sorted(one.iterdir())
            photos = [file for file in files if file.suffix.lower() in PICTURE_SUFFIXES]
            if len(photos) >= 2 and (not names or one.name in names):
                found.append(Photographed(one.name, tuple(spread(photos, album))))
    if not found:
        raise UsageError(
            f"Nobody in {', '.join(map(str, folders))} has two photos"
            f"{' among the people named' if names else ''}: give folders that hold one folder of "
            "photos a person."
        )
    return spread(sorted(found, key=lambda one: one.name), most)


def find_clips(places: Sequence[Path], names: Sequence[str], most: int | None) -> list[Path]:
    """Return the clips in some folders, by name; arguments as in `find_people`.

    Raises
    ------
    UsageError
        If a place is missing or holds no clip.
    """
    found = []
    for place in places:
        if not place.exists():
            raise UsageError(f"There is no clip and no folder {place}.")
        files = sorted(place.iterdir()) if place.is_dir() else [place]
        found += [
            file
            for file in files
            if file.suffix.lower() in VIDEOS and (not names or file.stem in names)
        ]
    if not found:
        raise UsageError(
            f"There is no clip in {', '.join(map(str, places))}"
            f"{' among the people named' if names else ''}."
        )
    return spread(found, most)


def check_names(
    names: Sequence[str], people: Sequence[Photographed], clips: Sequence[Path], most: int | None
) -> None:
    """Refuse names that nobody has.

    Raises
    ------
    UsageError
        If one of the people named is nowhere.
    """
    if most is not None:
        return
    known = {person.name for person in people} | {clip.stem for clip in clips}
    missing = [name for name in names if name not in known]
    if missing:
        raise UsageError(
            f"{missing[0]} is neither a folder with two photos nor a clip in the folders given."
        )


def read_photos(person: Photographed, models: FaceModels) -> list[Photo]:
    """Look at a person's photos as a profile is built; those that give no reference are left out.

    Copies of a photo are left out too.
    """
    photos: list[Photo] = []
    for reference in faces_of_pictures(person.photos, models).references:
        small = cv2.resize(reference.image, (_THUMBNAIL,) * 2, interpolation=cv2.INTER_AREA)
        face = TrueFace(mesh_keypoints(reference.landmarks[None])[0], reference.landmarks)
        name = Path(reference.source).name
        photo = Photo(name, reference, face, small.astype(np.float32))
        if not any(photo.is_copy_of(other) for other in photos):
            photos.append(photo)
    return photos


def spread(items: Sequence[_Item], most: int | None) -> list[_Item]:
    """Return at most so many items, evenly spread."""
    if most is None or len(items) <= most:
        return list(items)
    places = np.unique(np.linspace(0, len(items) - 1, most).round().astype(int))
    return [items[place] for place in places]
