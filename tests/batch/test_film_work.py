"""What is done with a film: who is learnt, what a report says. The whole job: tests/cli."""

from __future__ import annotations

import json

import numpy as np
import pytest

from refrestore.batch.film_work import FilmWork, people_of
from refrestore.batch.queued_film import QueuedFilm
from refrestore.config import RuntimeSettings
from refrestore.project import Project
from tests.review.conftest import made_up


@pytest.fixture
def film(tmp_path) -> QueuedFilm:
    project = made_up(tmp_path / "tape.mkv.refrestore", blurred=(3,))
    return QueuedFilm(1, tmp_path / "tape.avi", tmp_path / "tape.mkv", project, {}, 0, "render")


@pytest.fixture
def work(tmp_path) -> FilmWork:
    return FilmWork(RuntimeSettings(profiles_dir=tmp_path / "profiles", device="cpu"), True)


def test_people_who_are_clear_become_profiles_and_are_linked(film, work) -> None:
    said: list[str] = []
    with Project.open(film.project) as project:
        project.rename(1, "Anna")
        project.set_state(3, "ignore")
        work._learn(project, film, said.append)
        linked = {one.id: one.profile for one in project.identities()}
    assert linked == {1: "Anna", 2: "person 2 of tape", 3: None, 4: None}
    assert work.store.list() == ["Anna", "person 2 of tape"]
    assert said == []
    before = {name: work.store.load(name) for name in work.store.list()}

    # As if the process had been killed between the profile and the link.
    with Project.open(film.project) as project:
        project.link_profile(2, None)
        work._learn(project, film, said.append)
        assert project.identity(2).profile == "person 2 of tape"
    assert said == []
    for name, profile in before.items():
        assert len(work.store.load(name).references) == len(profile.references)


def test_who_was_learnt_is_recognised_in_the_next_film(film, work, tmp_path) -> None:
    with Project.open(film.project) as project:
        project.rename(1, "Anna")
        for number in (2, 3):
            project.set_state(number, "ignore")
        work._learn(project, film, print)
    with Project.open(made_up(tmp_path / "next.mkv.refrestore")) as project:
        work._recognise(project)
        assert {one.id: one.profile for one in project.identities()} == {
            1: "Anna", 2: None, 3: None, 4: None
        }  # fmt: skip


def test_somebody_else_of_the_name_teaches_nothing_and_is_not_linked(film, work) -> None:
    said: list[str] = []
    with Project.open(film.project) as project:
        project.rename(1, "Anna")
        for number in (2, 3):
            project.set_state(number, "ignore")
        work._learn(project, film, said.append)
        project.set_state(2, "restore")
        project.link_profile(1, None)
        project.rename(1, "")
        project.set_state(1, "ignore")
        project.rename(2, "Anna")
        before = work.store.load("Anna")
        work._learn(project, film, said.append)
        assert project.identity(2).profile is None
    (sentence,) = said
    assert sentence.startswith("Anna taught no profile. ")
    kept = work.store.load("Anna")
    assert np.array_equal(kept.embeddings, before.embeddings)


def test_a_report_is_the_trace_of_a_render_and_says_what_it_made(film, work) -> None:
    assert work.trace(film) == ""
    person = {
        "id": 1, "name": "Anna", "profile": None, "state": "restore", "seconds": 2.0, "faces": 50,
        "restored_faces": 40, "unreferenced_faces": 3, "references": [],
    }  # fmt: skip
    nobody = {**person, "id": 2, "state": "not_a_face"}
    summary = {
        "frames": 60, "faces": 40, "unreferenced": 3, "unseen": 0, "wall_seconds": 1.5,
        "notes": ["Sound is cut."], "identities": [person, nobody], "pack": "lite",
    }  # fmt: skip
    report = film.output.with_name("tape.report.json")
    report.write_text(json.dumps(summary))
    first = work.trace(film)
    assert first
    done = work.made(film)
    assert [one["name"] for one in done.people] == ["Anna"]
    assert done.people[0]["restored_faces"] == 40
    assert done.result["report"] == str(report)
    assert done.result["notes"] == ["Sound is cut."]
    report.write_text(json.dumps({**summary, "frames": 61}) + " ")
    assert work.trace(film) != first


def test_who_is_no_face_is_nobody(film) -> None:
    with Project.open(film.project) as project:
        project.set_state(2, "not_a_face")
        assert {one["id"] for one in people_of(project)} == {1, 3, 4}
