"""Working a queue off: each film once, whatever ends the process; failures are a film's own."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refrestore.batch import runner as runners
from refrestore.batch.runner import Runner
from refrestore.errors import BatchError, Stopped, kept_notes
from tests.batch.tiny import Silent, Tiny, work_off

FILMS, A_CRASH_EVERY = 500, 20


@pytest.fixture(scope="module")
def processes():
    """Return a maker of processes that have imported what they need before they begin."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["refrestore.batch.runner", work_off.__module__])
    return context


def made(folder: Path) -> int:
    return sum(name.endswith(".mp4") and not name.startswith(".") for name in os.listdir(folder))


def test_500_films_and_a_crash_every_20(filled, tmp_path, processes) -> None:
    queue, chance = filled(FILMS), random.Random(5)
    kills, out = 0, tmp_path / "out"
    while True:
        child = processes.Process(target=work_off, args=(str(queue.path),))
        before = made(out)
        child.start()
        while child.is_alive() and made(out) < before + A_CRASH_EVERY:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.01))  # anywhere in the next film or two
        child.kill()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        kills += 1
    assert kills >= FILMS // A_CRASH_EVERY // 2
    assert queue.counts() == {"done": FILMS}
    assert made(out) == FILMS
    assert not (tmp_path / "twice").exists()
    assert all(film.people and film.result for film in queue.films())


def test_two_runners_share_a_queue(filled, tmp_path, processes) -> None:
    queue = filled(80)
    children = [processes.Process(target=work_off, args=(str(queue.path),)) for _ in range(3)]
    for child in children:
        child.start()
    while children[0].is_alive() and made(tmp_path / "out") < 20:
        time.sleep(0.001)
    children[0].kill()
    for child in children:
        child.join()
    work_off(str(queue.path))  # what the killed one had, if the others had ended before
    assert queue.counts() == {"done": 80}
    assert not (tmp_path / "twice").exists()


def test_a_film_that_fails_stops_no_other_and_the_end_says_so(filled, tmp_path) -> None:
    queue, watch = filled(3), Silent()
    with pytest.raises(BatchError, match=r"1 of 3 films failed\. 0001\.mp4: .* is no video\."):
        Runner(queue, Tiny(tmp_path, bad="0001.mp4"), watch, auto=True).run()
    assert queue.counts() == {"done": 2, "failed": 1}
    assert watch.notes == ["0001.mp4: 0001.mp4 is no video."]
    queue.retry()
    Runner(queue, Tiny(tmp_path), Silent(), auto=True).run()
    assert queue.counts() == {"done": 3}


def test_a_bug_is_a_films_own_too(filled, tmp_path, caplog) -> None:
    class Broken(Tiny):
        def render(self, film, progress, announce):
            raise ZeroDivisionError

    queue = filled(2)
    with pytest.raises(BatchError, match="Something went wrong in refrestore"):
        Runner(queue, Broken(tmp_path), Silent(), auto=True).run()
    assert queue.counts() == {"failed": 2}
    assert "ZeroDivisionError" in caplog.text


def test_without_auto_films_wait_for_a_review(filled, tmp_path) -> None:
    queue = filled(2)
    Runner(queue, Tiny(tmp_path), Silent()).run()
    assert queue.counts() == {"review": 2}
    queue.confirm([queue.film(2)])
    Runner(queue, Tiny(tmp_path), Silent()).run()
    assert [film.state for film in queue.films()] == ["review", "done"]
    Runner(queue, Tiny(tmp_path), Silent(), auto=True).run()
    assert queue.counts() == {"done": 2}


def test_a_stop_keeps_all_and_says_how_it_goes_on(filled, tmp_path) -> None:
    class Interrupted(Tiny):
        def render(self, film, progress, announce):
            progress("render", 1, 2)
            if film.id == 2:
                raise Stopped(signal.SIGINT)
            return super().render(film, progress, announce)

    queue = filled(3)
    settled = []
    with pytest.raises(Stopped) as caught:
        Runner(
            queue, Interrupted(tmp_path), Silent(), auto=True, settled=lambda: settled.append(1)
        ).run()
    assert [str(note) for note in kept_notes(caught.value)] == ["1 of 3 films are done"]
    assert all(note.goes_on for note in kept_notes(caught.value))
    assert [film.state for film in queue.films()] == ["done", "ready", "waiting"]
    assert settled == [1]
    Runner(queue, Tiny(tmp_path), Silent(), auto=True).run()
    assert queue.counts() == {"done": 3}
    assert not (tmp_path / "twice").exists()


