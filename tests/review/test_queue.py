"""A queue behind the page: its films, and each film's own project below `films/`."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

import refrestore.review.desk as desks
from refrestore.batch.order import FilmToAdd, Order
from refrestore.batch.queue import Queue
from refrestore.project import Project


@pytest.fixture
def films(tmp_path, make, serve):
    """Return the page of a queue of three films, two of them scanned, and the queue."""
    out = tmp_path / "out"
    entries = [
        FilmToAdd(tmp_path / f"{name}.mp4", out / f"{name}.mp4", out / f"{name}.mp4.refrestore")
        for name in ("a", "b", "c")
    ]
    make(entries[0].project)
    shutil.copytree(entries[0].project, entries[1].project)
    with Queue(tmp_path / "films.queue", make=True) as queue:
        queue.add(entries, Order(out, {}))
        with queue.runner() as number:
            people = [{"name": "Anna", "profile": None}] * 8
            for film in queue.films()[:2]:
                queue.claim(number, ("scan",))
                queue.advance(film, "review", people=people)
        yield serve(queue.path), queue


def test_films_are_listed_without_paths(films) -> None:
    page, _ = films
    said = page.get("queue")
    assert said["name"] == "films.queue"
    assert [(one["name"], one["state"]) for one in said["films"]] == [
        ("a.mp4", "review"), ("b.mp4", "review"), ("c.mp4", "waiting")
    ]  # fmt: skip
    assert said["counts"] == {"review": 2, "waiting": 1}
    only = page.get("queue?state=waiting")
    assert [one["name"] for one in only["films"]] == ["c.mp4"]
    assert (len(said["films"][0]["people"]), said["films"][0]["more_people"]) == (6, 2)
    assert "/" not in str(said).replace("a/b", "")
    assert 'src="js/queue.js"' in page.http.get("/").text


def test_each_film_has_its_own_project(films) -> None:
    page, queue = films
    a, b = (page.http.get(f"/films/{number}/api/identities").json() for number in (1, 2))
    edit = {"do": "rename", "identity": 1, "name": "Anna"}
    body = {"version": a["version"], "edits": [edit]}
    assert page.http.post("/films/1/api/edits", json=body).status_code == 200
    names = [
        page.http.get(f"/films/{number}/api/identities/1").json()["identity"]["name"]
        for number in (1, 2)
    ]
    assert names == ["Anna", "person 1"]
    with Project.open(queue.film(1).project) as project:
        assert project.identity(1).name == "Anna"
    cover = b["identities"][0]["cover"]
    assert cover.startswith("api/pictures/")
    assert page.http.get(f"/films/2/{cover}").headers["content-type"] == "image/jpeg"
    assert 'src="js/main.js"' in page.http.get("/films/2/").text
    assert page.http.get("/films/2/js/main.js").status_code == 200
    assert page.http.get("/films/2").headers["location"] == "/films/2/"
    assert page.http.get("/films/2/api/project").json()["queued"] == "review"


def test_a_film_is_confirmed_on_its_page_or_in_the_list(films) -> None:
    page, queue = films
    assert page.http.post("/films/1/api/confirm", json={}).json() == {"state": "ready"}
    assert page.post("queue/confirm", {"film": 2})["state"] == "ready"
    assert [film.state for film in queue.films()] == ["ready", "ready", "waiting"]
    again = page.post("queue/confirm", {"film": 2}, expect=400)
    assert again["error"] == "b.mp4 does not wait for a review: it is to be rendered."
    assert page.post("queue/retry", {"film": 1}, expect=400)["error"].startswith("a.mp4 has not")
    with queue.runner() as number:
        queue.fail(queue.claim(number, ("render",)), "No room.")
    assert page.get("queue")["films"][0]["sentence"] == "No room."
    assert page.post("queue/retry", {"film": 1})["state"] == "ready"


def test_what_is_not_there_yet(films) -> None:
    page, queue = films
    for path, words in (
        ("/films/3/api/project", "c.mp4 was not scanned yet"),
        ("/films/99/api/project", "There is no film 99"),
    ):
        answer = page.http.get(path)
        assert (answer.status_code, answer.json()["error"][: len(words)]) == (404, words)
    assert page.http.get("/films/3/").status_code == 404
    assert page.http.get("/films/x/").status_code == 404
    shutil.rmtree(queue.film(2).project)
    assert "There is no project" in page.http.get("/films/2/api/project").json()["error"]
    connection = sqlite3.connect(queue.path)
    connection.execute("UPDATE films SET people = 'x' WHERE id = 3")
    connection.commit()
    connection.close()
    assert "is damaged" in page.http.get("/api/queue").json()["error"]


@pytest.mark.parametrize(
    "path",
    ["/films/1/api/project", "/films/1/api/pictures/1/tracks/1.jpg", "/films/1%2Fapi/project",
     "/films/1/api", "/api/queue"],
)  # fmt: skip
def test_a_films_answers_are_for_who_is_let_in(films, path) -> None:
    page, _ = films
    with page.client() as stranger:
        del stranger.headers["cookie"]
        assert stranger.get(path).status_code == 401
        assert stranger.post("/films/1/api/confirm", json={}).status_code == 401
    answer = page.http.get("/films/1/api/project", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    known = page.http.get("/films/1/api/project")
    assert known.headers["cache-control"] == "no-store"
    assert known.headers["x-content-type-options"] == "nosniff"


def test_few_films_are_open_at_a_time(films, monkeypatch) -> None:
    page, _ = films
    monkeypatch.setattr(desks, "MOST_OPEN", 1)
    desk = page.page_state
    first = desk.page_state(1)
    assert desk.page_state(1) is first
    second = desk.page_state(2)
    assert desk.page_state(1) is not first
    assert second is not desk.page_state(2)
    assert page.http.get("/films/1/api/project").status_code == 200
