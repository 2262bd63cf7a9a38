"""Edits through a real project: logged, undone, kept over another scan."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refrestore.config import ScanSettings
from refrestore.errors import ProjectError
from refrestore.project import Project

# Anna left (1, 3), Bert right (2, 4), somebody else (5); Anna and Bert meet in 100..199.
SPANS = {
    1: (0, 200, 100.0),
    2: (100, 300, 400.0),
    3: (400, 500, 100.0),
    4: (500, 600, 400.0),
    5: (700, 800, 250.0),
}
GROUPS = [[1], [2, 4], [3], [5]]
"""Identities 1, 2, 3 (Anna again) and 4."""


def tracks(project):
    return {one.id: one.tracks for one in project.identities()}


@pytest.fixture
def scanned(project, make):
    make.scan(project, SPANS, GROUPS)
    return project


def test_each_edit(scanned):
    assert scanned.merge([1, 3]) == 1
    assert tracks(scanned) == {1: (1, 3), 2: (2, 4), 4: (5,)}
    assert scanned.split(2, [4]) == 5
    assert tracks(scanned) == {1: (1, 3), 2: (2,), 4: (5,), 5: (4,)}
    scanned.move_tracks([5], 5)
    assert tracks(scanned) == {1: (1, 3), 2: (2,), 5: (4, 5)}
    scanned.rename(1, "  Anna \n Müller ")
    scanned.set_state(5, "not_a_face")
    scanned.link_profile(1, "anna")
    anna = scanned.identity(1)
    assert (anna.name, anna.state, anna.profile, anna.faces) == (
        "Anna Müller", "restore", "anna", 300,
    )  # fmt: skip
    assert scanned.identity(5).state == "not_a_face"
    assert [one.action for one in scanned.edits()] == [
        "merge", "split", "move", "rename", "state", "link",
    ]  # fmt: skip
    assert scanned.unresolved() == []


def test_a_track_of_nobody_can_be_given_to_somebody(project, make):
    make.scan(project, SPANS, [[1], [2]])
    project.move_tracks([3], 1)
    assert tracks(project) == {1: (1, 3), 2: (2,)}
    with pytest.raises(ProjectError, match="belong to identity 1 already"):
        project.move_tracks([3], 1)


def test_people_who_meet_are_not_one(scanned):
    with pytest.raises(
        ProjectError, match=r"person 1 \(1\) and person 2 \(2\) are both .* frame 100 \(4\.000 s\)"
    ):
        scanned.merge([1, 2])
    with pytest.raises(ProjectError, match=r"both on screen in frame 100 \(4\.000 s\)"):
        scanned.move_tracks([2], 1)
    assert scanned.edits() == []
    assert scanned.merge([1, 2], force=True) == 1
    assert tracks(scanned)[1] == (1, 2, 4)


def test_people_who_take_turns_may_be_one(project, make):
    gap = make.faces(0, 30)
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_track(make.track(1, 0, 30), gap[[0, 1, 2, 20, 21, 29]])
        writer.add_track(make.track(2, 5, 15), make.faces(5, 15))
        writer.set_identities([[1], [2]])
    assert project.merge([1, 2]) == 1


def test_two_tracks_on_one_face_are_not_two_people(project, make):
    make.scan(project, {1: (0, 50, 100.0), 2: (40, 90, 112.0), 3: (40, 90, 135.0)}, [[1], [2], [3]])
    with pytest.raises(ProjectError, match="both on screen in frame 40"):
        project.merge([1, 3])  # 40 px wide, 35 px away
    assert project.merge([1, 2]) == 1


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda p: p.merge([1]), "two identities or more"),
        (lambda p: p.merge([1, 1]), "two identities or more"),
        (lambda p: p.merge([1, 77]), r"no identity 77 in this project \(it has: 1, 2, 3, 4\)"),
        (lambda p: p.split(2, []), "at least one track"),
        (lambda p: p.split(2, [2, 4]), "leave identity 2 at least one"),
        (lambda p: p.split(2, [1]), r"Track 1 does not belong to identity 2 .*2, 4"),
        (lambda p: p.split(2, [99]), "no track 99"),
        (lambda p: p.rename(1, "x" * 200), "up to 120 printable"),
        (lambda p: p.rename(1, "a\x00b"), "printable"),
        (lambda p: p.set_state(1, "gone"), "is no state: choose restore, ignore, not_a_face"),
        (lambda p: p.move_tracks([1], 9), "no identity 9"),
    ],
)
def test_refusals_change_nothing(scanned, act, words):
    before = scanned.identities()
    with pytest.raises(ProjectError, match=words):
        act(scanned)
    assert scanned.edits() == []
    assert scanned.identities() == before


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_undo_and_redo_return_exactly_the_former_states(scanned, data):
    while scanned.undo():
        pass
    scanned.rename(1, "Anna")  # a new edit: nothing of the example before can be redone
    states = [scanned.identities()]
    for _ in range(data.draw(st.integers(1, 5))):
        ids = [one.id for one in states[-1]]
        one = data.draw(st.sampled_from(states[-1]))
        kind = data.draw(st.sampled_from(["merge", "split", "rename", "state"]))
        if kind == "merge" and len(ids) > 1:
            pair = data.draw(st.lists(st.sampled_from(ids), min_size=2, max_size=2, unique=True))
            scanned.merge(pair, force=True)
        elif kind == "split" and len(one.tracks) > 1:
            scanned.split(one.id, one.tracks[:1])
        elif kind == "rename":
            scanned.rename(one.id, data.draw(st.sampled_from(["Anna", "Bert", ""])))
        elif kind == "state":
            scanned.set_state(one.id, data.draw(st.sampled_from(["restore", "ignore"])))
        else:
            continue
        states.append(scanned.identities())
    for state in reversed(states[:-1]):
        assert len(scanned.undo()) == 1
        assert scanned.identities() == state
    for state in states[1:]:
        assert len(scanned.redo()) == 1
        assert scanned.identities() == state
    assert scanned.redo() == []


def test_undo_says_what_it_undid_and_when_there_is_nothing(scanned):
    assert scanned.undo() == []
    scanned.rename(1, "Anna")
    scanned.rename(1, "Berta")
    assert [one.value for one in scanned.undo()] == ["Berta"]
    assert scanned.identity(1).name == "Anna"
    assert [one.undone for one in scanned.edits()] == [False, True]
    scanned.set_state(1, "ignore")
    assert scanned.redo() == []
    assert [one.action for one in scanned.undo()] == ["state"]
    assert [one.value for one in scanned.undo()] == ["Anna"]
    assert scanned.identity(1).name == "person 1"


def test_the_log_can_only_grow(scanned):
    scanned.rename(1, "Anna")
    scanned.undo()
    connection = sqlite3.connect(scanned.database.path)
    for statement in ("DELETE FROM log", "UPDATE log SET payload = '{}'"):
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            connection.execute(statement)
    assert connection.execute("SELECT action FROM log").fetchall() == [("rename",), ("undo",)]
    connection.close()


def test_edits_survive_closing(scanned):
    scanned.merge([1, 3])
    scanned.close()
    with Project.open(scanned.folder) as again:
        assert tracks(again)[1] == (1, 3)
        again.undo()
        assert tracks(again)[1] == (1,)


# --- several edits as one -----------------------------------------------------------------------


def test_what_is_done_together_is_undone_together(scanned):
    scanned.rename(1, "Anna")
    scanned.set_states([2, 3], "ignore")
    assert [one.value for one in scanned.undo()] == ["ignore", "ignore"]
    assert {one.state for one in scanned.identities()} == {"restore"}
    assert scanned.identity(1).name == "Anna"
    assert [one.subject for one in scanned.redo()] == [2, 3]
    assert scanned.identity(3).state == "ignore"
    first, *others = scanned.edits()
    assert first.group is None
    assert len({one.group for one in others}) == 1


def test_groups_one_after_another_are_two(scanned):
    scanned.set_states([1, 2], "ignore")
    scanned.set_states([1, 2], "restore")
    assert len(scanned.undo()) == 2
    assert scanned.identity(1).state == "ignore"


def test_a_group_that_fails_leaves_no_trace_even_of_its_numbers(scanned):
    """Numbers of edits that were rolled back are given again, to edits that say other things."""

    def fail():
        with scanned.together():
            scanned.merge([1, 3])
            assert tracks(scanned)[1] == (1, 3)
            scanned.rename(77, "Nobody")

    with pytest.raises(ProjectError, match="no identity 77"):
        fail()
    assert scanned.edits() == []
    assert tracks(scanned) == {1: (1,), 2: (2, 4), 3: (3,), 4: (5,)}
    scanned.rename(4, "The poster")
    assert tracks(scanned) == {1: (1,), 2: (2, 4), 3: (3,), 4: (5,)}
    assert scanned.identity(4).name == "The poster"


# --- what a reviewer says -----------------------------------------------------------------------


def test_tracks_of_anybody_become_somebody_new(scanned):
    fresh = scanned.separate([3, 4])
    assert fresh == 5
    assert tracks(scanned) == {1: (1,), 2: (2,), 4: (5,), 5: (3, 4)}
    scanned.undo()
    assert tracks(scanned) == {1: (1,), 2: (2, 4), 3: (3,), 4: (5,)}
    with pytest.raises(ProjectError, match="both on screen in frame 100"):
        scanned.separate([1, 2])
    with pytest.raises(ProjectError, match="are all of identity 2 already"):
        scanned.separate([4, 2])
    assert scanned.separate([1, 2], force=True) == 6


def test_single_tracks_are_no_faces(scanned):
    assert scanned.not_faces([4]) == [5]
    assert (scanned.identity(5).tracks, scanned.identity(5).state) == ((4,), "not_a_face")
    assert scanned.identity(2).state == "restore"
    assert len(scanned.undo()) == 2
    assert tracks(scanned)[2] == (2, 4)
    assert scanned.not_faces([5, 2]) == [4, 6]  # all of one person, and a part of another
    assert {one.id for one in scanned.identities() if one.state == "not_a_face"} == {4, 6}


def test_people_told_apart_are_merged_only_by_force(scanned):
    scanned.tell_apart([3, 1])
    with pytest.raises(ProjectError, match="You said that 1 and 3 are two people"):
        scanned.merge([1, 3])
    with pytest.raises(ProjectError, match="said before"):
        scanned.tell_apart([1, 3])
    with pytest.raises(ProjectError, match="two identities or more"):
        scanned.tell_apart([1, 1])
    assert scanned.merge([1, 3], force=True) == 1
    assert scanned.distinct() == frozenset()
    scanned.undo()
    assert scanned.distinct() == {(1, 3)}


def test_keeping_a_track_needs_others_it_belongs_to(scanned):
    scanned.keep_tracks([4])
    assert scanned.settled_tracks() == {4}
    assert tracks(scanned)[2] == (2, 4)
    with pytest.raises(ProjectError, match="no other tracks that 5 could belong to"):
        scanned.keep_tracks([4, 5])
    assert len(scanned.edits()) == 1


def test_a_reviewers_words_survive_another_scan(scanned, make):
    scanned.keep_tracks([4])
    scanned.tell_apart([1, 3])
    other = scanned.not_faces([5])
    # Anna's two are one person now, Bert's second track is counted to the poster.
    make.scan(
        scanned,
        {
            31: (0, 205, 96.0),
            32: (100, 290, 405.0),
            33: (402, 500, 100.0),
            34: (500, 600, 398.0),
            35: (700, 800, 252.0),
        },
        [[31, 33], [32], [34, 35]],
    )
    assert tracks(scanned) == {1: (31,), 2: (32, 34), 3: (33,), 4: (35,)}
    assert scanned.identity(other[0]).state == "not_a_face"
    assert scanned.distinct() == {(1, 3)}
    assert scanned.settled_tracks() == {34}
    assert scanned.unresolved() == []
    while scanned.undo():
        pass
    assert sorted(tracks(scanned).values()) == [(31, 33), (32,), (34, 35)]


# --- another scan -----------------------------------------------------------------------------


def test_edits_are_kept_by_a_scan_that_numbers_and_cuts_differently(scanned, make):
    scanned.merge([1, 3])
    scanned.rename(1, "Anna")
    other = scanned.split(2, [4])
    scanned.set_state(4, "not_a_face")
    scanned.link_profile(2, "bert")
    # Anna's first track is in two pieces and Bert's tracks are one person by themselves; boxes a
    # little elsewhere; the poster (5) has been counted to a newcomer.
    make.scan(
        scanned,
        {
            30: (0, 90, 104.0),
            31: (95, 205, 96.0),
            32: (100, 290, 405.0),
            33: (402, 500, 100.0),
            34: (500, 600, 398.0),
            35: (700, 800, 252.0),
            36: (810, 900, 252.0),
            37: (900, 950, 300.0),
            38: (950, 990, 300.0),
        },
        [[30, 31], [32, 34], [33], [35, 36, 37, 38]],
    )
    found = {one.id: one for one in scanned.identities()}
    assert found[1].tracks == (30, 31, 33)
    assert found[1].name == "Anna"
    assert (found[2].tracks, found[2].profile) == ((32,), "bert")
    assert found[other].tracks == (34,)
    assert found[4].tracks == (35, 36, 37, 38)  # the id was carried: it grew
    assert found[4].state == "not_a_face"
    assert scanned.unresolved() == []
    while scanned.undo():
        pass
    automatic = {one.tracks for one in scanned.identities()}
    assert automatic == {(30, 31), (32, 34), (33,), (35, 36, 37, 38)}


def test_edits_about_vanished_faces_are_kept_and_reported(scanned, make):
    scanned.rename(4, "The poster")
    scanned.rename(1, "Anna")
    make.scan(scanned, {1: (0, 200, 100.0)}, [[1]])
    (lost,) = scanned.unresolved()
    assert (lost.edit.value, lost.edit.subject) == ("The poster", 4)
    assert "about faces that the current scan does not have" in lost.reason
    assert scanned.identity(1).name == "Anna"
    make.scan(scanned, SPANS, GROUPS)
    assert scanned.unresolved() == []
    assert "The poster" in {one.name for one in scanned.identities()}


def test_ids_of_unknown_people_are_never_used_again(scanned, make):
    make.scan(scanned, {1: (0, 200, 100.0)}, [[1]])
    make.scan(scanned, SPANS, GROUPS)
    found = {one.tracks: one.id for one in scanned.identities()}
    assert found[(1,)] == 1
    assert min(number for held, number in found.items() if held != (1,)) > 4


def test_same_scan_again_keeps_every_id(scanned, make):
    scanned.split(2, [4])
    before = tracks(scanned)
    make.scan(scanned, SPANS, GROUPS)
    assert tracks(scanned) == before


def test_a_face_missing_in_the_marked_frame_is_looked_for_nearby(project, make):
    make.scan(project, {1: (10, 11, 100.0)}, [[1]])
    project.rename(1, "Anna")
    make.scan(project, {1: (13, 14, 102.0)}, [[1]])
    assert project.identity(1).name == "Anna"
    make.scan(project, {1: (40, 41, 102.0)}, [[1]])
    assert len(project.unresolved()) == 1
