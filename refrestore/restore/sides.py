"""Sides of the crops that faces are restored in: as many pixels as the output shows of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import maximum_filter1d

from refrestore.faces.align import CROP_SIZE, scale_of
from refrestore.types import DoubleArray, IntArray

SIDES = (256, 384, 512)
"""What fusion networks are trained for; a weights file says which (`FusionConfig.sides`)."""

SHORT = 0.95
"""A crop may be this much smaller than the output shows it: nobody sees the twentieth part."""

STEADY = 25
"""Frames before and after a face whose need its crop serves too: a side is changed rarely."""


def crop_sides(
    to_crop: DoubleArray, frames: IntArray, scale: int, sides: Sequence[int]
) -> IntArray:
    """Return the side that each face of a track needs, (T,).

    Parameters
    ----------
    to_crop : (T, 2, 3)
        Picture to 512-px crop of every frame of the track.
    frames : (T,)
        Frame indices, ascending.
    scale
        How much larger the output is than the picture.
    sides
        To choose from, ascending: those that the network knows.
    """
    if not len(frames):
        return np.zeros(0, np.int64)
    shown = CROP_SIZE * scale / scale_of(to_crop)
    rank = np.searchsorted(np.array(sides[:-1]), shown * SHORT)
    places = frames - frames[0]
    every: IntArray = np.zeros(int(places[-1]) + 1, np.int64)
    every[places] = rank
    most = maximum_filter1d(every, 2 * STEADY + 1, mode="nearest")
    chosen: IntArray = np.array(sides, np.int64)[most[places]]
    return chosen
