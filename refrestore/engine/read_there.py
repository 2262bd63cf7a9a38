"""A film read by a crew: passages, spans, blurred tracks and close-ups are tasks.

This process numbers the frames by their packets and decides from what comes back. Each passage is
checked against the packets: from the first in which they disagree on, this process reads by itself
and has only spans followed.
"""

from __future__ import annotations

import pickle
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.engine.crew import POLL_SECONDS, Crew
from refrestore.engine.recruits import absolute
from refrestore.engine.task import Task
from refrestore.engine.worker import ScanTask, face_networks
from refrestore.media.entries import Entries
from refrestore.media.packet_times import PacketTimes, Passage
from refrestore.media.piece import cut_piece
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import VideoReader
from refrestore.models.pack import load_face_pack
from refrestore.scan.blurred import TrackMoment, TracksToDraw
from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.passages import FIRST_OWN, PassageToSee, Seen
from refrestore.scan.polish import CloseUpsToFuse, Place
from refrestore.scan.read_again import NeedsFrames, batches
from refrestore.scan.read_film import Reading
from refrestore.scan.samples import Candidate
from refrestore.scan.scan import Progress, ReadingOf
from refrestore.scan.shots import Change, Numbered, measured
from refrestore.scan.spans import Followings, Spans, SpanToFollow, joined
from refrestore.scan.work import Work
from refrestore.types import Announce, FloatArray

SHORTEST = 8
"""Passages in a span's length where they are shortest: at a film's end, so that all workers end
together."""

LONGEST = 8
"""Spans in the longest passage. A film without a key frame for so long is not entered."""


class FrameAt(NamedTuple):
    """A frame that others have seen (`shots.Numbered`)."""

    number: int
    time: Fraction


class _Ahead(NamedTuple):
    """A span that was followed before it was known to be one: where times begin, times, what."""

    first: int
    ticks: array[int]
    found: Followings


@dataclass(eq=False)
class _Shot:
    """A shot whose spans are followed."""

    first: int
    parts: dict[int, Followings | None] = field(default_factory=dict)
    ended: bool = False

    @property
    def whole(self) -> bool:
        return self.ended and all(part is not None for part in self.parts.values())


