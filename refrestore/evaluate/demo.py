"""The demo film: made from the group photo that insightface ships, moved by camera paths.

Close-ups pan over the photo at its own size; wide shots show all of it shrunk, blurred, noisy and
through a real codec. No file of the project shows a real person.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.errors import MediaError
from refrestore.evaluate.degrade import Degradation, degrade, through_codec
from refrestore.media.simple import write_pictures
from refrestore.types import ImageArray

SIZE = (640, 360)
RATE = Fraction(25)
SOUND_RATE = 48_000
FAR = Degradation(blur=0.8, shrink=1.6, noise=4.0, quality=60)
FAR_CRF = 30


@dataclass(frozen=True, slots=True)
class View:
    """What the camera sees: centre (of the photo's width and height) and zoom.

    Zoom 1 shows the photo pixel for pixel; below it shows more of it.
    """

    x: float
    y: float
    zoom: float


@dataclass(frozen=True, slots=True)
class CameraMove:
    """A shot: the camera eases from one view to the other."""

    start: View
    end: View
    seconds: float
    far: bool = False


WHOLE = 0.5
"""Zoom at which the photo's width fills the picture."""

MOVES = (
    CameraMove(View(0.25, 0.32, 1.0), View(0.38, 0.36, 1.0), 2.4),
    CameraMove(View(0.50, 0.40, WHOLE), View(0.50, 0.46, WHOLE), 2.4, far=True),
    CameraMove(View(0.72, 0.24, 1.0), View(0.75, 0.42, 1.0), 2.4),
    CameraMove(View(0.50, 0.45, WHOLE), View(0.45, 0.42, 0.6), 2.4, far=True),
)


def group_photo() -> ImageArray:
    """Return the photo of six people inside the insightface package, RGB.

    Raises
    ------
    MediaError
        If the package does not hold it.
    """
    file = resources.files("insightface").joinpath("data", "images", "t1.jpg")
    if not file.is_file():
        raise MediaError("The insightface package has no data/images/t1.jpg to make a film from.")
    coded = np.frombuffer(file.read_bytes(), np.uint8)
    image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(image[..., ::-1])


def make_demo_film(
    path: Path,
    *,
    moves: tuple[CameraMove, ...] = MOVES,
    size: tuple[int, int] = SIZE,
    seed: int = 0,
) -> int:
    """Write the film with a sound track and return its number of frames."""
    random = np.random.default_rng(seed)
    photo = group_photo()

    def pictures() -> Iterator[ImageArray]:
        for move in moves:
            shot = _shot(photo, move, size)
            if not move.far:
                yield from shot
                continue
            spoilt = (degrade(picture, FAR, random) for picture in shot)
            yield from through_codec(spoilt, rate=RATE, crf=FAR_CRF)

    seconds = sum(move.seconds for move in moves)
    options = {"crf": "16", "preset": "veryfast"}
    return write_pictures(
        path, pictures(), rate=RATE, options=options, sound=_music(seconds), sound_rate=SOUND_RATE
    )


def _shot(photo: ImageArray, move: CameraMove, size: tuple[int, int]) -> Iterator[ImageArray]:
    count = round(move.seconds * RATE)
    for step in range(count):
        t = step / max(1, count - 1)
        ease = t * t * (3 - 2 * t)
        yield _view(
            photo,
            View(
                *(
                    (1 - ease) * getattr(move.start, name) + ease * getattr(move.end, name)
                    for name in ("x", "y", "zoom")
                )
            ),
            size,
        )


def _view(photo: ImageArray, view: View, size: tuple[int, int]) -> ImageArray:
    height, width = photo.shape[:2]
    source = cv2.GaussianBlur(photo, (0, 0), 0.5 / view.zoom) if view.zoom < 1 else photo
    left = view.x * width - size[0] / 2 / view.zoom
    top = view.y * height - size[1] / 2 / view.zoom
    matrix = np.array([[view.zoom, 0, -left * view.zoom], [0, view.zoom, -top * view.zoom]])
    shown = cv2.warpAffine(
        source, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(shown, np.uint8)


def _music(seconds: float) -> NDArray[np.float32]:
    """Return a slow arpeggio, (2, samples)."""
    time = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    pitches = np.array([220.0, 277.18, 329.63, 440.0])
    step = (time * 2).astype(int)
    envelope = np.exp(-3 * (time * 2 - step))
    tone = 0.12 * envelope * np.sin(2 * np.pi * pitches[step % len(pitches)] * time)
    return np.stack([tone, np.roll(tone, SOUND_RATE // 50)]).astype(np.float32)
