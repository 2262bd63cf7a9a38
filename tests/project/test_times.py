"""The times of all frames: kept beside a scan, and not believed where they are wrong."""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from refrestore.config import ScanSettings
from refrestore.project import Project
from refrestore.project.times import TIMES, pack_times, read_entries
from refrestore.types import Shot

UNIT = Fraction(1001, 30000)
TICKS = np.cumsum(np.random.default_rng(0).integers(1, 4, 5000)).astype(np.int64)
SHOTS = [
    Shot(number, first, first + 1000, int(TICKS[first]) * UNIT)
    for number, first in enumerate(range(0, 5000, 1000))
]


def test_times_come_back_and_take_little_room(tmp_path: Path) -> None:
    path = tmp_path / TIMES
    path.write_bytes(pack_times(TICKS, UNIT))
    entries = read_entries(path, SHOTS)
    assert entries.complete
    np.testing.assert_array_equal(entries.ticks, TICKS)
    assert entries.unit == UNIT
    assert path.stat().st_size < 2 * len(TICKS)
    steady = pack_times(np.arange(100_000, dtype=np.int64) * 512, Fraction(1, 12800))
    assert len(steady) < 2000


def wrong() -> dict[str, bytes]:
    whole = pack_times(TICKS, UNIT)
    backwards, other = TICKS.copy(), TICKS.copy()
    backwards[700] = backwards[699]
    other[1000:] += 1  # not what its cuts say
    return {
        "empty": b"",
        "cut": whole[:-40],
        "short": pack_times(TICKS[:-1], UNIT),
        "long": pack_times(np.append(TICKS, TICKS[-1] + 1), UNIT),
        "backwards": pack_times(backwards, UNIT),
        "another film": pack_times(other, UNIT),
        "no unit": bytes(16) + whole[16:],
        "bomb": whole[:16] + zlib.compress(bytes(50_000_000)),
        "noise": bytes(range(256)) * 9,
    }


@pytest.mark.parametrize("kind", list(wrong()))
def test_wrong_times_leave_the_cuts(tmp_path: Path, kind: str) -> None:
    path = tmp_path / TIMES
    path.write_bytes(wrong()[kind])
    entries = read_entries(path, SHOTS)
    assert not entries.complete
    assert entries.before(2500) == (2000, SHOTS[2].start)


def test_a_folder_or_nothing_in_its_place_leaves_the_cuts(tmp_path: Path) -> None:
    assert not read_entries(tmp_path / TIMES, SHOTS).complete
    assert not read_entries(tmp_path, SHOTS).complete
    assert len(read_entries(tmp_path / TIMES, [])) == 0


def test_a_project_knows_them_from_its_scan(make, tmp_path: Path) -> None:
    with Project.create(tmp_path / "project", make.video(tmp_path)) as project:
        assert len(project.entries()) == 0
        with project.begin_scan(ScanSettings()) as writer:
            for shot in SHOTS:
                writer.add_shot(shot)
            writer.set_times(TICKS, UNIT)
        assert project.entries().before(4321) == (4321, int(TICKS[4321]) * UNIT)
        with project.begin_scan(ScanSettings()) as writer:  # of an older version: no times
            writer.add_shot(SHOTS[0])
        assert not project.entries().complete
