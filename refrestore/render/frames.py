"""Sequential access to overlapping stretches of frames, without seeking."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

from refrestore.media.probe import VideoInfo
from refrestore.media.reader import VideoReader
from refrestore.types import Frame


class FrameWindow:
    """Gives stretches of a video in ascending order; neighbours may overlap by `overlap` frames.

    Parameters
    ----------
    path, info, start, end
        As for `VideoReader`; opened at the first use.
    overlap
        Frames kept behind the furthest one given.
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        *,
        overlap: int = 0,
        start: Fraction | None = None,
        end: Fraction | None = None,
    ) -> None:
        self._reader = VideoReader(path, info=info, start=start, end=end)
        self._frames: Iterator[Frame] | None = None
        self._behind: deque[Frame] = deque(maxlen=overlap or None)
        self._overlap = overlap
        self._ahead: Frame | None = None

    def __enter__(self) -> FrameWindow:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._frames is not None:
            self._reader.__exit__(kind, error, trace)

    def peek(self) -> Frame | None:
        """Return the next frame that was not given yet, or None at the end."""
        if self._frames is None:
            self._frames = iter(self._reader.__enter__())
        if self._ahead is None:
            self._ahead = next(self._frames, None)
        return self._ahead

    def reaches(self, first: int, stop: int) -> bool:
        """Say whether there is a frame in `first <= frame < stop`, none before it given later."""
        for _ in self.between(first, first):
            pass
        upcoming = self.peek()
        kept = any(first <= frame.index < stop for frame in self._behind)
        return kept or (upcoming is not None and upcoming.index < stop)

    def between(self, first: int, stop: int) -> Iterator[Frame]:
        """Yield frames `first <= frame < stop`, those given before only within the overlap."""
        yield from [frame for frame in self._behind if first <= frame.index < stop]
        while (frame := self.peek()) is not None and frame.index < stop:
            self._ahead = None
            if self._overlap:
                self._behind.append(frame)
            if frame.index >= first:
                yield frame

    @property
    def decode_failures(self) -> int:
        """Packets that could not be decoded so far."""
        return self._reader.decode_failures
