"""Queues of films that are only names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from refrestore.batch.order import Order
from refrestore.batch.queue import Queue
from tests.batch.tiny import entries


@pytest.fixture
def filled(tmp_path) -> Iterator[Callable[..., Queue]]:
    """Return a function that makes a queue of so many films."""
    (tmp_path / "out").mkdir()
    with ExitStack() as stack:

        def filled(count: int, **order: object) -> Queue:
            queue = stack.enter_context(Queue(tmp_path / "films.queue", make=True))
            queue.add(entries(tmp_path, count), Order(tmp_path / "out", {}, **order))
            return queue

        yield filled
