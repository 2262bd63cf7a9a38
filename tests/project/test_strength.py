"""How far a person is restored: said, replayed, merged, kept over scans, in the sheet."""

from __future__ import annotations

import math

import pytest

from refrestore.config import ScanSettings
from refrestore.errors import ProjectError
from refrestore.project import Project
from refrestore.project.review_apply import apply_sheet
from refrestore.project.review_sheet import write_sheet
from refrestore.types import Shot

SPANS = {1: (0, 50, 100.0), 2: (60, 110, 100.0), 3: (120, 170, 300.0)}


@pytest.fixture
def people(project, make):
    make.scan(project, SPANS, [[1], [2], [3]])
    return project


def strengths(project):
    return {one.id: one.strength for one in project.identities()}


def test_it_is_full_until_something_is_said(people):
    assert strengths(people) == {1: 1.0, 2: 1.0, 3: 1.0}
    people.set_strength(1, 0.6)
    people.set_strength(2, 0)
    assert strengths(people) == {1: 0.6, 2: 0.0, 3: 1.0}
    people.undo()
    assert strengths(people) == {1: 0.6, 2: 1.0, 3: 1.0}
    people.redo()
    people.set_strength(1, 1)
    assert strengths(people) == {1: 1.0, 2: 0.0, 3: 1.0}


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_what_is_no_strength_is_refused(people, value):
    with pytest.raises(ProjectError, match="from 0 to 1"):
        people.set_strength(1, value)
    with pytest.raises(ProjectError, match="no identity 9"):
        people.set_strength(9, 0.5)
    assert people.edits() == []


def test_a_merge_keeps_the_first_one_s(people):
    people.set_strength(1, 0.3)
    people.set_strength(2, 0.7)
    people.merge([2, 1])
    assert strengths(people) == {2: 0.7, 3: 1.0}


def test_other_words_leave_it(people):
    people.set_strength(1, 0.3)
    people.rename(1, "Anna")
    people.set_state(1, "ignore")
    people.set_state(1, "restore")
    people.link_profile(1, "Anna")
    people.move_tracks([2], 1)
    assert strengths(people)[1] == 0.3


def test_it_is_kept_when_another_scan_cuts_the_person_in_pieces(people, make):
    people.set_strength(1, 0.3)
    with people.begin_scan(ScanSettings()) as writer:
        writer.add_shot(Shot(0, 0, 1000, people.video.start))
        for number, first, stop in ((7, 0, 20), (8, 25, 50), (9, 120, 170)):
            left = 300.0 if number == 9 else 100.0
            writer.add_track(
                make.track(number, first, stop), make.faces(first, stop, left, seed=number)
            )
        writer.set_identities([[7], [8], [9]])
    holders = people.identity_of_track()
    found = strengths(people)
    assert found[holders[7]] == found[holders[8]] == 0.3
    assert found[holders[9]] == 1.0


def test_a_sheet_says_and_changes_it(people, tmp_path):
    people.set_strength(1, 0.3)
    sheet = tmp_path / "sheet.yaml"
    write_sheet(people, sheet)
    text = sheet.read_text()
    assert "strength: 0.3" in text
    assert apply_sheet(people, sheet) == []
    sheet.write_text(text.replace("strength: 0.3", "strength: 0.5", 1))
    apply_sheet(people, sheet)
    assert strengths(people)[1] == 0.5


def test_a_sheet_that_does_not_say_it_leaves_it(people, tmp_path):
    people.set_strength(1, 0.3)
    sheet = tmp_path / "sheet.yaml"
    write_sheet(people, sheet)
    text = sheet.read_text().replace("strength: 0.3, ", "").replace("  strength: 0.3\n", "")
    assert "strength: 0.3" not in text
    sheet.write_text(text)
    apply_sheet(people, sheet)
    assert strengths(people)[1] == 0.3


def test_what_would_be_undone_and_redone_is_known(people):
    assert people.undoable() == people.redoable() == []
    people.rename(1, "Anna")
    with people.together():
        people.rename(2, "Bo")
        people.set_strength(2, 0.5)
    assert [one.action for one in people.undoable()] == ["strength", "rename"]
    people.undo()
    assert [one.action for one in people.redoable()] == ["rename", "strength"]
    assert [one.value for one in people.undoable()] == ["Anna"]
    people.rename(3, "Cy")
    assert people.redoable() == []
    people.undo()
    assert [one.value for one in people.redoable()] == ["Cy"]


def rolled_back(project):
    with project.together():
        project.rename(1, "Anna")
        project.set_strength(1, 0.5)
        assert len(project.edits()) == 2
        project.rename(9, "Cy")


def test_numbers_that_were_rolled_back_and_given_to_another_process_are_read_again(people):
    with pytest.raises(ProjectError, match="no identity 9"):
        rolled_back(people)
    with Project.open(people.folder) as other:
        other.rename(2, "Bo")
        other.set_strength(2, 0.25)
    assert [one.value for one in people.edits()] == ["Bo", "0.25"]
    assert strengths(people) == {1: 1.0, 2: 0.25, 3: 1.0}
    assert people.identity(1).name == "person 1"
