"""The film maker: clips in; a film with near and far shots, and its ground truth, out.

In a *near* scene a person is large and clean, in a *far* one small and degraded, at another
moment of the same clip. The truth is the same film without the degradation, so whoever restores
the far faces from the near ones can be held against what was really there.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from refrestore.errors import MediaError
from refrestore.evaluate.degrade import Codec, Degradation, degrade, through_codec
from refrestore.evaluate.tape import Tape, on_tape
from refrestore.faces.analyser import FaceModels
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures
from refrestore.media.stills import PICTURE_SUFFIXES, read_picture
from refrestore.types import DoubleArray, ImageArray

FACE_HEIGHT_IN_PANE = 0.45
"""Where a face's centre stands, as a share of its pane's height."""

SURROUND_CELLS = 8
"""What surrounds a clip smaller than its pane is the clip at this many cells across: no face is
left in it."""

SOUND_RATE = 48_000

SWAY = 0.06
ZOOM = 0.05
TURN = 0.04
"""How far a camera that films a photo moves (share of the face's height), how much nearer it comes,
and by how many radians it tilts."""

SWAY_SECONDS = (2.0, 5.0)
"""Periods of these movements."""


@dataclass(frozen=True)
class Filmed:
    """One person of a scene.

    Parameters
    ----------
    clip
        Video of one talking head, or a photo: a camera moves over it.
    start
        Seconds into the clip.
    face
        Height of the face in the film, pixels.
    """

    clip: Path
    start: float
    face: float


@dataclass(frozen=True)
class Scene:
    """A shot of the film: people side by side, clean or degraded.

    Parameters
    ----------
    people
        From left to right; each gets a pane of equal width.
    seconds
        How long it lasts.
    degradation
        What happens to its picture, or None.
    crf, codec
        Constant quality and encoder that a degraded scene is sent through before the film is
        encoded.
    """

    people: tuple[Filmed, ...]
    seconds: float
    degradation: Degradation | None = None
    crf: int = 30
    codec: Codec = "libx264"


@dataclass(frozen=True)
class SceneLabel:
    """Where a scene lies in the film: frames `first <= frame < stop`."""

    first: int
    stop: int
    clips: tuple[str, ...]
    degraded: bool


def make_film(
    scenes: Sequence[Scene],
    film: Path,
    truth: Path,
    *,
    models: FaceModels,
    size: tuple[int, int] = (1280, 720),
    rate: Fraction = Fraction(25),
    seed: int = 0,
    tape: Tape | None = None,
) -> list[SceneLabel]:
    """Write the film (H.264, with a sound track) and its truth (lossless FFV1).

    Parameters
    ----------
    scenes
        In order; there is a hard cut between any two.
    film, truth
        Output files (.mp4 and .mkv).
    models
        To find the faces in the clips.
    size
        Width and height of the film.
    tape
        What the whole film was recorded on, instead of the scenes' own degradations.

    Raises
    ------
    MediaError
        If a clip ends before its scene does or shows no face.
    """
    random = np.random.default_rng(seed)
    labels: list[SceneLabel] = []
    for scene in scenes:
        first = labels[-1].stop if labels else 0
        count = round(scene.seconds * rate)
        clips = tuple(person.clip.name for person in scene.people)
        spoilt = tape is not None or scene.degradation is not None
        labels.append(SceneLabel(first, first + count, clips, spoilt))

    def clean() -> Iterator[ImageArray]:
        for scene in scenes:
            yield from _scene(scene, models, size, rate)

    def seen() -> Iterator[ImageArray]:
        if tape is not None:
            yield from on_tape(clean(), tape, random)
            return
        for scene in scenes:
            pictures = _scene(scene, models, size, rate)
            if scene.degradation is None:
                yield from pictures
                continue
            chain = scene.degradation
            spoilt = (degrade(picture, chain, random) for picture in pictures)
            yield from through_codec(spoilt, rate=rate, codec=scene.codec, crf=scene.crf)

    write_pictures(truth, clean(), rate=rate, codec="ffv1", pixel_format="yuv444p")
    sound = _hum(labels[-1].stop / float(rate)) if labels else None
    codec, options = "libx264", {"crf": "14", "preset": "veryfast"}
    if tape is not None:
        codec, options = tape.codec, dict(tape.options)
    write_pictures(
        film,
        seen(),
        rate=rate,
        codec=codec,
        options=options,
        sound=sound,
        sound_rate=SOUND_RATE,
    )
    return labels


def _scene(
    scene: Scene, models: FaceModels, size: tuple[int, int], rate: Fraction
) -> Iterator[ImageArray]:
    width, height = size
    pane = (width // len(scene.people), height)
    count = round(scene.seconds * rate)
    streams = [_person(person, count, models, pane, rate) for person in scene.people]
    for panes in zip(*streams, strict=True):
        picture = np.concatenate(panes, axis=1)
        missing = width - picture.shape[1]
        yield np.pad(picture, ((0, 0), (0, missing), (0, 0)), mode="edge")


def _person(
    person: Filmed, count: int, models: FaceModels, pane: tuple[int, int], rate: Fraction
) -> Iterator[ImageArray]:
    if person.clip.suffix.lower() in PICTURE_SUFFIXES:
        photo = read_picture(person.clip)
        framing = _framing(photo, person, models, pane)
        for moved in _camera(person, framing, pane, count, rate):
            yield _framed(photo, moved, pane)
        return
    pictures = _clip(person, count, rate)
    opening = list(itertools.islice(pictures, 1))
    matrix = _framing(opening[0], person, models, pane)
    for picture in itertools.chain(opening, pictures):
        yield _framed(picture, matrix, pane)


def _camera(
    person: Filmed, framing: DoubleArray, pane: tuple[int, int], count: int, rate: Fraction
) -> Iterator[DoubleArray]:
    """Yield the (2, 3) matrices photo → pane of a camera that is held by hand."""
    random = np.random.default_rng(zlib.crc32(person.clip.name.encode()))
    turns = 2 * np.pi / random.uniform(*SWAY_SECONDS, 4)
    phases = random.uniform(0, 2 * np.pi, 4)
    middle = np.array([pane[0] / 2, pane[1] * FACE_HEIGHT_IN_PANE])
    for number in range(count):
        across, down, zoom, tilt = np.sin(phases + turns * number / float(rate))
        angle, scale = TURN * tilt, 1 + ZOOM * zoom
        turned = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shift = middle - turned @ middle + SWAY * person.face * np.array([across, down])
        moved = turned @ framing
        moved[:, 2] += shift
        yield moved


def _clip(person: Filmed, count: int, rate: Fraction) -> Iterator[ImageArray]:
    """Yield `count` pictures of a clip at the film's rate, each the last one shown by then."""
    with VideoReader(person.clip) as reader:
        begin = reader.info.start + Fraction(person.start).limit_denominator(1000)
        given = 0
        latest = None
        for frame in reader:
            while given < count and latest is not None and begin + given / rate < frame.time:
                yield display_rgb(latest)
                given += 1
            if given == count:
                return
            latest = frame if frame.time >= begin or latest is not None else None
        while (
            given < count and latest is not None and begin + given / rate <= latest.time + 1 / rate
        ):
            yield display_rgb(latest)
            given += 1
    if given < count:
        raise MediaError(
            f"{person.clip.name} has only {given} of the {count} frames asked for from "
            f"{person.start:g} s on; choose an earlier start or a shorter scene."
        )


def _framing(
    picture: ImageArray, person: Filmed, models: FaceModels, pane: tuple[int, int]
) -> DoubleArray:
    """Return the (2, 3) matrix clip → pane that makes the largest face as high as asked."""
    faces = models.detector.detect([picture], [0], 640)
    if not len(faces):
        raise MediaError(f"No face in {person.clip.name} at {person.start:g} s.")
    box = faces.box[int(np.argmax(faces.size))]
    scale = person.face / float(box[3] - box[1])
    centre = (box[:2] + box[2:]) / 2
    target = np.array([pane[0] / 2, pane[1] * FACE_HEIGHT_IN_PANE])
    return np.hstack([np.eye(2) * scale, (target - scale * centre)[:, None]]).astype(np.float64)


def _framed(picture: ImageArray, matrix: DoubleArray, pane: tuple[int, int]) -> ImageArray:
    scale = float(np.hypot(*matrix[:, 0]))
    if scale < 1:
        shrunk = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        matrix = np.hstack([matrix[:, :2] / scale, matrix[:, 2:]])
    else:
        shrunk = picture
    cells = (SURROUND_CELLS, max(1, round(SURROUND_CELLS * pane[1] / pane[0])))
    coarse = cv2.resize(picture, cells, interpolation=cv2.INTER_AREA)
    surround = cv2.resize(coarse, pane, interpolation=cv2.INTER_CUBIC)
    placed = cv2.warpAffine(
        shrunk,
        matrix,
        pane,
        dst=surround,
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    return np.asarray(placed, np.uint8)


def _hum(seconds: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return a quiet chord, (2, samples), so that the film has a sound track to keep."""
    time = np.arange(int(seconds * SOUND_RATE)) / SOUND_RATE
    left, right = (0.05 * np.sin(2 * np.pi * pitch * time) for pitch in (220.0, 277.18))
    return np.stack([left, right]).astype(np.float32)
