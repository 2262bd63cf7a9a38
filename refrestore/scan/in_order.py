"""Work that several threads do side by side, whose results come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_order(do: Callable[[Item], Made], items: Iterable[Item], threads: int = 1) -> Iterator[Made]:
    """Yield what is made of each item, no more than two a thread ahead.

    Raises
    ------
    Exception
        What `do` raises, in the item's turn; nothing is begun after it.
    """
    if threads == 1:
        yield from map(do, items)
        return
    coming: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads, "in order") as pool:
        try:
            for item in items:
                coming.append(pool.submit(do, item))
                if len(coming) > 2 * threads:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
