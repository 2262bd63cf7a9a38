"""Whether a film's pictures are of two moments each, measured: what files say of it is often wrong.

The fields of a picture are taken apart and one is laid between the lines of the other: of the same
picture, of the picture before, of the picture after. Where something moves the more lines comb the
further apart in time the two fields are. (libavfilter's idet compares the same, in sums over all of
a picture, in which grain and fine detail outweigh a small thing that moves.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise

import av
import numpy as np

from refrestore.media.open_film import film_stream, open_film
from refrestore.media.planes import planar, plane_views
from refrestore.media.probe import VideoInfo
from refrestore.types import FloatArray

SPOTS, PICTURES = 6, 9
"""Places of a film that are looked at, and neighbouring pictures at each: 48 pairs at most."""

ENOUGH = 16
"""Pairs judged, none of them combed, after which the film is taken for progressive."""

COLUMNS, MEAN = 180, 4
"""Columns of a picture that are looked at, spread over its width, each the mean of so many
samples: that takes away noise and leaves the lines."""

MOVED = 10
"""Grey levels (of 255) by which a sample must change between two pictures: tape noise changes the
mean of four samples by less."""

LEAST_MOVING = 0.005
"""Share of the samples that must have moved for a pair to be judged."""

FURTHER = 1.25
"""Factor by which fields of moments further apart comb more. 32 progressive clips have .84 to 1.2
between their 5th and 95th percentiles, interlaced broadcasts 1.3 to 3 in four pairs of five."""

TOGETHER = 0.7
"""Share of the combing between neighbouring pictures under which a picture is of one moment."""

_FLOOR = 0.05
"""Grey levels added to both sides of a ratio: rounding is no combing."""

COMBED_SHARE = Fraction(1, 4)
"""Share of the pairs judged from which a film is interlaced. Progressive clips have .06 at most;
film at 24 pictures a second spread over 60 fields has .4."""

LEAST_COMBED = 3
"""Pairs that must comb: one alone may be a damaged picture."""

ONE_ORDER = 4
"""Factor by which one order of the fields must outnumber the other. Tapes have but one; what
coarse compression makes of fine things that move has as much of either."""

FIELD_LINES = 288
"""Lines of a field of the larger of the two systems: a film of no more has not two."""


@dataclass(frozen=True, slots=True)
class Combing:
    """How many of a film's pictures are of two moments.

    Parameters
    ----------
    top, bottom
        Pairs of pictures whose top (bottom) field is the earlier one of its picture.
    progressive
        Pairs whose pictures are of one moment. What does not move is not counted at all.
    """

    top: int
    bottom: int
    progressive: int

    @property
    def combed(self) -> int:
        """Pairs that are of two moments."""
        return self.top + self.bottom

    @property
    def judged(self) -> int:
        """Pairs that could be judged."""
        return self.combed + self.progressive

    @property
    def interlaced(self) -> bool:
        """Whether the film is."""
        share = COMBED_SHARE * self.judged
        return self.combed >= LEAST_COMBED and self.combed >= share and self.top_first is not None

    @property
    def top_first(self) -> bool | None:
        """Whether top fields come first, None where neither order prevails."""
        fewer, more = sorted((self.top, self.bottom))
        return self.top > self.bottom if more > ONE_ORDER * fewer else None


def measure(info: VideoInfo) -> Combing:
    """Look at some pictures all over a film, fewer where they are progressive without exception."""
    if info.geometry.height <= FIELD_LINES:
        return Combing(0, 0, 0)
    counted: Counter[str] = Counter()
    spots = _spots(info)
    count = PICTURES if len(spots) > 1 else SPOTS * PICTURES
    with suppress(av.FFmpegError), open_film(info.path, info.fps) as container:
        stream = film_stream(container, info.path, info.stream)
        stream.thread_type = "AUTO"
        for start in spots:
            if start > info.start:
                container.seek(int(start / info.time_base), stream=stream, backward=True)
            for one, other in pairwise(islice(_lumas(container, stream), count)):
                counted[judge(one, other) if one.shape == other.shape else ""] += 1
                if len(spots) == 1 and _settled(counted):
                    break
            if _settled(counted):
                break
    return Combing(counted["top"], counted["bottom"], counted["progressive"])


def judge(one: FloatArray, other: FloatArray) -> str:
    """Say of two neighbouring pictures which field comes first, or that both are of one moment.

    Parameters
    ----------
    one, other : (H, W) float32
        Luma in grey levels of 255.

    Returns
    -------
    str
        "top", "bottom", "progressive", or "" where too little moves to tell.
    """
    height = len(one) // 2 * 2
    one, other = one[:height], other[:height]
    moved = np.abs(other - one) > MOVED
    moved = moved[:-2] | moved[1:-1] | moved[2:]
    moved = moved[0::2]  # around the lines of bottom fields
    count = int(np.count_nonzero(moved))
    if not count or count < LEAST_MOVING * moved.size:
        return ""

    def combing(top: FloatArray, bottom: FloatArray) -> float:
        line, above, below = bottom[1::2][:-1], top[0::2][:-1], top[2::2]
        higher, lower = np.maximum(above, below), np.minimum(above, below)
        beyond = np.maximum(np.maximum(line - higher, lower - line), 0)
        return float(beyond[moved].sum()) / count + _FLOOR

    together, later_bottom, later_top = (
        combing(one, one), combing(one, other), combing(other, one)
    )  # fmt: skip
    if later_bottom > FURTHER * later_top:
        return "top"
    if later_top > FURTHER * later_bottom:
        return "bottom"
    return "progressive" if together < TOGETHER * min(later_bottom, later_top) else ""


def _settled(counted: Counter[str]) -> bool:
    return counted["progressive"] >= ENOUGH and not counted["top"] + counted["bottom"]


def _spots(info: VideoInfo) -> list[Fraction]:
    """Return times spread over a film."""
    if info.duration is None or info.duration * info.average_rate <= 2 * SPOTS * PICTURES:
        return [info.start]
    return [info.start + info.duration * spot / SPOTS for spot in range(SPOTS)]


def _lumas(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[FloatArray]:
    """Yield the luma, (H, `COLUMNS` at most), of the whole pictures behind the next key frame."""
    begun = False
    for packet in container.demux(stream):
        begun = begun or packet.is_keyframe
        if not begun:
            continue
        with suppress(av.InvalidDataError):
            for picture in packet.decode():
                if not picture.is_corrupt:
                    yield _luma(picture)


def _luma(picture: av.VideoFrame) -> FloatArray:
    source = planar(picture)
    plane = plane_views(source)[0]
    blocks = plane.shape[1] // MEAN
    step = max(1, -(-blocks // COLUMNS))
    chosen = plane[:, : blocks * MEAN].reshape(len(plane), blocks, MEAN)[:, ::step]
    levels = 2.0 ** (source.format.components[0].bits - 8)
    return np.asarray(chosen.mean(2, dtype=np.float32) / np.float32(levels), np.float32)
