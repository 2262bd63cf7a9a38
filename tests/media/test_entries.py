"""Known frames, and where they let a reader begin."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from refrestore.media.entries import Entries
from refrestore.media.moments import frame_at, resolve_moment, resolve_part
from refrestore.media.probe import probe
from refrestore.media.reader import QUEUE_BYTES, QUEUE_FRAMES, frame_bytes, queue_size
from refrestore.moment import FrameNumber
from refrestore.types import Geometry, Shot

UNEVEN = np.array([10, 11, 15, 16, 40], np.int64)
SHOTS = [Shot(0, 0, 2, Fraction(10, 25)), Shot(1, 2, 5, Fraction(2, 5) + Fraction(1, 3))]


def test_every_frame_is_found_by_index_and_by_time() -> None:
    every = Entries.of_all(UNEVEN, Fraction(1, 25))
    assert every.before(3) == (3, Fraction(16, 25))
    assert every.before(99) == (4, Fraction(40, 25))
    assert every.before(-1) is None
    assert every.until(Fraction(15, 25)) == (2, Fraction(15, 25))
    assert every.until(Fraction(39, 25)) == (3, Fraction(16, 25))
    assert every.until(Fraction(9, 25)) is None
    assert [every.count_before(Fraction(tick, 25)) for tick in (0, 11, 12, 99)] == [0, 1, 2, 5]
    assert every.count_before(Fraction(10**30)) == 5


def test_cuts_are_exact_whatever_their_units() -> None:
    cuts = Entries.of_shots(SHOTS)
    assert not cuts.complete
    assert cuts.before(1) == (0, SHOTS[0].start)
    assert cuts.before(4) == (2, SHOTS[1].start)
    assert Entries.of_shots([]).before(5) is None


def test_moments_are_known_without_reading(videos) -> None:
    info = probe(videos("variable_rate"))
    ticks = np.array([0, 1, 2, 5, 6, 11, 13, 14, 40, 41], np.int64)
    unit = Fraction(1, 25)
    for entries in (Entries.of_all(ticks, unit), Entries.of_shots([Shot(0, 0, 10, info.start)])):
        for index, tick in enumerate(ticks.tolist()):
            time = resolve_moment(FrameNumber(index), info, entries=entries)
            assert abs(time - tick * unit) <= Fraction(1, 1000)  # Matroska's unit
            assert frame_at(tick * unit - Fraction(1, 100), info, entries) == index
        assert frame_at(Fraction(42, 25), info, entries) is None
    noted = Entries.of_all(ticks + 100, unit)  # what is noted is not read again
    assert resolve_part(FrameNumber(3), None, info, entries=noted).start == 105 * unit


@pytest.mark.parametrize("depth", [8, 10])
def test_a_queue_holds_no_more_than_its_bytes(depth: int) -> None:
    small, large, huge = Geometry(640, 360), Geometry(4096, 2160), Geometry(8192, 4320)
    assert queue_size(small, depth) == QUEUE_FRAMES
    assert queue_size(huge, depth) == 2 if depth > 8 else queue_size(huge, depth) <= 2
    assert queue_size(large, depth) * frame_bytes(large, depth) <= QUEUE_BYTES
