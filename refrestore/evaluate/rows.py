"""Rows of the table: one interface for everything that makes a picture or a film better or worse.

A row gets what everybody gets, a degraded picture or film, and gives it back restored. Rows that
look at one picture at a time are a `PixelRow` around a function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.profiles import Profile
from refrestore.types import ImageArray

UNSHARP_SIGMA, UNSHARP_AMOUNT = 2.0, 1.0
"""Radius in pixels and strength of the mask that editors offer by default."""


@dataclass(frozen=True, eq=False)
class PictureCase:
    """A degraded still picture of one person.

    Parameters
    ----------
    subject
        Person and photo.
    condition
        "stills, moderate".
    picture : (H, W, 3) uint8
        Degraded, RGB.
    profile
        Of the person's other photos.
    stranger
        Of somebody else, the most similar one there is; None if there is nobody.
    """

    subject: str
    condition: str
    picture: ImageArray
    profile: Profile
    stranger: Profile | None


@dataclass(frozen=True)
class FilmCase:
    """A film whose far shots are degraded.

    Parameters
    ----------
    film
        The file.
    project
        Its scan.
    swapped
        The same with every far face given to the next person, as a user's wrong merge; None if
        there is one person only, or nobody was recognised.
    kinds
        Degradation of each frame that counts, by index; rows may leave the others as they are.
    folder
        Where rows may write.
    albums
        Of a tape: profiles of the people in it ("right"), and of others ("wrong").
    """

    film: Path
    project: Path
    swapped: Path | None
    kinds: Mapping[int, str]
    folder: Path
    albums: Mapping[str, Sequence[Profile]] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """What a row made of a picture.

    Parameters
    ----------
    image : (H, W, 3) uint8
        RGB, of the size of the picture.
    done
        What the restorer says it did to the face, if it says it.
    """

    image: ImageArray
    done: str | None = None


class Row(Protocol):
    """One row of the table."""

    @property
    def key(self) -> str:
        """Name in the JSON; goals know the rows they compare by it (`goals`)."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def about(self) -> str:
        """What it is, in one sentence."""

    def picture(self, case: PictureCase) -> Made | None:
        """Restore a picture; None if it cannot be done in this case."""

    def film(self, case: FilmCase) -> Iterator[ImageArray] | None:
        """Yield every frame of a film, restored; None if it cannot be done in this case."""


@dataclass(frozen=True)
class PixelRow:
    """A row that looks at one picture at a time and at nothing else.

    Parameters
    ----------
    key, name, about
        As in `Row`.
    change
        (H, W, 3) uint8 RGB to the same.
    """

    key: str
    name: str
    about: str
    change: Callable[[ImageArray], ImageArray]

    def picture(self, case: PictureCase) -> Made:
        """Change a picture."""
        return Made(self.change(case.picture))

    def film(self, case: FilmCase) -> Iterator[ImageArray]:
        """Change the frames that count."""
        for index, picture in enumerate(film_pictures(case.film)):
            yield self.change(picture) if index in case.kinds else picture


def film_pictures(film: Path) -> Iterator[ImageArray]:
    """Yield every frame of a film as a viewer sees it, (H, W, 3) uint8 RGB."""
    with VideoReader(film) as reader:
        for frame in reader:
            yield display_rgb(frame)


def sharpened(image: ImageArray) -> ImageArray:
    """Return the picture with an unsharp mask, what an editor does without knowing faces."""
    soft = cv2.GaussianBlur(image, (0, 0), UNSHARP_SIGMA)
    return np.asarray(cv2.addWeighted(image, 1 + UNSHARP_AMOUNT, soft, -UNSHARP_AMOUNT, 0), "u1")


def plain_rows() -> list[Row]:
    """Return the rows that need no network."""
    return [
        PixelRow(
            "input",
            "input (bicubic)",
            "what everybody is given: the degraded picture, enlarged bicubically to its size",
            lambda image: image,
        ),
        PixelRow("sharpened", "sharpened", "an unsharp mask of 2 px, strength 1", sharpened),
    ]
