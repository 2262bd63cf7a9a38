"""Following in a thread: the same in the same order, and whatever ends it ends both."""

from __future__ import annotations

import threading
from fractions import Fraction

import av
import pytest

from refrestore.errors import MediaError
from refrestore.scan.alongside import FollowedAlongside
from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.spans import Followings
from refrestore.types import Frame, Geometry


def picture(number: int) -> FrameForms:
    return FrameForms(
        Frame(number, Fraction(number, 25), av.VideoFrame(16, 16, "yuv420p"), Geometry(16, 16))
    )


class Counting:
    """Follows nobody: a shot's detections are its frames, and it may break at one."""

    def __init__(self, breaks_at: int | None = None, gate: threading.Event | None = None) -> None:
        self.frames = self._begun = 0
        self._breaks_at, self._gate = breaks_at, gate
        self._shots: list[Followings] = []
        self.threads: set[str] = set()

    def push(self, picture: FrameForms) -> None:
        if self._gate is not None:
            self._gate.wait(60)
        if picture.number == self._breaks_at:
            raise MediaError("The film ends here.")
        self.threads.add(threading.current_thread().name)
        self.frames = picture.number + 1

    def end_shot(self) -> None:
        self._shots.append(Followings([], self.frames - self._begun))
        self._begun = self.frames

    def finished(self, *, wait: bool = False) -> list[Followings]:
        shots, self._shots = self._shots, []
        return shots


def test_shots_come_in_order_from_another_thread() -> None:
    inner, shots, number = Counting(), [], 0
    with FollowedAlongside(inner, 3) as following:
        for length in (5, 1, 20, 7):
            for _ in range(length):
                following.push(picture(number))
                number += 1
            following.end_shot()
        while len(shots) < 4:
            shots += following.finished(wait=True)
        assert following.finished() == []
        assert following.frames == number
    assert [shot.detections for shot in shots] == [5, 1, 20, 7]
    assert inner.threads == {"follow"}


def test_no_more_frames_wait_than_may() -> None:
    gate = threading.Event()
    inner = Counting(gate=gate)
    with FollowedAlongside(inner, 2) as following:
        pushed = threading.Semaphore(0)

        def push() -> None:
            for number in range(6):
                following.push(picture(number))
                pushed.release()

        pusher = threading.Thread(target=push)
        pusher.start()
        for _ in range(3):  # two wait, one is looked at
            assert pushed.acquire(timeout=60)
        assert not pushed.acquire(timeout=0.3)
        gate.set()
        pusher.join(60)
        assert not pusher.is_alive()


@pytest.mark.parametrize("asks", ["push", "end_shot", "finished"])
def test_what_breaks_it_off_is_told(asks: str) -> None:
    with FollowedAlongside(Counting(breaks_at=1), 2) as following:

        def go_on() -> None:
            following.push(picture(0))
            following.push(picture(1))
            if asks == "finished":
                following.finished(wait=True)
            for number in range(2, 100):
                following.push(picture(number)) if asks == "push" else following.end_shot()

        for _ in range(2):  # and told again
            with pytest.raises(MediaError, match="ends here"):
                go_on()


def test_it_ends_with_frames_waiting() -> None:
    gate = threading.Event()
    with FollowedAlongside(Counting(gate=gate), 2) as following:
        for number in range(3):
            following.push(picture(number))
        gate.set()
    assert not [one for one in threading.enumerate() if one.name == "follow"]
