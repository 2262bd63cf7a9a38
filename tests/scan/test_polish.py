"""Where the video is read again: near the close-ups alone, once where it cannot be entered."""

from __future__ import annotations

from contextlib import contextmanager
from fractions import Fraction

import numpy as np
import pytest

from refrestore.scan.polish import CloseUpToFuse, Place
from refrestore.scan.read_again import MOST_TOGETHER, READ_ON, batches, frames_of, stretches
from refrestore.types import Frame, Geometry

SIZE = Geometry(16, 16)
LENGTH = 2000


def job(first: int, stop: int) -> CloseUpToFuse:
    return CloseUpToFuse(Place(0, 0), None, first, stop, np.zeros(512, np.float32))


def film(read: list[int], opened: list[int], enterable: bool):
    """Return what opens a film of `LENGTH` frames and notes what is read of it."""

    @contextmanager
    def open_at(first: int):
        opened.append(first)

        def frames():
            for index in range(first if enterable else 0, LENGTH):
                read.append(index)
                yield Frame(index, Fraction(index, 25), None, SIZE)

        yield frames()

    return open_at


JOBS = [job(900, 909), job(100, 109), job(104, 113), job(109 + READ_ON // 2, 250)]


def wanted(todo) -> set[int]:
    return {index for one in todo for index in range(one.first, one.stop)}


@pytest.mark.parametrize("enterable", [True, False])
def test_every_frame_of_a_job_is_given_once_and_in_order(enterable) -> None:
    given = [frame.index for frame in frames_of(JOBS, film([], [], enterable))]
    assert given == sorted(set(given))
    assert wanted(JOBS) <= set(given)


def test_a_film_is_entered_for_each_stretch_and_left_after_it() -> None:
    read, opened = [], []
    list(frames_of(JOBS, film(read, opened, enterable=True)))
    assert opened == [100, 900]
    assert len(read) == sum(map(len, stretches(JOBS)))


def test_a_film_that_cannot_be_entered_is_read_once_up_to_the_last_job() -> None:
    read, opened = [], []
    list(frames_of(JOBS, film(read, opened, enterable=False)))
    assert opened == [100]
    assert read == list(range(909))


def test_no_job_opens_nothing() -> None:
    opened = []
    assert not list(frames_of([], film([], opened, enterable=True)))
    assert not opened


def test_jobs_are_done_together_where_they_are_near() -> None:
    assert list(batches(JOBS)) == [[JOBS[1], JOBS[2], JOBS[3]], [JOBS[0]]]
    many = [job(first, first + 5) for first in range(2 * MOST_TOGETHER)]
    assert list(batches(many)) == [many[:MOST_TOGETHER], many[MOST_TOGETHER:]]
    assert not list(batches([]))
