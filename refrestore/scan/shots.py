"""Where one shot ends and the next begins, a few frames behind the picture.

What is measured of a picture needs those around it alone, and can be measured anywhere; what
follows from it is decided in order, from numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol, TypeVar

import cv2
import numpy as np

from refrestore.scan.frame_forms import FrameForms
from refrestore.types import ImageArray

SEEN_SIDE = 192
"""Longer side of the picture the cut detector sees; PySceneDetect shrinks to about as much."""

DELAY = 2
"""Frames by which the answer lags the picture: as many either side of a change it must stand out
from (PySceneDetect's AdaptiveDetector)."""

_RATIO = 3.0
"""How many times their mean a change must be (AdaptiveDetector's default)."""

_STILL = 1e-5
"""Mean change below which there is none."""

_LEAST_CHANGE = 8.0
"""Least change of hue, saturation and brightness at a cut, of 255. AdaptiveDetector's default of 15
misses cuts between people who are framed alike before one wall (10 to 12), which then share a
track. Jump cuts of one person and a burst of light are found as well."""

_NOISE_SIGMA = 1.5
"""Smoothing of the small picture, pixels: noise changes the hue of what is grey in every frame."""

_SHORTEST = 5
"""Frames. A shorter shot would be lost (PySceneDetect's default of 15 merges music-video cuts, and
a track must never cross one); a spurious cut only costs a split track."""

_SAME_SCENE = 0.5
"""A flash returns: the picture after it differs from the one before by less than this part of the
flash itself."""

LONGEST_SECONDS = 120
"""Longer shots are divided, so that memory does not grow with a shot that never ends."""


class Change(NamedTuple):
    """What is measured when a picture comes.

    Parameters
    ----------
    score
        Its mean change of hue, saturation and brightness since the one before, of 255.
    flash
        Whether what changed `DELAY` pictures before has gone back by now to what it was.
    """

    score: float
    flash: bool


class Changes:
    """Measures how much each picture differs from those before it."""

    def __init__(self) -> None:
        self._seen: deque[ImageArray] = deque(maxlen=DELAY + 2)
        self._channels: Sequence[cv2.typing.MatLike] = ()

    def push(self, image: ImageArray) -> Change:
        """Take the next picture.

        Parameters
        ----------
        image : (H, W, 3) uint8
            RGB, of any size.
        """
        scale = min(1.0, SEEN_SIDE / max(image.shape[:2]))
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return self._push(np.asarray(cv2.GaussianBlur(small, (0, 0), _NOISE_SIGMA), np.uint8))

    def flush(self) -> Change:
        """Take the last picture once more, after the film's end; call `DELAY` times."""
        return self._push(self._seen[-1]) if self._seen else Change(0.0, False)

    def _push(self, small: ImageArray) -> Change:
        before, self._channels = self._channels, cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2HSV))
        self._seen.append(small)
        pixels = small.shape[0] * small.shape[1]
        moved = [
            cv2.norm(was, now, cv2.NORM_L1) / pixels
            for was, now in zip(before, self._channels, strict=False)
        ]
        return Change(sum(moved) / 3, self._is_flash())

    def _is_flash(self) -> bool:
        if len(self._seen) < DELAY + 2:
            return False
        before, at, after = self._seen[0], self._seen[1], self._seen[-1]
        jump = cv2.norm(before, at, cv2.NORM_L1)
        return bool(cv2.norm(before, after, cv2.NORM_L1) < _SAME_SCENE * jump)


class CutDetector:
    """Says where shots begin as PySceneDetect's adaptive detector does, made safe against flashes.

    Parameters
    ----------
    rate
        Average frames per second; only bounds the length of a shot.
    """

    def __init__(self, rate: Fraction) -> None:
        self._longest = max(_SHORTEST, round(rate * LONGEST_SECONDS))
        self._scores: deque[float] = deque(maxlen=2 * DELAY + 1)
        self._position = -1
        self._last_change = self._last_cut = 0

    def push(self, change: Change) -> bool:
        """Take the next picture's change; say whether the one `DELAY` before it began a shot."""
        self._position += 1
        self._scores.append(change.score)
        target = self._position - DELAY
        stands_out = self._stands_out(target)
        if target <= self._last_cut:
            return False
        cut = stands_out and not change.flash
        cut = cut or target - self._last_cut >= self._longest
        if cut:
            self._last_cut = target
        return cut

    def _stands_out(self, target: int) -> bool:
        if len(self._scores) <= 2 * DELAY or target - self._last_change < _SHORTEST:
            return False
        score = self._scores[DELAY]
        others = [one for place, one in enumerate(self._scores) if place != DELAY]
        around = sum(others) / len(others)
        if score < _LEAST_CHANGE or (around >= _STILL and score / around < _RATIO):
            return False
        self._last_change = target
        return True


class Numbered(Protocol):
    """A frame of a film."""

    @property
    def number(self) -> int:
        """Its index."""

    @property
    def time(self) -> Fraction:
        """Its presentation time in seconds."""


SomeFrame = TypeVar("SomeFrame", bound=Numbered)


def measured(pictures: Iterable[FrameForms]) -> Iterator[tuple[FrameForms | None, Change]]:
    """Yield each picture with what is measured when it comes; the last changes are without one."""
    changes = Changes()
    for picture in pictures:
        yield picture, changes.push(picture.shrunk(SEEN_SIDE))
    for _ in range(DELAY):
        yield None, changes.flush()


def cut(
    frames: Iterable[tuple[SomeFrame | None, Change]], rate: Fraction
) -> Iterator[tuple[SomeFrame, bool]]:
    """Yield each frame, `DELAY` later, and whether it begins a shot.

    Parameters
    ----------
    frames
        As `measured` yields them.
    rate
        Average frames per second.
    """
    cuts = CutDetector(rate)
    waiting: deque[SomeFrame] = deque()
    for count, (frame, change) in enumerate(frames):
        if frame is not None:
            waiting.append(frame)
        begins = cuts.push(change)
        if count >= DELAY:
            yield waiting.popleft(), begins
