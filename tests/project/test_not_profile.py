"""That somebody is not a profile's person: said once, heeded by all that ask who people are."""

from __future__ import annotations

import pytest

from refrestore.errors import ApartError, ProjectError
from refrestore.project import Project
from refrestore.project.apart import differ
from refrestore.project.edits import ResolvedEdit, replay
from refrestore.types import Identity

SPANS = {1: (0, 100, 100.0), 2: (200, 300, 100.0), 3: (400, 500, 100.0)}
"""Three people, a track each."""


@pytest.fixture
def scanned(project, make):
    make.scan(project, SPANS, [[1], [2], [3]])
    return project


def said(project):
    return {one.id: (one.profile, one.not_profiles) for one in project.identities()}


def test_it_is_said_once_undone_redone_and_kept_in_the_file(scanned):
    scanned.deny_profile(1, "anna")
    scanned.deny_profile(1, "Änne")
    assert said(scanned)[1] == (None, ("anna", "Änne"))
    with pytest.raises(ProjectError, match="said before that identity 1 is not anna"):
        scanned.deny_profile(1, "anna")
    for wrong, words in ((9, "no identity 9"), (2, "Name the profile")):
        with pytest.raises(ProjectError, match=words):
            scanned.deny_profile(wrong, "anna" if wrong == 9 else "")
    scanned.undo()
    assert said(scanned)[1] == (None, ("anna",))
    scanned.redo()
    with Project.open(scanned.folder) as again:
        assert said(again)[1] == (None, ("anna", "Änne"))


def test_a_link_by_hand_takes_it_back_and_it_ends_a_link(scanned):
    scanned.deny_profile(1, "anna")
    scanned.deny_profile(1, "berta")
    scanned.link_profile(1, "anna")
    assert said(scanned)[1] == ("anna", ("berta",))
    scanned.link_profile(1, None)
    assert said(scanned)[1] == (None, ("berta",))
    scanned.undo()
    scanned.undo()
    assert said(scanned)[1] == (None, ("anna", "berta"))
    scanned.link_profile(2, "anna")
    scanned.deny_profile(2, "berta")
    assert said(scanned)[2] == ("anna", ("berta",))
    scanned.deny_profile(2, "anna")
    assert said(scanned)[2] == (None, ("anna", "berta"))
    scanned.undo()
    assert said(scanned)[2] == ("anna", ("berta",))


def test_it_stays_with_a_merged_person_and_a_split_off_track_is_free_of_it(scanned):
    scanned.deny_profile(1, "anna")
    scanned.deny_profile(2, "berta")
    scanned.merge([2, 1])
    assert said(scanned)[2] == (None, ("anna", "berta"))
    fresh = scanned.split(2, [1])
    assert said(scanned)[fresh] == (None, ())


def test_who_is_not_a_profile_joins_whoever_is_it_only_by_force(scanned):
    scanned.deny_profile(3, "anna")
    scanned.link_profile(1, "anna")
    for pair in ([1, 3], [3, 1]):
        with pytest.raises(
            ApartError, match=r"person 3 \(3\) is not the profile anna.* anna \(1\)"
        ):
            scanned.merge(pair)
        assert scanned.merge(pair, force=True) == pair[0]
        assert said(scanned)[pair[0]] == ("anna", ())
        scanned.undo()
    scanned.merge([2, 3])  # linked to nobody: nothing speaks against it
    with pytest.raises(ApartError, match="is not the profile anna"):
        scanned.merge([1, 2])


def test_it_survives_a_scan_that_numbers_and_cuts_differently(scanned, make):
    scanned.deny_profile(1, "anna")
    make.scan(
        scanned,
        {31: (0, 45, 102.0), 32: (50, 100, 98.0), 33: (200, 300, 101.0), 34: (400, 500, 99.0)},
        [[33], [31], [32], [34]],
    )
    pieces = [one.not_profiles for one in scanned.identities() if set(one.tracks) & {31, 32}]
    assert pieces == [("anna",), ("anna",)]
    assert {one.not_profiles for one in scanned.identities() if 33 in one.tracks} == {()}
    # It must not spread to somebody whom a scan joins them with.
    make.scan(
        scanned,
        {41: (0, 100, 100.0), 42: (200, 300, 100.0), 43: (400, 500, 100.0)},
        [[41, 42, 43]],
    )
    assert {one.tracks: one.not_profiles for one in scanned.identities()} == {
        (41,): ("anna",),
        (42, 43): (),
    }
    assert scanned.unresolved() == []
    scanned.undo()
    assert {one.not_profiles for one in scanned.identities()} == {()}
    # Faces that a scan does not find at all keep the word for the next.
    scanned.redo()
    make.scan(scanned, {51: (400, 500, 100.0)}, [[51]])
    (lost,) = scanned.unresolved()
    assert lost.edit.action == "not_profile"


def test_the_last_word_counts_whatever_was_linked_before():
    def edit(number, action, value):
        return ResolvedEdit(number, action, 1, ((1, (10,)),), value)

    edits = [edit(1, "link", "anna"), edit(2, "not_profile", "anna"), edit(3, "link", "berta")]
    (person,) = replay({1: (10,)}, edits).people.values()
    assert (person.profile, person.not_profiles) == ("berta", {"anna"})
    (person,) = replay({1: (10,)}, [*edits, edit(4, "link", "anna")]).people.values()
    assert (person.profile, person.not_profiles) == ("anna", frozenset())


def test_two_are_two_people_if_one_is_not_the_others_profile():
    def who(profile=None, *others):
        return Identity(1, "", "restore", (), 0, 0, 0, profile=profile, not_profiles=others)

    assert differ(who("anna"), who("berta"))
    assert differ(who("anna"), who(None, "anna"))
    assert differ(who(None, "berta", "anna"), who("anna"))
    assert not differ(who("anna"), who("anna", "berta"))
    assert not differ(who(None, "anna"), who(None))
    assert not differ(who(), who())
