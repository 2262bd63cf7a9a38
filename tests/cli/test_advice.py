"""What `scan` says of people without close-ups."""

from __future__ import annotations

from pathlib import Path

from refrestore.cli.advice import as_json, read_wanted, tell_wanted
from refrestore.project import Project
from refrestore.types import Identity
from tests.review.conftest import made_up

SENTENCE = "No close-up resolves more."


def person(number):
    return Identity(number, f"person {number}", "restore", (number,), 1.0, 25, 0)


def test_those_seen_longest_are_told_of_and_where_photos_go(capsys):
    tell_wanted([(person(number), SENTENCE) for number in range(2, 9)], Path("film.project"))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "person 2: no close-up resolves more."
    assert len(said) == 7
    assert said[5] == "So it is with 2 more people, who are seen less."
    assert "refrestore identities link 2 NAME -p film.project" in said[6]
    tell_wanted([], Path("film.project"))
    assert capsys.readouterr().out == ""


def test_a_project_is_asked_who_needs_photos(tmp_path):
    folder = made_up(tmp_path / "project")
    assert as_json(read_wanted(folder)) == []
    with Project.open(folder) as project:
        project.drop_close_ups([one.id for one in project.close_ups(2)])
    (entry,) = as_json(read_wanted(folder))
    assert entry["identity"] == 2
    assert "add 3 to 5 sharp photos" in entry["sentence"]
