"""How the tests are handed out: a file to one worker, the longest first."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("xdist")

from tests.workers import LONGEST, ONE_UNIT, WholeFiles, place

ROOT = Path(__file__).resolve().parents[1]


def unit(nodeid: str) -> str:
    return WholeFiles._split_scope(object.__new__(WholeFiles), nodeid)


def test_a_file_is_one_unit_and_so_are_folders_that_share() -> None:
    whole = "tests/scan/test_scan.py"
    assert {unit(f"{whole}::{test}") for test in ("a", "b[1]", "c[d::e]", "F::g")} == {whole}
    for folder in ONE_UNIT:
        assert {unit(f"{folder}/test_{name}.py::a") for name in ("one", "other")} == {folder}


def test_the_longest_are_first_and_the_others_stay_in_order() -> None:
    names = ("adapt/test_likeness", "media/test_reader", "test_floors")
    given = [f"tests/{name}.py::a" for name in names]
    longest = [f"{start}::a" for start in LONGEST]
    assert sorted([*given, *reversed(longest)], key=place) == [*longest, *given]
    for start in (*LONGEST, *ONE_UNIT):
        assert (ROOT / start).exists(), f"there is no {start} any more"
