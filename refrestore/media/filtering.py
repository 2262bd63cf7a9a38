"""Pictures on their way through libavfilter: one comes out for each, or for each field of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import av.filter

from refrestore.errors import MediaError
from refrestore.media.planes import planar
from refrestore.media.treatment import Treatment, second_moment

Timed = tuple[int, Fraction, av.VideoFrame]
"""Index, time and picture of a frame."""

_TICK = Fraction(1, 25)
"""Of the filters' own count of pictures; none of them looks at it."""


def treat(treatment: Treatment, frames: Iterable[Timed], longest: Fraction) -> Iterator[Timed]:
    """Yield a film's pictures treated, with their indices and times.

    The first `reach` of them lack their past, unless they are the film's first. Where two frames
    are made of a picture, numbers are twice as many, and the second's time lies between
    (`second_moment`, which says what `longest` is).
    """
    if not treatment.filters:
        yield from frames
        return
    chain: _Chain | None = None
    for index, time, picture in frames:
        source = planar(picture)
        if chain is not None and not chain.takes(source):
            yield from chain.finish()
            chain = None
        chain = chain or _Chain(treatment, source, longest)
        yield from chain.push(index, time, source)
    if chain is not None:
        yield from chain.finish()


class _Chain:
    """A graph of filters that gives as many pictures as the treatment says for each it takes."""

    def __init__(self, treatment: Treatment, template: av.VideoFrame, longest: Fraction) -> None:
        self._shape, self._each, self._longest = _shape(template), treatment.frames, longest
        self._given = 0
        self._waiting: deque[tuple[int, Fraction, int | None, Fraction | None]] = deque()
        self._count = 0
        graph = av.filter.Graph()
        self._source = graph.add_buffer(
            width=template.width,
            height=template.height,
            format=template.format,
            time_base=_TICK,
        )
        last = self._source
        for name, arguments in treatment.filters:
            try:
                added = graph.add(name, f"{arguments}:threads=1")  # as decision 005
            except ValueError as error:  # PyAV's, for a name that libavfilter does not know
                raise MediaError(
                    f"This build of libavfilter lacks {name}: install PyAV's own wheel, or give "
                    "--deinterlace off and --denoise off."
                ) from error
            last.link_to(added)
            last = added
        self._sink = graph.add("buffersink")
        last.link_to(self._sink)
        graph.configure()
        self._graph = graph

    def takes(self, picture: av.VideoFrame) -> bool:
        """Return whether a picture is of the size and format that this was made for."""
        return _shape(picture) == self._shape

    def push(self, index: int, time: Fraction, picture: av.VideoFrame) -> Iterator[Timed]:
        """Take a picture, whose times need not ascend; yield those that are finished."""
        self._waiting.append((index, time, picture.pts, picture.time_base))
        picture.pts, picture.time_base = self._count, _TICK
        self._count += 1
        self._source.push(picture)
        yield from self._finished()

    def finish(self) -> Iterator[Timed]:
        """Yield what is still inside."""
        self._source.push(None)
        yield from self._finished()
        if self._waiting:
            raise MediaError(f"libavfilter kept {len(self._waiting)} pictures to itself.")

    def _finished(self) -> Iterator[Timed]:
        while True:
            try:
                picture = self._sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(picture, av.VideoFrame)
            if _shape(picture) != self._shape:
                raise MediaError(
                    f"{self._shape[2]} pictures cannot be deinterlaced or cleaned of noise without "
                    "loss: give --deinterlace off and --denoise off."
                )
            yield self._named(picture)

    def _named(self, picture: av.VideoFrame) -> Timed:
        """Return a finished picture with the number and time of what it was made of."""
        index, time, ticks, unit = self._waiting[0]
        later = self._given % self._each
        self._given += 1
        if later:
            following = self._waiting[1][1] if len(self._waiting) > 1 else None
            moment = second_moment(time, following, self._longest)
        else:
            moment = time
        if self._given % self._each == 0:
            self._waiting.popleft()
        picture.pts = ticks
        if unit is not None:
            own = picture.time_base = unit / self._each
            if ticks is not None:
                picture.pts = ticks * self._each + round((moment - time) / own)
        return index * self._each + later, moment, picture


def _shape(picture: av.VideoFrame) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.format.name
