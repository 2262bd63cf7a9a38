"""Several commands that change the profiles at the same time."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from refrestore.errors import ProfileError
from refrestore.profiles import ProfileStore


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


LEARN = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from refrestore.profiles import ProfileStore

store, own = ProfileStore(Path(sys.argv[1])), int(sys.argv[2])

def learn(profile):
    picture = np.full((512, 512, 3), own, np.uint8)
    one = replace(profile.references[0], image=picture, source=f"film {own}")
    return profile.extended([one])

sys.stdin.readline()
store.change("Anna", learn)
"""


def test_what_several_processes_teach_at_the_same_time_is_all_learnt(store, anna):
    store.save(replace(anna, name="Anna"))
    teachers = [
        subprocess.Popen(
            [sys.executable, "-c", LEARN, str(store.directory), str(200 + number)],
            stdin=subprocess.PIPE,
        )
        for number in range(6)
    ]
    for one in teachers:
        one.stdin.write(b"go\n")
        one.stdin.flush()
    assert [one.wait(timeout=120) for one in teachers] == [0] * 6
    learnt = store.load("Anna")
    assert {one.source for one in learnt.references} >= {f"film {200 + n}" for n in range(6)}
    assert snapshot(store.directory).keys() == {
        f"Anna/{file}" for file in snapshot(store.directory / "Anna")
    }


@pytest.fixture
def slow(store, anna):
    """Somebody who teaches Anna and takes his time, until he is told to go on."""
    store.save(replace(anna, name="Anna"))
    begun, go_on = threading.Event(), threading.Event()

    def learn(profile):
        begun.set()
        go_on.wait(30)
        return replace(profile, references=profile.references[:2])

    with ThreadPoolExecutor(1) as pool:
        change = pool.submit(ProfileStore(store.directory).change, "Anna", learn)
        assert begun.wait(30)
        yield go_on, change
        go_on.set()


@pytest.mark.parametrize("act", ["change", "save", "remove", "merge"])
def test_a_second_change_waits_for_the_first_and_says_so(store, anna, slow, caplog, act):
    go_on, change = slow
    seen = []

    class Told(logging.Handler):
        def emit(self, record):
            assert not change.done()
            seen.append(record.getMessage())
            go_on.set()

    logger = logging.getLogger("refrestore.storage.lock")
    logger.addHandler(told := Told())
    try:
        if act == "change":
            store.change("Anna", lambda profile: replace(profile, threshold=0.33))
        elif act == "save":
            store.save(replace(anna, name="Anna", threshold=0.33), replace_existing=True)
        elif act == "remove":
            store.remove("Anna")
        else:
            store.merge("Anna", [], into="Anna M")
    finally:
        logger.removeHandler(told)
    change.result(30)
    assert seen == [
        f"Waiting: the profiles in {store.directory} are being changed by process {os.getpid()}."
    ]
    if act == "change":  # of what the first one left
        found = store.load("Anna")
        assert (len(found.references), found.threshold) == (2, 0.33)
    elif act == "save":
        assert len(store.load("Anna").references) == 3
    elif act == "remove":
        assert store.list() == []
    else:
        assert store.list() == ["Anna M"]
        assert len(store.load("Anna M").references) == 2


def test_a_change_that_waits_too_long_gives_up(store, slow, monkeypatch):
    monkeypatch.setattr("refrestore.profiles.store.LOCK_SECONDS", 0.2)
    with pytest.raises(ProfileError, match=r"changed by process \d+ .*nothing was done"):
        store.change("Anna", lambda profile: replace(profile, threshold=0.33))
    go_on, change = slow
    go_on.set()
    change.result(30)
    assert store.load("Anna").threshold == 0.42


def test_a_change_that_fails_changes_nothing(store, anna):
    store.save(anna)
    before = snapshot(store.directory)

    def stumble(profile):
        raise KeyError("half-way")

    with pytest.raises(KeyError):
        store.change(anna.name, stumble)
    assert snapshot(store.directory) == before
    store.change(anna.name, lambda profile: replace(profile, threshold=0.5))  # the lock is free
    assert store.load(anna.name).threshold == 0.5
