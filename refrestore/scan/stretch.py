"""The frames of one shot, both ways from any of them, and the faces that are known in them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from fractions import Fraction

import numpy as np

from refrestore.media.entries import Entries
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import VideoReader, frame_bytes
from refrestore.project.anchors import SAME_FACE, overlaps
from refrestore.scan.frame_forms import FrameForms
from refrestore.types import Faces, FloatArray, Frame, Shot

HELD_BYTES, HELD_FRAMES = 200_000_000, 125
"""What is decoded at a time to be looked at backwards, five seconds at most: each time the film is
entered at a key frame, ten seconds before it in the worst of usual cases."""

Way = Callable[[int], Generator[FrameForms, None, None]]
"""Gives the pictures from a frame on, itself first."""


class Stretch:
    """One shot of a film.

    Parameters
    ----------
    info, entries
        The film, and its known frames.
    shot
        The shot.
    known
        Faces it has already, with their tracks.
    looked
        Is told of each picture that is read.
    """

    def __init__(
        self,
        info: VideoInfo,
        entries: Entries,
        shot: Shot,
        known: Faces,
        looked: Callable[[int], None] = lambda frame: None,
    ) -> None:
        self._info, self._entries, self._shot = info, entries, shot
        self._looked = looked
        self._known = dict(known.by_frame()) if len(known) else {}
        self._times: dict[int, Fraction] = {}
        held = HELD_BYTES // frame_bytes(info.geometry, info.bit_depth)
        self._held = max(1, min(HELD_FRAMES, held))

    @property
    def ways(self) -> tuple[Way, Way]:
        """Backwards and forwards."""
        return self._back, self._on

    def time_of(self, frame: int) -> Fraction:
        """Return when a frame that was given is shown, seconds from the film's first frame."""
        return self._times[frame]

    def whose(self, frame: int, box: FloatArray, least: float = SAME_FACE) -> int | None:
        """Return the track whose face overlaps a box of a frame most, by more than `least`."""
        there = self._known.get(frame)
        if there is None:
            return None
        assert there.track is not None
        same = overlaps(there.box, box)
        return int(there.track[int(np.argmax(same))]) if same.max() > least else None

    def _on(self, frame: int) -> Generator[FrameForms, None, None]:
        for one in self._read(frame, self._shot.stop):
            yield self._given(one)

    def _back(self, frame: int) -> Generator[FrameForms, None, None]:
        stop = frame + 1
        while stop > self._shot.first:
            first = max(self._shot.first, stop - self._held)
            pictures = list(self._read(first, stop))
            while pictures:
                yield self._given(pictures.pop())
            stop = first

    def _given(self, frame: Frame) -> FrameForms:
        self._times[frame.index] = frame.time - self._info.start
        return FrameForms(frame)

    def _read(self, first: int, stop: int) -> Iterator[Frame]:
        enter = self._entries.before(first)
        with VideoReader(self._info.path, info=self._info, enter=enter) as reader:
            for frame in reader:
                self._looked(frame.index)
                if frame.index >= stop:
                    return
                if frame.index >= first:
                    yield frame
