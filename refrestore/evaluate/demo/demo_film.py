"""The demo film: its shots, and what they look like from far away.

Close-ups move over the photos at about their own size. In the wide shots the group photo hangs in
a gallery, its faces 25 to 45 pixels high, and the astronaut walks by; they are blurred, noisy and
through a real codec. One woman of the group is never seen close.

Near and far show the same photos: an easy case for references, whose pose and light always fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.evaluate.degrade import Degradation, degrade, through_codec
from refrestore.evaluate.demo.cutout import EYES, cut_out_portrait
from refrestore.evaluate.demo.gallery import HEIGHT, WIDTH, gallery_wall, rope
from refrestore.evaluate.demo.moves import CameraView, ease, over, prepared, shown, sway
from refrestore.evaluate.demo.music import SOUND_RATE, music
from refrestore.evaluate.demo.packaged import group_photo, portrait_photo
from refrestore.media.simple import write_pictures
from refrestore.types import ImageArray

SceneName = Literal["group", "portrait", "gallery", "walk-by"]

SIZE = (640, 360)
RATE = Fraction(25)
FAR = Degradation(blur=0.4, shrink=1.0, noise=2.0, quality=85)
FAR_CRF = 27
"""Far faces are small before anything else; more would leave nothing to recognise them by."""

HAND = 3.0
"""Sway of the hand-held close-ups, pixels."""

VIGNETTE = 0.14
"""Share of light lost in the corners."""

ROPE_PARALLAX = 1.25
"""How much faster than the wall the rope before it passes."""

STRIDE = 1.8
"""Steps a second of the walk."""


@dataclass(frozen=True, slots=True)
class CameraMove:
    """A shot: the camera eases from one view of a scene to the other.

    Parameters
    ----------
    far
        Degraded and coded as a distant camera's picture would be.
    hand
        Sway of the camera, pixels.
    """

    start: CameraView
    end: CameraView
    seconds: float
    far: bool = False
    scene: SceneName = "group"
    hand: float = 0.0

    @property
    def frames(self) -> int:
        """Number of frames."""
        return round(self.seconds * RATE)


MOVES = (
    CameraMove(CameraView(0.150, 0.388, 1.50), CameraView(0.158, 0.378, 1.56), 1.4, hand=HAND),
    CameraMove(
        CameraView(0.405, 0.425, 0.46),
        CameraView(0.423, 0.370, 0.54),
        2.0,
        far=True,
        scene="gallery",
        hand=2,
    ),
    CameraMove(CameraView(0.366, 0.300, 1.14), CameraView(0.360, 0.292, 1.17), 1.4, hand=HAND),
    CameraMove(CameraView(0.685, 0.455, 1.28), CameraView(0.672, 0.450, 1.34), 1.2, hand=HAND),
    CameraMove(CameraView(0.705, 0.168, 1.22), CameraView(0.712, 0.163, 1.27), 1.2, hand=HAND),
    CameraMove(
        CameraView(0.46, 0.24, 1.44), CameraView(0.45, 0.23, 1.52), 1.4, scene="portrait", hand=HAND
    ),
    CameraMove(
        CameraView(0.650, 0.440, 0.46),
        CameraView(0.690, 0.440, 0.46),
        2.6,
        far=True,
        scene="walk-by",
        hand=1.5,
    ),
)
"""The woman on the right of the group has no close-up."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The astronaut's way through the picture, in shares of its width and height.

    Parameters
    ----------
    start, end
        Where the point between her eyes is.
    scale
        Her size at the start and at the end, of the portrait's.
    """

    start: tuple[float, float] = (0.08, 0.58)
    end: tuple[float, float] = (0.80, 0.56)
    scale: tuple[float, float] = (0.40, 0.45)


def make_demo_film(
    path: Path,
    *,
    moves: Sequence[CameraMove] = MOVES,
    size: tuple[int, int] = SIZE,
    seed: int = 0,
    far: Degradation = FAR,
    truth: Path | None = None,
    truth_scale: int = 1,
) -> int:
    """Write the film with a sound track and return its number of frames.

    Parameters
    ----------
    far
        What the far shots go through before they are coded.
    truth
        Where to write the same film with its far shots as they were before degradation.
    truth_scale
        How many times larger the truth is, as the photos have more pixels than the wide shots.

    Raises
    ------
    MediaError
        If a package does not hold its picture.
    """
    seconds = sum(move.frames for move in moves) / float(RATE)
    walks = _times(moves, "walk-by")
    options = {"crf": "16", "preset": "veryfast"}
    sound = music(seconds, [(start, end, STRIDE) for start, end in walks])
    if truth is not None:
        large = (size[0] * truth_scale, size[1] * truth_scale)
        write_pictures(
            truth,
            _pictures(_enlarged(moves, truth_scale), large, seed, None),
            rate=RATE,
            options={"crf": "8", "preset": "ultrafast"},
        )
    return write_pictures(
        path,
        _pictures(moves, size, seed, far),
        rate=RATE,
        options=options,
        sound=sound,
        sound_rate=SOUND_RATE,
    )


def far_moments(moves: Sequence[CameraMove] = MOVES) -> list[Fraction]:
    """Return a time in the middle of each far shot, seconds."""
    moments, first = [], 0
    for move in moves:
        if move.far:
            moments.append((first + move.frames // 2) / RATE)
        first += move.frames
    return moments


def _enlarged(moves: Sequence[CameraMove], scale: int) -> list[CameraMove]:
    """Return the same shots for a picture that is larger."""

    def larger(view: CameraView) -> CameraView:
        return replace(view, zoom=view.zoom * scale)

    return [
        replace(move, start=larger(move.start), end=larger(move.end), hand=move.hand * scale)
        for move in moves
    ]


def _times(moves: Sequence[CameraMove], scene: SceneName) -> list[tuple[float, float]]:
    """Return start and end of the shots of a scene, seconds."""
    times, first = [], 0
    for move in moves:
        if move.scene == scene:
            times.append((first / float(RATE), (first + move.frames) / float(RATE)))
        first += move.frames
    return times


def _pictures(
    moves: Sequence[CameraMove], size: tuple[int, int], seed: int, far: Degradation | None
) -> Iterator[ImageArray]:
    """Yield the frames; the far shots degraded if so asked, everything else the same."""
    noise, shapes = np.random.default_rng(seed).spawn(2)
    scenes = _Scenes(shapes)
    for move in moves:
        shot = scenes.shot(move, size)
        if not move.far or far is None:
            yield from shot
            continue
        spoilt = (degrade(picture, far, noise) for picture in shot)
        yield from through_codec(spoilt, rate=RATE, crf=FAR_CRF)


class _Scenes:
    """Sets, built when a shot needs them."""

    def __init__(self, random: np.random.Generator) -> None:
        self._phases = random.uniform(0, 2 * np.pi, (2, 3))
        self._random = random
        self._photos: dict[str, ImageArray] = {}

    def shot(self, move: CameraMove, size: tuple[int, int]) -> Iterator[ImageArray]:
        """Yield the frames of a shot, undegraded."""
        photo = self._photo(move.scene)
        photo = prepared(photo, float(np.sqrt(move.start.zoom * move.end.zoom)))
        height, width = photo.shape[:2]
        layers = _Layers(move, size) if move.scene in ("gallery", "walk-by") else None
        light = vignette(size) if move.scene != "group" or move.hand else None
        for step in range(move.frames):
            share = step / max(1, move.frames - 1)
            offset = sway(step / float(RATE), self._phases, move.hand)
            view = move.start.towards(move.end, ease(share)).moved(offset, (width, height))
            picture = shown(photo, view, size)
            if layers is not None:
                picture = layers.draw(picture, view, share, step / float(RATE))
            yield picture if light is None else np.asarray(np.rint(picture * light), np.uint8)

    def _photo(self, scene: SceneName) -> ImageArray:
        name = "gallery" if scene == "walk-by" else scene
        if name not in self._photos:
            if name == "gallery":
                self._photos[name] = gallery_wall(self._random)
            else:
                self._photos[name] = group_photo() if name == "group" else portrait_photo()
        return self._photos[name]


class _Layers:
    """What stands or walks before the gallery's wall."""

    def __init__(self, move: CameraMove, size: tuple[int, int]) -> None:
        self._move, self._size = move, size
        zoom = float(np.sqrt(move.start.zoom * move.end.zoom))
        self._rope = np.asarray(cv2.GaussianBlur(rope(), (0, 0), 0.45 / zoom), np.float32)
        self._walk, self._scale = Walk(), size[1] / SIZE[1]
        self._walker: NDArray[np.float32] | None = None
        if move.scene == "walk-by":
            sigma = 0.4 / (self._walk.scale[0] * self._scale)
            self._walker = np.asarray(cv2.GaussianBlur(cut_out_portrait(), (0, 0), sigma))

    def draw(
        self, picture: ImageArray, view: CameraView, share: float, seconds: float
    ) -> ImageArray:
        """Return the picture with the layers over it."""
        result = self._shade(picture.astype(np.float32), share, seconds)
        centre = 0.5 + (view.x - 0.5) * ROPE_PARALLAX
        matrix = self._placed((centre * WIDTH, view.y * HEIGHT), (0.5, 0.5), view.zoom, 0)
        result = over(result, *self._seen(self._rope, matrix))
        if self._walker is not None:
            result = over(result, *self._seen(self._walker, self._step(share, seconds)))
        return np.clip(np.rint(result), 0, 255).astype(np.uint8)

    def _shade(
        self, picture: NDArray[np.float32], share: float, seconds: float
    ) -> NDArray[np.float32]:
        """Return the picture with the walker's shadow on the wall."""
        if self._walker is None:
            return picture
        matrix = self._step(share, seconds)
        matrix[:, 2] += 26 * self._scale, 8 * self._scale
        alpha = cv2.warpAffine(self._walker[..., 3], matrix, self._size)
        dark = 0.3 * cv2.GaussianBlur(alpha, (0, 0), 9 * self._scale)
        return np.asarray(picture * (1 - dark[..., None]), np.float32)

    def _step(self, share: float, seconds: float) -> NDArray[np.float64]:
        """Return the walker's place, (2, 3): even speed, a bob a step, a sway every two."""
        walk = self._walk
        scale = walk.scale[0] ** (1 - share) * walk.scale[1] ** share * self._scale
        x, y = (
            (1 - share) * start + share * end
            for start, end in zip(walk.start, walk.end, strict=True)
        )
        phase = np.pi * STRIDE * seconds
        bob = 2.6 * abs(np.sin(phase)) * scale / walk.scale[0]
        return self._placed(EYES, (x, y - bob / self._size[1]), scale, 0.9 * float(np.sin(phase)))

    def _placed(
        self,
        point: tuple[float, float],
        place: tuple[float, float],
        scale: float,
        degrees: float,
    ) -> NDArray[np.float64]:
        """Return the matrix that brings a layer's point to a share of the picture."""
        matrix = np.asarray(cv2.getRotationMatrix2D(point, degrees, scale), np.float64)
        matrix[:, 2] += np.array(place) * self._size - np.array(point)
        return matrix

    def _seen(
        self, layer: NDArray[np.float32], matrix: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return colour and alpha of a layer in the picture."""
        seen = np.asarray(cv2.warpAffine(layer, matrix, self._size), np.float32)
        return seen[..., :3], seen[..., 3:]


def vignette(size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the light that reaches each pixel, (H, W, 1), 1 in the middle."""
    width, height = size
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    across, down = 2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1
    radius = (across**2 + down**2) / 2
    return np.asarray(1 - VIGNETTE * radius**1.5, np.float32)[..., None]
