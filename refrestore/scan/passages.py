"""A passage of a film, from one key frame to another, by itself: its changes, and its faces.

Whether its first frame begins a shot is not known in it. What is followed in it begins at the first
cut that is seen, and is of use where the whole film has a span there: what is followed in a span
depends on its frames alone.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from refrestore.media.reader import VideoReader
from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.shots import DELAY, Change, cut, measured
from refrestore.scan.spans import Followings, SpanFollower, Spans, sent
from refrestore.scan.work import Here


class Seen(NamedTuple):
    """What was seen in a passage.

    Parameters
    ----------
    ticks
        When the frames from its first on are shown, some behind it among them.
    changes
        Those that came with these frames, and at the end of what was read.
    spans
        What was followed, by first frame and the one after the last.
    whole
        Whether the film was entered and nothing of it damaged.
    """

    ticks: array[int]
    changes: list[Change]
    spans: dict[tuple[int, int], Followings]
    whole: bool


@dataclass(frozen=True, eq=False)
class PassageToSee:
    """A passage (`work.Work`).

    Spans that begin in it, or with the next one, are followed to their ends.

    Parameters
    ----------
    first, stop
        Its frames.
    limit
        Where reading ends at the latest; None is the film's end.
    time
        Of the first frame, seconds.
    unit
        Of ticks, seconds.
    spans
        How shots are divided.
    """

    first: int
    stop: int
    limit: int | None
    time: Fraction
    unit: Fraction
    spans: Spans

    def __call__(self, here: Here) -> Seen:
        """Read it.

        Raises
        ------
        MediaError
            The film cannot be read.
        """
        seen = Seen(array("q"), [], {}, whole=True)
        # The next passage does not see whether a shot begins where it does: encoders begin both.
        rate, until = here.info.average_rate, self.stop + 1
        follower = SpanFollower(here.models, here.settings, rate, self.spans, until)
        enter = (self.first, self.time) if self.first else None
        with VideoReader(here.info.path, info=here.info, enter=enter) as reader:
            begun = not self.first
            for picture, begins in cut(self._noted(reader, seen), rate):
                if begins:
                    self._keep(follower.end_shot(), seen)
                    begun = True
                if begun:
                    self._keep(follower.push(picture), seen)
                here.told(min(picture.number + 1, self.stop) - self.first)
                if picture.number >= self.stop and not follower.busy:
                    break
            else:
                self._keep(follower.end_shot(), seen)
            return seen._replace(whole=bool(seen.ticks) and not reader.decode_failures)

    def _noted(self, reader: VideoReader, seen: Seen) -> Iterator[tuple[FrameForms | None, Change]]:
        for picture, change in measured(self._pictures(reader)):
            if picture is not None:
                seen.ticks.append(int(picture.time / self.unit))
            seen.changes.append(change)
            yield picture, change

    def _pictures(self, reader: VideoReader) -> Iterator[FrameForms]:
        for frame in reader:
            if frame.index < self.first or frame.index == self.limit:
                return
            yield FrameForms(frame)

    @staticmethod
    def _keep(spans: list[tuple[range, Followings]], seen: Seen) -> None:
        for span, found in spans:
            seen.spans[span.start, span.stop] = sent(found)


FIRST_OWN = DELAY + 1
"""Frame of a passage, counted from 0, with which the first change comes that needs none before."""