def test_a_render_that_ended_before_it_was_noted_is_not_made_again(filled, tmp_path) -> None:
    class Killed(Tiny):
        def render(self, film, progress, announce):
            super().render(film, progress, announce)
            raise Stopped(signal.SIGKILL)

    queue = filled(1)
    with pytest.raises(Stopped):
        Runner(queue, Killed(tmp_path), Silent(), auto=True).run()
    assert queue.film(1).state == "ready"
    Runner(queue, Killed(tmp_path), Silent(), auto=True).run()
    assert queue.counts() == {"done": 1}
    assert not (tmp_path / "twice").exists()


def test_an_output_that_was_there_before_is_none_of_this_queue(filled, tmp_path) -> None:
    queue = filled(1)
    queue.film(1).output.write_text("an older one")
    Runner(queue, Tiny(tmp_path), Silent(), auto=True).run()
    assert (tmp_path / "twice").read_text() == "0000.mp4\n"


def test_the_command_runs_once_a_film_with_its_paths(filled, tmp_path) -> None:
    queue, watch, log = filled(2), Silent(), tmp_path / "log"
    code = (
        "import os, sys; open(sys.argv[1], 'a').write(os.environ['REFRESTORE_VIDEO'] + '|' + "
        "os.environ['REFRESTORE_OUTPUT'] + '|' + os.environ['REFRESTORE_REPORT'] + '\\n'); "
        "sys.exit('0001' in os.environ['REFRESTORE_VIDEO'] and 3)"
    )
    command = subprocess.list2cmdline([sys.executable, "-c", code, str(log)])
    if sys.platform != "win32":
        import shlex

        command = shlex.join([sys.executable, "-c", code, str(log)])
    Runner(queue, Tiny(tmp_path), watch, auto=True, on_done=command).run()
    lines = [line.split("|") for line in log.read_text().splitlines()]
    assert [Path(line[0]).name for line in lines] == ["0000.mp4", "0001.mp4"]
    assert [Path(line[1]).parent.name for line in lines] == ["out", "out"]
    assert lines[0][2] == "r.json"
    assert watch.notes == ["0001.mp4: --on-done ended with status 3."]
    assert queue.counts() == {"done": 2}


def test_a_command_that_a_kill_came_before_runs_the_next_time(filled, tmp_path) -> None:
    queue = filled(2)
    Runner(queue, Tiny(tmp_path), Silent(), auto=True).run()
    assert queue.owing() == []
    with queue.runner():
        queue.advance(queue.film(2), "done", owed=True)
    Runner(queue, Tiny(tmp_path), Silent(), on_done=f"echo x >> {tmp_path / 'log'}").run()
    assert (tmp_path / "log").read_text().split() == ["x"]
    assert queue.owing() == []


def test_a_watching_run_takes_what_comes(filled, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(runners, "IDLE_SECONDS", 0.0)
    queue, looks = filled(1), []

    def look() -> None:
        looks.append(queue.counts())
        if len(looks) == 1:
            queue.confirm(queue.films())
        if len(looks) == 3:
            raise Stopped(signal.SIGINT)

    settled = []
    with pytest.raises(Stopped):
        Runner(queue, Tiny(tmp_path), Silent(), look=look, settled=lambda: settled.append(1)).run()
    assert looks == [{"review": 1}, {"done": 1}, {"done": 1}]
    assert len(settled) == 3  # after the scan, after the render, at the end


def test_the_queue_tells_how_far_a_film_is(filled, tmp_path) -> None:
    seen = []

    class Looked(Tiny):
        def render(self, film, progress, announce):
            progress("render", 1, 2)
            seen.append(queue.film(film.id).said())
            return super().render(film, progress, announce)

    queue, watch = filled(1), Silent()
    Runner(queue, Looked(tmp_path), watch, auto=True).run()
    assert [(one["state"], one["stage"], one["done"], one["total"]) for one in seen] == [
        ("rendering", "render", 1, 2)
    ]
    assert watch.films == ["0000.mp4", "0000.mp4"]
    assert queue.film(1).said()["stage"] is None
