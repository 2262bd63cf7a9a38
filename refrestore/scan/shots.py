"""Where one shot ends and the next begins, a few frames behind the picture."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

import cv2
import numpy as np

from refrestore.types import ImageArray

SEEN_SIDE = 192
"""Longer side of the picture the cut detector sees; PySceneDetect shrinks to about as much."""

_WINDOW = 2
"""Frames either side of a change that it must stand out from (AdaptiveDetector's default)."""

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


class CutDetector:
    """PySceneDetect's adaptive detector, fed with our frames, made safe against flashes.

    Parameters
    ----------
    rate
        Average frames per second; only bounds the length of a shot.
    """

    delay = _WINDOW
    """Frames by which the answer lags the picture."""

    def __init__(self, rate: Fraction) -> None:
        from scenedetect.detectors import AdaptiveDetector

        self._detector = AdaptiveDetector(
            min_scene_len=_SHORTEST, window_width=_WINDOW, min_content_val=_LEAST_CHANGE
        )
        self._rate = rate
        self._longest = max(_SHORTEST, round(rate * LONGEST_SECONDS))
        self._seen: deque[tuple[int, ImageArray]] = deque(maxlen=2 * _WINDOW + 2)
        self._position = 0
        self._last_cut = 0

    def push(self, image: ImageArray) -> bool:
        """Take the next picture; say whether the one `delay` frames ago began a shot.

        Parameters
        ----------
        image : (H, W, 3) uint8
            RGB, of any size.
        """
        scale = min(1.0, SEEN_SIDE / max(image.shape[:2]))
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        smooth = cv2.GaussianBlur(small, (0, 0), _NOISE_SIGMA)
        return self._push(np.ascontiguousarray(smooth[..., ::-1]))

    def flush(self) -> bool:
        """Say the same for a frame after the last picture was pushed; call `delay` times."""
        return self._push(self._seen[-1][1]) if self._seen else False

    def _push(self, small: ImageArray) -> bool:
        from scenedetect.common import FrameTimecode

        index = self._position
        self._position += 1
        self._seen.append((index, small))
        cuts = self._detector.process_frame(FrameTimecode(index, self._rate), small)
        target = index - _WINDOW
        if target <= self._last_cut:
            return False
        cut = any(found.frame_num == target for found in cuts) and not self._is_flash(target)
        cut = cut or target - self._last_cut >= self._longest
        if cut:
            self._last_cut = target
        return cut

    def _is_flash(self, target: int) -> bool:
        """Whether the picture soon goes back to what it was before the change."""
        seen = dict(self._seen)
        before, at, after = (seen.get(target + step) for step in (-1, 0, _WINDOW))
        if before is None or at is None or after is None:
            return False
        jump = cv2.norm(before, at, cv2.NORM_L1)
        return bool(cv2.norm(before, after, cv2.NORM_L1) < _SAME_SCENE * jump)
