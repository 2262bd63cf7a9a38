"""Long shots are followed in spans that overlap, one after another or side by side, and joined.

Where a span begins depends on its shot alone, so that the tracks are the same however many spans
are followed at a time, and wherever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple, Protocol

from refrestore.config import ScanSettings
from refrestore.faces.analyser import FaceModels
from refrestore.media.probe import VideoInfo
from refrestore.scan.follow import Follower
from refrestore.scan.followed import Followed
from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.fuse import packed
from refrestore.scan.tracks import absorb, together
from refrestore.scan.work import Here

SPAN_SECONDS = Fraction(15)
"""Few shots of a film are longer. A minute without a cut is work for four."""

OVERLAP_SECONDS = Fraction(1, 2)
"""Frames that two spans share: detections of both fall into it even on the longest stride."""


class Followings(NamedTuple):
    """What was followed in a shot, or in one span of it.

    Parameters
    ----------
    tracks
        In order of their first frames.
    detections
        Frames the detector looked at.
    """

    tracks: list[Followed]
    detections: int


class Following(Protocol):
    """Follows the faces of a film's shots."""

    @property
    def frames(self) -> int:
        """Frames that are followed by now."""

    def push(self, picture: FrameForms) -> None:
        """Take the next frame of the film."""

    def end_shot(self) -> None:
        """Be told that the last frame taken was its shot's last."""

    def finished(self, *, wait: bool = False) -> list[Followings]:
        """Return shots that are followed, each once and in order; with `wait`, after a moment."""


@dataclass(frozen=True)
class Spans:
    """How shots are divided.

    Parameters
    ----------
    length
        Frames from one span's beginning to the next one's.
    overlap
        Frames that a span goes on after the next one has begun.
    """

    length: int
    overlap: int

    @classmethod
    def at(cls, rate: Fraction) -> Spans:
        """Return those of a film with so many frames a second."""
        return cls(max(2, round(rate * SPAN_SECONDS)), max(1, round(rate * OVERLAP_SECONDS)))

    def complete(self, first: int, taken: int) -> range | None:
        """Return the span of a shot that is complete with a frame of it and not before.

        Parameters
        ----------
        first
            The shot's first frame.
        taken
            The frame.
        """
        number, rest = divmod(taken + 1 - first - self.overlap, self.length)
        if number < 1 or rest:
            return None
        begins = first + (number - 1) * self.length
        return range(begins, taken + 1)

    def last(self, first: int, stop: int) -> range:
        """Return the last span of a shot: one that would lie within the one before is none."""
        number = max(0, stop - first - self.overlap - 1) // self.length
        return range(first + number * self.length, stop)


class SpanFollower:
    """Follows faces in the frames it is given, span by span.

    Parameters
    ----------
    models, settings
        The networks, and the scan's settings.
    rate
        Average frames a second.
    spans
        How shots are divided.
    until
        Frame from which on no span begins any more; None for all.
    """

    def __init__(
        self,
        models: FaceModels,
        settings: ScanSettings,
        rate: Fraction,
        spans: Spans,
        until: int | None = None,
    ) -> None:
        self._rate, self._models, self._settings = rate, models, settings
        self._spans, self._until = spans, until
        self._first: int | None = None
        self._next = 0
        self._followers: list[tuple[int, Follower]] = []

    @property
    def busy(self) -> bool:
        """Whether a span has begun that has not ended."""
        return bool(self._followers)

    def push(self, picture: FrameForms) -> list[tuple[range, Followings]]:
        """Take the next frame; return the span that ends with it and what was followed, if any."""
        number = picture.number
        if self._first is None:
            self._first = number
        if (number - self._first) % self._spans.length == 0 and (
            self._until is None or number < self._until
        ):
            follower = Follower(self._models, self._settings, self._rate)
            self._followers.append((number, follower))
        for _, follower in self._followers:
            follower.push(picture)
        self._next = number + 1
        span = self._spans.complete(self._first, number)
        return [] if span is None or not self.busy else [self._finished(span)]

    def end_shot(self) -> list[tuple[range, Followings]]:
        """Return the same of the shot's last span; the next frame begins another shot."""
        first, self._first = self._first, None
        if first is None:
            return []
        last = self._spans.last(first, self._next)
        self._followers = [one for one in self._followers if one[0] <= last.start]
        return [self._finished(last)] if self.busy else []

    def _finished(self, span: range) -> tuple[range, Followings]:
        _, follower = self._followers.pop(0)
        return span, Followings(follower.finish(), follower.detections)


