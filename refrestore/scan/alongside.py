"""Faces are followed in a thread of their own, while the one that asks reads the film and cuts it.

What each of them does is mostly done by libraries that let the other go on: two cores, or one core
and a GPU, are busy at a time. The frames and their order are the same, and so is what is found.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from enum import Enum, auto

from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.spans import Following, Followings

POLL_SECONDS = 0.1
"""How often who waits looks whether the other has ended."""


class _Told(Enum):
    """What is told between frames."""

    SHOT_ENDS = auto()
    STOP = auto()


class FollowedAlongside:
    """Has another follow in a thread (`spans.Following`); a context manager that ends it.

    Parameters
    ----------
    following
        Who follows; used in the thread only.
    ahead
        Frames that may wait for it.

    Raises
    ------
    BaseException
        In any call, what following raised in the thread; nothing is followed any more then.
    """

    def __init__(self, following: Following, ahead: int) -> None:
        self._following = following
        self._todo: queue.Queue[FrameForms | _Told] = queue.Queue(ahead)
        self._shots: queue.SimpleQueue[Followings | BaseException] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def __enter__(self) -> FollowedAlongside:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopped.set()
        with suppress(queue.Full):  # then the thread is about to look
            self._todo.put_nowait(_Told.STOP)
        self._thread.join()

    @property
    def frames(self) -> int:
        """Frames that are followed by now."""
        return self._following.frames

    def push(self, picture: FrameForms) -> None:
        """Take the next frame; waits while enough of them are waiting."""
        self._put(picture)

    def end_shot(self) -> None:
        """Have the shot ended that the last frame taken belongs to."""
        self._put(_Told.SHOT_ENDS)

    def finished(self, *, wait: bool = False) -> list[Followings]:
        """Return the shots that were followed since it was asked last; with `wait`, one at least.

        Who waits must know that a shot has ended that was not returned yet.
        """
        shots: list[Followings] = []
        while True:
            try:
                shot = self._shots.get(block=wait and not shots)
            except queue.Empty:
                return shots
            if isinstance(shot, BaseException):
                self._shots.put(shot)  # whoever asks again is told again
                raise shot
            shots.append(shot)

    def _put(self, item: FrameForms | _Told) -> None:
        while self._thread.is_alive():
            with suppress(queue.Full):
                self._todo.put(item, timeout=POLL_SECONDS)
                return
        while True:  # the last thing that the thread told is what ended it
            self.finished(wait=True)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                item = self._todo.get()
                if isinstance(item, FrameForms):
                    self._following.push(item)
                elif item is _Told.SHOT_ENDS:
                    self._following.end_shot()
                    for shot in self._following.finished():
                        self._shots.put(shot)
        except BaseException as error:
            self._shots.put(error)


__all__ = ["FollowedAlongside"]
