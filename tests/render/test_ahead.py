"""While a segment is painted the next one is looked at: in order, one ahead, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from refrestore.config import RuntimeSettings
from refrestore.engine import local
from refrestore.engine.local import Local, one_ahead
from refrestore.errors import MediaError
from refrestore.project import Project
from refrestore.render.recipe import FilmRecipe, prepare
from refrestore.render.report import SegmentRecord
from refrestore.render.segment_folder import SegmentFolder
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.render.window import render_segment

from .conftest import LOSSLESS, SETTINGS, Scanned

PATIENCE = 60
"""Seconds after which a thread is not going to do it any more."""


class Steps:
    """Numbers, each made when it is allowed, and how far that has come."""

    def __init__(self, count: int) -> None:
        self.made = [threading.Event() for _ in range(count)]

    def __call__(self, check: Callable[[], None]) -> Iterator[int]:
        for number, made in enumerate(self.made):
            check()
            made.set()
            yield number


def no_thread_is_left() -> bool:
    return not [one for one in threading.enumerate() if one.name.startswith("look")]


def test_one_is_made_while_the_one_before_is_used() -> None:
    steps = Steps(4)
    with one_ahead(steps) as items:
        given = []
        for number in items:
            given.append(number)
            if number < 3:
                assert steps.made[number + 1].wait(PATIENCE)
            assert not any(one.is_set() for one in steps.made[number + 2 :]), "one, no more"
    assert given == [0, 1, 2, 3]
    assert no_thread_is_left()


def test_what_is_raised_in_making_one_comes_in_its_place() -> None:
    broken = MediaError("The film is broken.")

    def make(check: Callable[[], None]) -> Iterator[int]:
        yield 1
        raise broken

    given = []
    with pytest.raises(MediaError) as caught, one_ahead(make) as items:
        given.extend(items)
    assert caught.value is broken
    assert given == [1]
    assert no_thread_is_left()


def test_whoever_stops_ends_the_thread() -> None:
    looking, ended = threading.Event(), threading.Event()

    def make(check: Callable[[], None]) -> Iterator[int]:
        yield 1
        looking.set()
        try:
            while True:
                check()
        finally:
            ended.set()

    def work() -> None:
        with one_ahead(make) as items:
            next(items)
            assert looking.wait(PATIENCE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert ended.is_set()
    assert no_thread_is_left()


@pytest.fixture(scope="module")
def toolbox() -> Toolbox:
    return open_toolbox(RuntimeSettings())


@pytest.fixture
def recipe(scanned: Scanned, toolbox: Toolbox, tmp_path: Path) -> FilmRecipe:
    (tmp_path / "work").mkdir()
    with Project.open(scanned.project) as project:
        return prepare(
            project,
            tmp_path / "out.mkv",
            tmp_path / "work",
            lambda: toolbox,
            settings=SETTINGS,
            encoder=LOSSLESS,
        )


@pytest.fixture
def looks(monkeypatch) -> dict[int, threading.Event]:
    """Return an event per segment's first frame, set when it was looked at."""
    events: dict[int, threading.Event] = {}
    really = local.look

    def look(recipe, toolbox, frames, first, stop, **others):
        looked = really(recipe, toolbox, frames, first, stop, **others)
        events[first].set()
        return looked

    monkeypatch.setattr(local, "look", look)
    return events


def test_a_render_looks_ahead_and_makes_the_same(recipe, toolbox, looks, tmp_path) -> None:
    segments = recipe.segments
    assert len(segments) >= 4
    looks.update({one.first: threading.Event() for one in segments})
    wrong: list[int] = []

    def progress(frames: int) -> None:
        now = next(at for at, one in enumerate(segments) if frames <= one.stop)
        soon = [looks[one.first] for one in segments[now + 1 : now + 2]]
        later = [looks[one.first] for one in segments[now + 2 :]]
        if not all(one.wait(PATIENCE) for one in soon) or any(one.is_set() for one in later):
            wrong.append(frames)

    folder = SegmentFolder(tmp_path / "work", "ahead")
    records = list(Local(toolbox, folder, progress, ahead=True)(recipe, segments))
    assert not wrong, "the next segment is looked at, and no other"

    (tmp_path / "alone").mkdir()
    alone = SegmentFolder(tmp_path / "alone", "alone")
    faces = 0
    for segment, record in list(zip(segments, records, strict=True))[1::2]:
        same = render_segment(recipe, toolbox, segment, alone)
        assert alone.video(segment).read_bytes() == folder.video(segment).read_bytes()
        assert alone.record(segment).read_bytes() == folder.record(segment).read_bytes()
        assert same.faces == record.faces
        faces += same.faces
    assert faces


def test_a_render_that_is_stopped_goes_on_with_the_same(recipe, toolbox, looks, tmp_path) -> None:
    segments = recipe.segments[:3]
    looks.update({one.first: threading.Event() for one in segments})
    folder = SegmentFolder(tmp_path / "work", "stopped")
    stopped = RuntimeError("stopped")

    def stop(frames: int) -> None:
        if frames > len(segments[0]):
            raise stopped

    with pytest.raises(RuntimeError) as caught:
        list(Local(toolbox, folder, stop, ahead=True)(recipe, segments))
    assert caught.value is stopped
    assert no_thread_is_left()
    assert folder.finished(segments[0])
    assert not any(folder.finished(one) for one in segments[1:])
    kept = folder.video(segments[0]).read_bytes()

    for one in looks.values():
        one.clear()
    records = list(Local(toolbox, folder, ahead=True)(recipe, segments))
    assert not looks[segments[0].first].is_set(), "what is there is not looked at"
    assert [record.frames for record in records] == [len(one) for one in segments]
    assert folder.video(segments[0]).read_bytes() == kept


def test_a_look_that_fails_leaves_what_is_painted(recipe, toolbox, monkeypatch, tmp_path) -> None:
    really, broken = local.look, MediaError("The film is broken.")
    segments = recipe.segments

    def look(recipe, toolbox, frames, first, stop, **others):
        if first == segments[1].first:
            raise broken
        return really(recipe, toolbox, frames, first, stop, **others)

    monkeypatch.setattr(local, "look", look)
    folder = SegmentFolder(tmp_path / "work", "broken")
    made: list[SegmentRecord] = []
    with pytest.raises(MediaError) as caught:
        made.extend(Local(toolbox, folder, ahead=True)(recipe, segments))
    assert caught.value is broken
    assert no_thread_is_left()
    assert folder.finished(segments[0])


def test_networks_heed_who_gives_up(toolbox) -> None:
    done: list[int] = []

    def check() -> None:
        if len(done) >= 2:
            raise KeyError("enough")

    heeding = toolbox.restorer.heeding(check)
    with pytest.raises(KeyError, match="enough"):
        heeding.each(done.append, range(100))
    assert len(done) < 100
    toolbox.restorer.each(done.append, range(3))


def test_a_gpu_looks_ahead_unless_told_otherwise(recipe, toolbox, monkeypatch, tmp_path) -> None:
    used: list[str] = []
    really = local.one_ahead

    def one_ahead(make):
        used.append(device)
        return really(make)

    monkeypatch.setattr(local, "one_ahead", one_ahead)
    folder = SegmentFolder(tmp_path / "work", "default")
    for device in ("cpu", "cuda"):
        restorer = copy(toolbox.restorer)
        restorer.device = torch.device(device)
        own = replace(toolbox, restorer=restorer)
        assert list(Local(own, folder)(recipe, [])) == []
    assert used == ["cuda"]
