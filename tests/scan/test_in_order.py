"""Work of several threads comes in order, not far ahead, and ends with the first error."""

from __future__ import annotations

import threading
import time

import pytest

from refrestore.scan.in_order import in_order


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order(threads):
    def slow_first(item):
        time.sleep(0.02 * (item % 3 == 0))
        return item * item

    assert list(in_order(slow_first, range(20), threads)) == [item * item for item in range(20)]


def test_threads_work_at_the_same_time():
    both = threading.Barrier(2, timeout=20)
    assert len(list(in_order(lambda item: both.wait(), range(6), 2))) == 6


@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_is_begun_after_an_error(threads):
    begun = []

    def fails(item):
        begun.append(item)
        if item == 3:
            raise ValueError("the third")
        return item

    made = in_order(fails, range(1000), threads)
    assert [next(made) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(made)
    assert len(begun) < 20


def test_no_more_than_asked_is_made_ahead():
    begun = []
    made = in_order(begun.append, range(1000), 2)
    next(made)
    time.sleep(0.1)
    assert len(begun) <= 6
    made.close()
    assert len(begun) <= 8