class FollowedHere:
    """Follows in this process, in the frames it is given (`Following`)."""

    def __init__(self, info: VideoInfo, models: FaceModels, settings: ScanSettings) -> None:
        rate = info.average_rate
        self._follower = SpanFollower(models, settings, rate, Spans.at(rate))
        self._parts: list[Followings] = []
        self._shots: list[Followings] = []
        self.frames = self._ended = 0

    def push(self, picture: FrameForms) -> None:
        """Take the next frame."""
        self._parts += [found for _, found in self._follower.push(picture)]
        self.frames = picture.number + 1

    def end_shot(self) -> None:
        """Join what was followed."""
        if self._ended == self.frames:
            return
        self._parts += [found for _, found in self._follower.end_shot()]
        self._shots.append(joined(self._parts))
        self._parts, self._ended = [], self.frames

    def finished(self, *, wait: bool = False) -> list[Followings]:
        """Return the shots that ended since it was asked last."""
        shots, self._shots = self._shots, []
        return shots


@dataclass(frozen=True, eq=False)
class SpanToFollow:
    """A span of a shot, followed where the film is entered for it (`work.Work`).

    Parameters
    ----------
    first, stop
        Its frames.
    time
        Of the first of them, seconds.
    """

    first: int
    stop: int
    time: Fraction

    def __call__(self, here: Here) -> Followings:
        """Follow its faces.

        Raises
        ------
        MediaError
            The film cannot be read, or not entered.
        """
        follower = Follower(here.models, here.settings, here.info.average_rate)
        with here.entered(self.first, self.time) as frames:
            for frame in frames:
                if frame.index >= self.stop:
                    break
                if frame.index >= self.first:
                    follower.push(FrameForms(frame))
                    here.told(frame.index - self.first + 1)
        return sent(Followings(follower.finish(), follower.detections))


def sent(found: Followings) -> Followings:
    """Return what was followed as it is sent; its tracks are changed."""
    for track in found.tracks:
        track.best.candidates = [packed(one) for one in track.best.candidates]
    return found


def joined(parts: Sequence[Followings]) -> Followings:
    """Return what was followed in the spans of a shot as if it had been followed in one.

    Parameters
    ----------
    parts
        In order of time; their tracks are changed.
    """
    whole: list[Followed] = []
    for part in parts:
        whole = _continued(whole, part.tracks)
    return Followings(whole, sum(part.detections for part in parts))


def _continued(early: list[Followed], late: list[Followed]) -> list[Followed]:
    """Give each of the earlier tracks the one that goes on with its face, the surest pairs first.

    Those are in one place in most of the frames that both have.
    """
    pairs = [
        (agree, row, column)
        for row, before in enumerate(early)
        for column, after in enumerate(late)
        if (agree := together(before, after))
    ]
    rows, columns = set[int](), set[int]()
    for _, row, column in sorted(pairs, key=lambda pair: (-pair[0], *pair[1:])):
        if row in rows or column in columns:
            continue
        rows.add(row)
        columns.add(column)
        absorb(early[row], _unseen(late[column], early[row].last))
    rest = [track for column, track in enumerate(late) if column not in columns]
    return sorted([*early, *rest], key=lambda track: track.first)


def _unseen(track: Followed, frame: int) -> Followed:
    """Return a track without the samples and close-ups of frames up to one: another has those."""
    best = replace(
        track.best,
        samples=[one for one in track.best.samples if one.frame > frame],
        candidates=[one for one in track.best.candidates if one.frame > frame],
    )
    return Followed(track.rows, best)