class ReadThere(Reading[Numbered]):
    """Has a crew read a film.

    Parameters
    ----------
    crew
        Who works.
    info, settings
        The film, and the scan's settings.
    networks
        Digests of the networks that are to look.
    progress
        Is told of frames, also while workers are waited for.
    announce
        Is told if this process reads by itself.
    """

    def __init__(
        self,
        crew: Crew,
        info: VideoInfo,
        settings: ScanSettings,
        networks: dict[str, str],
        *,
        progress: Progress,
        announce: Announce,
    ) -> None:
        super().__init__(info)
        self._crew, self._settings, self._networks = crew, settings, networks
        self._there = replace(info, path=info.path.absolute())
        self._progress, self._announce = progress, announce
        self._spans, self._packets = Spans.at(info.average_rate), PacketTimes(info)
        self._reader: VideoReader | None = None
        self._passages: deque[tuple[Passage, list[Seen]]] = deque()
        self._agreed, self._apart = 0, False
        self._ahead: dict[tuple[int, int], _Ahead] = {}
        self._shots: deque[_Shot] = deque()
        self._coming: dict[Task, Callable[[Any], None]] = {}
        self._drawn: dict[int, FloatArray] = {}
        self._done = self._shown = 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._reader is not None:
            self._reader.close()

    @property
    def decode_failures(self) -> int:
        """Packets that could not be decoded, so far: none where passages agree."""
        return 0 if self._reader is None else self._reader.decode_failures

    def draw(self, todo: Sequence[TrackMoment]) -> None:
        """Have tracks drawn while the film is read on."""
        for batch in batches(todo):
            work = TracksToDraw(batch, self.times_of(batch))
            self._give("blurred faces", _around(batch), work, self._drawn.update)

    def drawn(self) -> dict[int, FloatArray]:
        """Return the embeddings (512,) of all that was to be drawn, by track."""
        self._finish_all()
        drawn, self._drawn = self._drawn, {}
        return drawn

    def fused(self, todo: Iterable[CloseUpsToFuse]) -> Iterator[Mapping[Place, Candidate]]:
        """Yield the close-ups that got better."""
        found: list[Mapping[Place, Candidate]] = []
        for work in todo:
            self._give("close-ups", _around(work.todo), work, found.append)
            while found:
                yield found.pop()
        self._finish_all()
        yield from found

    def _measured(self) -> Iterator[tuple[Numbered | None, Change]]:
        length, beyond = self._spans.length, self._spans.length + self._spans.overlap
        for passage in self._packets.passages(self._length_from, LONGEST * length, beyond):
            self._see(passage)
            yield from self._changes()
            if self._apart:
                break
        while self._passages:
            self._step(POLL_SECONDS)
            self._report()
            yield from self._changes()
        if self._apart or not self._packets.entire:
            yield from self._read_on()

    def _length_from(self, first: int) -> int:
        """Return how long a passage is: shorter towards the end, so that all end together."""
        length, info = self._spans.length, self.info
        frames = info.frames or (info.duration and int(info.duration * info.average_rate))
        if not frames:
            return length
        share = (frames - first) // (2 * max(1, len(self._crew.members)))
        return max(1, length // SHORTEST, min(length, share))

    def _see(self, passage: Passage) -> None:
        seen: list[Seen] = []
        self._passages.append((passage, seen))
        first, stop, limit = passage
        unit = self.info.time_base
        time = self._packets.ticks[first] * unit
        work = PassageToSee(first, stop, limit, time, unit, self._spans)

        def take(found: Seen) -> None:
            self._done += stop - first
            seen.append(found)

        def piece() -> bytes:
            end = limit or len(self._packets.ticks)
            return cut_piece(self._there, self._packets.entries(), first, end)

        self._give("frames", range(first, stop), work, take, piece)

    def _changes(self) -> Iterator[tuple[Numbered | None, Change]]:
        """Yield what was measured in the next passages, as far as they have come and agree."""
        while self._passages and self._passages[0][1]:
            passage, (seen,) = self._passages.popleft()
            if not self._agree(passage, seen):
                self._apart = True
                self._passages.clear()
                return
            first, stop, _ = passage
            self._agreed = stop
            # Those that end before are no spans of the film, or were taken.
            self._ahead = {span: one for span, one in self._ahead.items() if span[1] > first}
            for span, found in seen.spans.items():
                self._ahead[span] = _Ahead(first, seen.ticks, found)
            # Changes need the pictures before: the first come with the passage before.
            own = FIRST_OWN if first else 0
            for place in range(own, min(len(seen.changes), stop - first + FIRST_OWN)):
                known = place < len(seen.ticks)
                yield self._frame_at(first + place) if known else None, seen.changes[place]

    def _frame_at(self, number: int) -> FrameAt:
        return FrameAt(number, self._packets.ticks[number] * self.info.time_base)

    def _agree(self, passage: Passage, seen: Seen) -> bool:
        """Say whether pictures have the times of packets, and nothing is damaged."""
        first, stop, limit = passage
        expected = self._packets.ticks[first : stop + FIRST_OWN]
        ends = limit is not None or stop < len(self._packets.ticks)
        found = seen.ticks[: len(expected)] if ends else seen.ticks
        return seen.whole and found == expected

    def _read_on(self) -> Iterator[tuple[Numbered | None, Change]]:
        """Read by this process, from where passages have disagreed."""
        first, enter = self._agreed, None
        if first:
            enter = first, self._frame_at(first).time
        self._announce(
            f"{self.info.path.name} is damaged, or its packets do not number its frames: from "
            f"frame {first} on one machine reads it for all."
        )
        self._reader = VideoReader(self.info.path, info=self.info, enter=enter)
        pictures = (FrameForms(frame) for frame in self._reader if frame.index >= first)
        yield from islice(measured(pictures), FIRST_OWN if first else 0, None)

    def _push(self, frame: Numbered) -> None:
        if not self._shots or self._shots[-1].ended:
            self._shots.append(_Shot(frame.number))
        span = self._spans.complete(self._shots[-1].first, frame.number)
        if span is not None:
            self._follow(span)

    def _end_shot(self) -> None:
        if not self._shots or self._shots[-1].ended:
            return
        shot = self._shots[-1]
        span = self._spans.last(shot.first, len(self.ticks))
        if span.start not in shot.parts:
            self._follow(span)
        shot.ended = True

    def _finished(self, *, wait: bool = False) -> list[Followings]:
        self._step(POLL_SECONDS if wait else 0)
        if wait:
            self._report()
        shots = []
        while self._shots and self._shots[0].whole:
            parts = self._shots.popleft().parts
            shots.append(joined([parts[begins] for begins in sorted(parts)]))  # type: ignore[misc]
        return shots

    def _follow(self, span: range) -> None:
        """Have a span followed, unless who saw the passage has done so."""
        parts = self._shots[-1].parts
        parts[span.start] = None
        ahead = self._ahead.pop((span.start, span.stop), None)
        if ahead is not None:
            ticks = ahead.ticks[span.start - ahead.first : span.stop - ahead.first]
            if ticks == self.ticks[span.start : span.stop]:
                parts[span.start] = ahead.found
                return

        def take(found: Followings) -> None:
            if self._reader is not None:
                self._done += len(span)
            parts[span.start] = found

        work = SpanToFollow(span.start, span.stop, self.time_of(span.start))
        self._give("frames", span, work, take)

    def _give(
        self,
        what: str,
        frames: range,
        work: Work,
        take: Callable[[Any], None],
        piece: Callable[[], bytes] | None = None,
    ) -> None:
        """Have work done in a stretch of the film, and wait while there is nobody for more."""
        task = ScanTask(self._settings, self._networks, work)

        def own_piece() -> bytes:
            ticks = np.array(self.ticks, np.int64)
            known = Entries(np.arange(len(ticks)), ticks, self.info.time_base)
            return cut_piece(self._there, known, frames.start, frames.stop)

        given = Task(
            f"{what} {frames.start} to {frames.stop - 1}",
            str(self._there.path),
            len(frames),
            start=lambda actor, piece: actor.scan.remote(self._there, task, piece),
            piece=piece or own_piece,
        )
        self._coming[given] = take
        self._crew.give(given)
        while self._crew.full:  # the film is read no further than work is taken
            self._step(POLL_SECONDS)
            self._report()

    def _finish_all(self) -> None:
        while self._coming:
            self._step(POLL_SECONDS)

    def _step(self, seconds: float) -> None:
        for task, made in self._crew.step(seconds):
            self._coming.pop(task)(pickle.loads(made))

    def _report(self) -> None:
        known = max(len(self.ticks), len(self._packets.ticks))
        self._shown = max(self._shown, min(self._done + self._crew.frames, known))
        self._progress("frames", self._shown, self.info.frames)


def _around(todo: Sequence[NeedsFrames]) -> range:
    """Return the frames from the first to the last that jobs need."""
    return range(min(one.first for one in todo), max(one.stop for one in todo))


def reading_on(crew: Crew, runtime: RuntimeSettings, announce: Announce) -> ReadingOf:
    """Return what has films read by a crew (`scan.scan`)."""
    networks = face_networks(load_face_pack(absolute(runtime)), runtime)
    return lambda info, settings, progress: ReadThere(
        crew, info, settings, networks, progress=progress, announce=announce
    )
