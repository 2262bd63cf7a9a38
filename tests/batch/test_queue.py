"""The queue's file: turns, claims, what is refused."""

from __future__ import annotations

import sqlite3
import stat
import sys
from collections import Counter

import pytest

from refrestore.batch.order import FilmToAdd, Order
from refrestore.batch.queue import Queue
from refrestore.batch.queued_film import STATES
from refrestore.errors import BatchError, DiskError, UsageError
from tests.batch.tiny import entries

ALL = ("scan", "render")


def test_films_take_turns_by_priority_and_then_by_age(filled, tmp_path) -> None:
    queue = filled(2)
    queue.add(entries(tmp_path, 1, first=2), Order(tmp_path / "out", {}, priority=5))
    with queue.runner() as number:
        turns = [queue.claim(number, ALL) for _ in range(3)]
        assert [film.name for film in turns] == ["0002.mp4", "0000.mp4", "0001.mp4"]
        assert queue.claim(number, ALL) is None
        assert queue.counts() == {"scanning": 3}
        queue.advance(turns[0], "review", people=[{"name": "Anna"}])
        assert queue.claim(number, ALL) is None
        assert queue.film(3).people == ({"name": "Anna"},)
        queue.confirm([turns[0]])
        assert queue.claim(number, ALL).name == "0002.mp4"
        assert queue.film(3).state == "rendering"


def test_adding_again_changes_nothing(filled, tmp_path) -> None:
    queue = filled(3)
    with queue.runner() as number:
        queue.advance(queue.claim(number, ALL), "done", result={"frames": 1})
    added, known = queue.add(entries(tmp_path, 4), Order(tmp_path / "out", {"scale": 2}))
    assert [film.name for film in added] == ["0003.mp4"]
    assert len(known) == 3
    assert queue.film(1).state == "done"
    assert queue.film(1).values == {}
    assert queue.film(4).asked.render.scale == 2


def test_two_films_with_one_output_are_refused_and_none_is_added(filled, tmp_path) -> None:
    queue = filled(1)
    other = FilmToAdd(tmp_path / "a" / "0000.avi", tmp_path / "out" / "0000.mkv", tmp_path / "p")
    fresh = entries(tmp_path, 1, first=7)
    with pytest.raises(BatchError, match=r"0000\.avi and .*0000\.mp4 would both be written to"):
        queue.add([*fresh, other], Order(tmp_path / "out", {}))
    assert len(queue.films()) == 1


def test_a_claim_ends_with_its_runner(filled) -> None:
    queue = filled(2)
    with queue.runner() as one:
        film = queue.claim(one, ALL)
        with Queue(queue.path) as second, second.runner() as two:
            assert two != one
            assert second.claim(two, ALL).id != film.id
            assert second.claim(two, ALL) is None
            with pytest.raises(BatchError, match="is being worked on"):
                second.remove([film])
    assert queue.counts() == {"waiting": 2}
    assert not list(queue.path.parent.glob("*.lock"))


def test_what_failed_waits_for_a_retry(filled) -> None:
    queue = filled(2)
    with queue.runner() as number:
        queue.fail(queue.claim(number, ALL), "It is no video.")
        assert queue.claim(number, ALL).id == 2
    assert queue.film(1).state == "failed"
    with pytest.raises(BatchError, match=r"0001\.mp4 has not failed"):
        queue.retry([queue.film(2)])
    assert [film.id for film in queue.retry()] == [1]
    assert queue.film(1).state == "waiting"
    assert queue.retry() == []


def test_what_is_not_to_be_reviewed_cannot_be_confirmed(filled) -> None:
    with pytest.raises(BatchError, match="does not wait for a review: it is still to be scanned"):
        (queue := filled(1)).confirm(queue.films())


def test_states_are_one_in_the_file_and_out_of_it(filled) -> None:
    queue = filled(14)
    connection = sqlite3.connect(queue.path)
    rows = [(step, runner) for step in ("scan", "review", "render", "done") for runner in (None, 3)]
    for number, (step, runner) in enumerate(rows):
        connection.execute(
            "UPDATE films SET step = ?, runner = ? WHERE id = ?", (step, runner, number + 1)
        )
    connection.execute("UPDATE films SET failure = 'No.' WHERE id > 12")
    connection.commit()
    connection.close()
    films = queue.films()
    states = Counter(film.state for film in films)
    assert queue.counts() == states
    assert set(states) == set(STATES)
    for state in STATES:
        assert queue.films(state) == [film for film in films if film.state == state]
    order = [film.state for film in queue.wanting(12)]
    assert order[:3] == ["review", "failed", "failed"]
    assert set(order[3:6]) == {"scanning", "rendering"}
    assert order[-1] == "waiting"
    assert [film.id for film in queue.wanting(1, "done")] == [7]
    assert queue.videos() == {film.video for film in films}


def test_films_are_found_by_number_and_by_video(filled, tmp_path, monkeypatch) -> None:
    queue = filled(3)
    monkeypatch.chdir(tmp_path)
    named = queue.find(["2", str(tmp_path / "0002.mp4"), "0000.mp4"])
    assert [film.id for film in named] == [2, 3, 1]
    with pytest.raises(BatchError, match=r"There is no film 9 in films\.queue"):
        queue.find(["9"])
    queue.remove(named)
    assert queue.films() == []


def test_the_queue_is_its_owners(filled) -> None:
    path = filled(1).path
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_folders_are_remembered(filled, tmp_path) -> None:
    queue, order = filled(0), Order(tmp_path / "out", {"codec": "ffv1"}, 3)
    queue.watch(tmp_path / "tapes", order)
    assert queue.folders() == {tmp_path / "tapes": order}


def test_queues_that_are_none(tmp_path) -> None:
    path = tmp_path / "films.queue"
    with pytest.raises(BatchError, match="There is no queue"):
        Queue(path)
    with pytest.raises(BatchError, match="it is a folder"):
        Queue(tmp_path)
    path.write_bytes(b"no database" * 100)
    for make in (False, True):
        with pytest.raises(BatchError, match="is not a queue of refrestore"):
            Queue(path, make=make)
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE films (id)")
    other.close()
    for make in (False, True):
        with pytest.raises(BatchError, match="is not a queue of refrestore"):
            Queue(path, make=make)
    with pytest.raises(DiskError, match="Cannot write"):
        Queue(tmp_path / "no" / "films.queue", make=True)


def test_a_newer_queue(filled) -> None:
    queue = filled(1)
    connection = sqlite3.connect(queue.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for make in (False, True):
        with pytest.raises(BatchError, match=r"newer refrestore \(schema 99.*update"):
            Queue(queue.path, make=make)


def test_a_damaged_row_and_an_option_of_another_version(filled) -> None:
    queue = filled(2)
    connection = sqlite3.connect(queue.path)
    connection.execute("UPDATE films SET options = '{\"sharpen\": 3}' WHERE id = 1")
    connection.execute("UPDATE films SET people = 'x' WHERE id = 2")
    connection.commit()
    connection.close()
    with pytest.raises(UsageError, match=r"asked for 0000\.mp4 has 'sharpen'"):
        queue.film(1).asked  # noqa: B018
    with pytest.raises(BatchError, match="is damaged"):
        queue.film(2)
