"""Where a film is read a second time: near what is looked at again, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from refrestore.types import Frame

READ_ON = 250
"""Frames without a job that are read over: a film is entered at a key frame, and ten seconds from
one to the next are usual."""

OpenAt = Callable[[int], AbstractContextManager[Iterable[Frame]]]
"""Opens the video to be read from a frame on; what cannot be entered there gives all of it."""


MOST_TOGETHER = 16
"""Jobs that are done together."""


class NeedsFrames(Protocol):
    """Something that needs frames, half open."""

    @property
    def first(self) -> int: ...  # noqa: D102

    @property
    def stop(self) -> int: ...  # noqa: D102


def stretches(todo: Sequence[NeedsFrames]) -> list[range]:
    """Return the frames to read for jobs, in one stretch where they are near each other."""
    found: list[range] = []
    for job in sorted(todo, key=lambda job: job.first):
        if found and job.first - found[-1].stop < READ_ON:
            found[-1] = range(found[-1].start, max(found[-1].stop, job.stop))
        else:
            found.append(range(job.first, job.stop))
    return found


SomeJob = TypeVar("SomeJob", bound=NeedsFrames)


def batches(todo: Sequence[SomeJob]) -> Iterator[list[SomeJob]]:
    """Yield jobs by what they end with, those together that are near each other."""
    batch: list[SomeJob] = []
    for job in sorted(todo, key=lambda job: job.first):
        far = batch and job.first - max(one.stop for one in batch) >= READ_ON
        if far or len(batch) == MOST_TOGETHER:
            yield sorted(batch, key=lambda job: job.stop)
            batch = []
        batch.append(job)
    if batch:
        yield sorted(batch, key=lambda job: job.stop)


def frames_of(todo: Sequence[NeedsFrames], open_at: OpenAt) -> Iterator[Frame]:
    """Yield the frames that jobs need, the video entered for each stretch.

    One that cannot be entered is read once, from its beginning to the last job.
    """
    left = stretches(todo)
    while left:
        entered = True
        with open_at(left[0].start) as frames:
            for frame in frames:
                entered &= frame.index >= left[0].start
                if frame.index in left[0]:
                    yield frame
                if frame.index + 1 >= left[0].stop:
                    left.pop(0)
                    if entered or not left:
                        break
            else:
                return
