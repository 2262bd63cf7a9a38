"""A film read once: its shots, one after another, each with the faces that were followed in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from types import TracebackType
from typing import Generic

from refrestore.config import ScanSettings
from refrestore.faces.analyser import FaceModels
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import VideoReader, queue_size
from refrestore.scan.alongside import FollowedAlongside
from refrestore.scan.blurred import TrackMoment, TracksToDraw
from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.polish import CloseUpsToFuse, Place
from refrestore.scan.read_again import NeedsFrames
from refrestore.scan.samples import Candidate
from refrestore.scan.shots import Change, SomeFrame, cut, measured
from refrestore.scan.spans import FollowedHere, Following, Followings
from refrestore.scan.work import Here
from refrestore.types import FloatArray

REPORT_EVERY = 10
"""Frames."""


class Reading(ABC, Generic[SomeFrame]):
    """Reads a film and has the faces of its shots followed; a context manager.

    Parameters
    ----------
    info
        The film.

    Attributes
    ----------
    ticks
        When the frames that were read are shown, in units of `info.time_base`.
    """

    def __init__(self, info: VideoInfo) -> None:
        self.info = info
        self.ticks = array("q")

    def __enter__(self) -> Reading[SomeFrame]:
        return self

    @abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def shots(self) -> Iterator[tuple[range, Followings]]:
        """Go through the film; yield the frames of each shot and what was followed in them."""
        begins, ended = 0, deque[range]()
        for frame, cuts in cut(self._measured(), self.info.average_rate):
            if cuts:
                ended.append(range(begins, len(self.ticks)))
                begins = len(self.ticks)
                self._end_shot()
                yield from ((ended.popleft(), one) for one in self._finished())
            self.ticks.append(int(frame.time / self.info.time_base))
            self._push(frame)
            if len(self.ticks) % REPORT_EVERY == 0:
                self._report()
        ended.append(range(begins, len(self.ticks)))
        self._end_shot()
        while ended:
            yield from ((ended.popleft(), one) for one in self._finished(wait=True))

    def time_of(self, frame: int) -> Fraction:
        """Return when a frame that was read is shown, seconds."""
        return self.ticks[frame] * self.info.time_base

    def times_of(self, todo: Sequence[NeedsFrames]) -> Mapping[int, Fraction]:
        """Return when the first frames of jobs are shown, by frame."""
        return {one.first: self.time_of(one.first) for one in todo}

    @property
    @abstractmethod
    def decode_failures(self) -> int:
        """Packets that could not be decoded, so far."""

    @abstractmethod
    def draw(self, todo: Sequence[TrackMoment]) -> None:
        """Have tracks of the last shot drawn, now or when it is asked for them."""

    @abstractmethod
    def drawn(self) -> dict[int, FloatArray]:
        """Return the embeddings (512,) of all that was to be drawn, by track (`blurred`)."""

    @abstractmethod
    def fused(self, todo: Iterable[CloseUpsToFuse]) -> Iterator[Mapping[Place, Candidate]]:
        """Yield the close-ups that got better (`polish`); the next are asked for when needed."""

    @abstractmethod
    def _measured(self) -> Iterator[tuple[SomeFrame | None, Change]]: ...

    @abstractmethod
    def _push(self, frame: SomeFrame) -> None:
        """Have the next frame followed, as `spans.Following` does."""

    @abstractmethod
    def _end_shot(self) -> None: ...

    @abstractmethod
    def _finished(self, *, wait: bool = False) -> list[Followings]: ...

    @abstractmethod
    def _report(self) -> None:
        """Say how many frames are followed."""


class ReadHere(Reading[FrameForms]):
    """Reads in this process, and follows in a thread beside it.

    Parameters
    ----------
    info
        The film.
    models, settings
        The networks, and the scan's settings.
    progress
        Is told how many frames are followed.
    following
        Who follows instead, in the thread that reads.
    """

    def __init__(
        self,
        info: VideoInfo,
        models: FaceModels,
        settings: ScanSettings,
        progress: Callable[[int], None],
        *,
        following: Following | None = None,
    ) -> None:
        super().__init__(info)
        self._here, self._progress = Here(info, models, settings), progress
        self._beside = FollowedAlongside(
            FollowedHere(info, models, settings), queue_size(info.geometry, info.bit_depth)
        )
        self._following = following or self._beside
        self._reader = VideoReader(info.path, info=info)
        self._moments: list[TrackMoment] = []

    def __enter__(self) -> ReadHere:
        self._beside.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._beside.__exit__(kind, error, trace)
        self._reader.close()

    @property
    def decode_failures(self) -> int:
        """Packets that could not be decoded, so far."""
        return self._reader.decode_failures

    def draw(self, todo: Sequence[TrackMoment]) -> None:
        """Note what is to be drawn: the film is read again for all of it at once."""
        self._moments += todo

    def drawn(self) -> dict[int, FloatArray]:
        """Return the embeddings (512,) of all that was to be drawn, by track."""
        todo, self._moments = self._moments, []
        return TracksToDraw(todo, self.times_of(todo))(self._here) if todo else {}

    def fused(self, todo: Iterable[CloseUpsToFuse]) -> Iterator[Mapping[Place, Candidate]]:
        """Yield the close-ups that got better."""
        return (work(self._here) for work in todo)

    def _measured(self) -> Iterator[tuple[FrameForms | None, Change]]:
        return measured(map(FrameForms, self._reader))

    def _push(self, frame: FrameForms) -> None:
        self._following.push(frame)

    def _end_shot(self) -> None:
        self._following.end_shot()

    def _finished(self, *, wait: bool = False) -> list[Followings]:
        return self._following.finished(wait=wait)

    def _report(self) -> None:
        self._progress(self._following.frames)
