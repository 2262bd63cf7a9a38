"""A film's frames as its packets tell of them, numbered without decoding one.

Packets do not say which of them a decoder makes nothing of, and some say no times: what is told
here has to be checked where pictures are decoded.
"""

from __future__ import annotations

import heapq
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from refrestore.media.entries import Entries
from refrestore.media.open_film import film_stream, open_film
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import read_packets
from refrestore.media.treatment import second_moment

REORDERED = 32
"""Packets among which the next to be shown is: H.264 and HEVC hold 16 pictures back at most."""


class Passage(NamedTuple):
    """Frames from one key frame to another.

    Parameters
    ----------
    first, stop
        Its frames, half open.
    limit
        A frame behind, up to which times are known; None for a film that ends before it.
    """

    first: int
    stop: int
    limit: int | None


class PacketTimes:
    """Reads the packets of a film, as far as it is asked.

    Parameters
    ----------
    info
        The film.

    Attributes
    ----------
    ticks
        Times of the frames that are known by now, in units of `info.time_base`; of a film with a
        frame for each field those of both.
    entire
        Whether these are all that the film has.
    """

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self.ticks = array("q")
        self.entire = False
        self._last: int | None = None

    def entries(self) -> Entries:
        """Return the frames that are known by now."""
        ticks = np.array(self.ticks, np.int64)
        return Entries(np.arange(len(ticks)), ticks, self._info.time_base, self.entire)

    def passages(self, length: Callable[[int], int], most: int, beyond: int) -> Iterator[Passage]:
        """Yield passages that cover the film, each when the frames behind it are known.

        Fewer where packets do not tell: one is damaged or without a time, or no key frame comes.

        Parameters
        ----------
        length
            Returns how many frames one that begins with a frame is to have at least.
        most
            Frames without a key frame that one may have.
        beyond
            Frames behind one that are to be known.
        """
        first, stops = 0, deque[int]()
        for number, is_key in enumerate(self._known()):
            last = stops[-1] if stops else first
            if number - last > most:
                return
            if is_key and number - last >= length(last):
                stops.append(number)
            while stops and number + 1 >= stops[0] + beyond:
                yield Passage(first, stops[0], stops[0] + beyond)
                first = stops.popleft()
        if self.entire:
            for stop in (*stops, len(self.ticks)):
                yield Passage(first, stop, None)
                first = stop

    def _known(self) -> Iterator[bool]:
        """Note the time of each frame in turn, and yield whether it is a key frame."""
        broken: list[None] = []
        waiting: list[tuple[int, bool]] = []
        with open_film(self._info.path, self._info.fps) as container:
            stream = film_stream(container, self._info.path, self._info.stream)
            for packet in read_packets(container, [stream], lambda: broken.append(None)):
                if not packet.size or packet.is_discard:
                    continue
                if broken or packet.is_corrupt or packet.pts is None:
                    return
                heapq.heappush(waiting, (packet.pts, bool(packet.is_keyframe)))
                if len(waiting) > REORDERED:
                    if self._last is not None and waiting[0][0] <= self._last:
                        return
                    yield from self._take(*heapq.heappop(waiting))
        while waiting:
            if broken or (self._last is not None and waiting[0][0] <= self._last):
                return
            yield from self._take(*heapq.heappop(waiting))
        yield from self._take_later(None)
        self.entire = bool(self.ticks) and not broken

    def _take(self, tick: int, is_key: bool) -> Iterator[bool]:
        """Note a picture's time, and that of the second field before it, if it has a frame."""
        yield from self._take_later(tick)
        self._last = tick
        self.ticks.append(tick * self._info.treatment.frames)
        yield is_key

    def _take_later(self, following: int | None) -> Iterator[bool]:
        if self._last is None or self._info.treatment.frames == 1:
            return
        unit = self._info.file_tick
        behind = None if following is None else following * unit
        time = second_moment(self._last * unit, behind, self._info.longest)
        self.ticks.append(int(time / self._info.time_base))
        yield False
