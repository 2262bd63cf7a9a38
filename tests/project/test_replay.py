"""The pure part: what edits mean, whatever they are and in whatever order they come."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from refrestore.project.edits import (
    CLOSE_UP_ACTIONS,
    EditAction,
    Outcome,
    Person,
    ResolvedEdit,
    replay,
    standing,
)
from refrestore.project.scanning import carry_ids

ABOUT_PEOPLE = [one for one in get_args(EditAction) if one not in (*CLOSE_UP_ACTIONS, "strength")]
DRAWN = 50
"""From here on tracks that no scan found."""

AUTOMATIC = {1: (1, 2, 3), 2: (4, 5), 3: (6,), 4: (7, 8, 9)}


def people(outcome: Outcome) -> dict[int, tuple[int, ...]]:
    return {person.id: person.tracks for person in outcome.people.values()}


def edit(number, action, subject, groups, value=None):
    return ResolvedEdit(number, action, subject, tuple(groups), value)


def merge(number, outcome, ids):
    return edit(number, "merge", ids[0], [(i, outcome.people[i].tracks) for i in ids])


@st.composite
def histories(draw, length=8):
    """Edits such as a user can make: each about what the ones before it left."""
    edits = []
    fresh = 100
    for number in range(draw(st.integers(0, length))):
        now = replay(AUTOMATIC, edits)
        ids = sorted(now.people)
        action = draw(st.sampled_from(ABOUT_PEOPLE))
        subject = draw(st.sampled_from(ids))
        tracks = now.people[subject].tracks
        if action == "merge":
            if len(ids) < 2:
                continue
            chosen = draw(st.lists(st.sampled_from(ids), min_size=2, max_size=3, unique=True))
            edits.append(merge(number, now, chosen))
        elif action == "split":
            if len(tracks) < 2:
                continue
            out = draw(
                st.lists(st.sampled_from(tracks), min_size=1, max_size=len(tracks) - 1, unique=True)
            )
            edits.append(edit(number, "split", fresh, [(subject, tuple(out))]))
            fresh += 1
        elif action == "move":
            others = [i for i in ids if i != subject]
            if not others:
                continue
            giver = draw(st.sampled_from(others))
            moved = draw(st.sampled_from(now.people[giver].tracks))
            edits.append(edit(number, "move", subject, [(subject, tracks), (giver, (moved,))]))
        elif action == "keep":
            if len(tracks) < 2:
                continue
            kept = draw(st.sampled_from(tracks))
            rest = tuple(track for track in tracks if track != kept)
            edits.append(edit(number, "keep", subject, [(subject, rest), (None, (kept,))]))
        elif action == "distinct":
            if len(ids) < 2:
                continue
            chosen = draw(st.lists(st.sampled_from(ids), min_size=2, max_size=3, unique=True))
            groups = [(i, now.people[i].tracks) for i in chosen]
            edits.append(edit(number, "distinct", chosen[0], groups))
        elif action == "draw":
            drawn = (None, (DRAWN + number,))
            if draw(st.booleans()):
                edits.append(edit(number, "draw", subject, [drawn, (subject, tracks)]))
            else:
                edits.append(edit(number, "draw", fresh, [drawn]))
                fresh += 1
        else:
            value = draw(
                st.sampled_from(["restore", "ignore", "not_a_face"])
                if action == "state"
                else st.sampled_from(["Anna", "Bert", *([] if action == "not_profile" else [None])])
            )
            edits.append(edit(number, action, subject, [(subject, tracks)], value))
    return edits


@given(histories())
def test_tracks_are_neither_lost_nor_doubled(edits):
    tracks = [track for held in people(replay(AUTOMATIC, edits)).values() for track in held]
    drawn = [DRAWN + one.id for one in edits if one.action == "draw"]
    assert sorted(tracks) == [*range(1, 10), *drawn]


@given(histories())
def test_edits_made_on_this_scan_all_apply(edits):
    assert replay(AUTOMATIC, edits).unapplied == ()


@given(histories())
def test_every_edit_does_what_it_says(edits):
    for count, last in enumerate(edits):
        before = replay(AUTOMATIC, edits[:count])
        after = replay(AUTOMATIC, edits[: count + 1])
        expected = dict(before.people)
        subject = expected.get(last.subject, Person(last.subject, ()))
        about = set(last.tracks)
        if last.action in ("merge", "split", "move", "draw"):
            for identity, person in before.people.items():
                left = tuple(track for track in person.tracks if track not in about)
                expected[identity] = replace(person, tracks=left)
            subject = replace(subject, tracks=tuple(sorted(about)))
            if last.action == "merge":
                merged = [before.people[holder] for holder, _ in last.groups]
                profile = next((one.profile for one in merged if one.profile), None)
                denied = {name for one in merged for name in one.not_profiles} - {profile}
                subject = replace(
                    subject,
                    name=next((one.name for one in merged if one.name), None),
                    profile=profile,
                    not_profiles=frozenset(denied),
                )
        elif last.action == "rename":
            subject = replace(subject, name=last.value)
        elif last.action == "state":
            subject = replace(subject, state=last.value)
        elif last.action == "link":
            denied = subject.not_profiles - {last.value}
            subject = replace(subject, profile=last.value, not_profiles=denied)
        elif last.action == "not_profile":
            profile = None if subject.profile == last.value else subject.profile
            denied = subject.not_profiles | {last.value}
            subject = replace(subject, profile=profile, not_profiles=denied)
        else:
            assert last.action in ("keep", "distinct")  # they change nobody on their own scan
        expected[last.subject] = subject
        expected = {identity: person for identity, person in expected.items() if person.tracks}
        assert after.people == expected


@given(histories())
def test_merge_then_split_gives_the_tracks_back(edits):
    before = replay(AUTOMATIC, edits)
    ids = sorted(before.people)
    if len(ids) < 2:
        return
    first, second = ids[:2]
    together = merge(1000, before, [first, second])
    out = before.people[second].tracks
    apart = edit(1001, "split", 999, [(first, out)])
    after = people(replay(AUTOMATIC, [*edits, together, apart]))
    expected = people(before)
    expected[999] = expected.pop(second)
    assert after == expected


@given(histories(), st.permutations(range(1, 10)))
def test_a_scan_that_only_numbers_differently_gives_the_same_people(edits, numbers):
    """The same faces under other track numbers, identities carried over: nothing changes."""
    drawn = {t: t for one in edits if one.action == "draw" for t in one.tracks if t >= DRAWN}
    new = {**dict(enumerate(numbers, start=1)), **drawn}
    again = {i: tuple(new[track] for track in tracks) for i, tracks in AUTOMATIC.items()}
    moved = [
        replace(
            one,
            groups=tuple((h, tuple(new[track] for track in tracks)) for h, tracks in one.groups),
        )
        for one in edits
    ]
    before, after = replay(AUTOMATIC, edits), replay(again, moved)
    assert after.unapplied == ()
    assert after.people == {
        identity: replace(person, tracks=tuple(sorted(new[track] for track in person.tracks)))
        for identity, person in before.people.items()
    }


@given(histories(), st.sets(st.integers(1, 9)))
def test_lost_tracks_never_break_a_replay(edits, lost):
    again = {i: tuple(t for t in tracks if t not in lost) for i, tracks in AUTOMATIC.items()}
    fewer = [
        replace(
            one,
            groups=tuple(
                (h, tuple(t for t in tracks if t not in lost)) for h, tracks in one.groups
            ),
        )
        for one in edits
    ]
    outcome = replay(again, fewer)
    found = [track for held in people(outcome).values() for track in held]
    assert sorted(t for t in found if t < DRAWN) == sorted(set(range(1, 10)) - lost)
    assert set(outcome.unapplied) <= {one.id for one in edits}


# --- a later scan that sees people differently ------------------------------------------------


def test_what_was_said_of_a_few_faces_does_not_spread_to_a_person_they_were_added_to():
    """A poster was no face; the new scan counts it to a person with many tracks."""
    said = edit(1, "state", 7, [(7, (30,))], "not_a_face")
    outcome = replay({1: (10, 11, 12, 30)}, [said])
    assert people(outcome) == {1: (10, 11, 12), 7: (30,)}
    assert outcome.people[1].state == "restore"
    assert outcome.people[7].state == "not_a_face"


def test_what_was_said_of_a_person_holds_for_all_pieces_of_it():
    said = edit(1, "state", 1, [(1, (10, 11, 12))], "ignore")
    outcome = replay({1: (10, 11), 2: (12,), 3: (13,)}, [said])
    assert {i: one.state for i, one in outcome.people.items()} == {
        1: "ignore",
        2: "ignore",
        3: "restore",
    }


def test_a_name_stays_with_the_identity_that_grew():
    said = edit(1, "rename", 1, [(1, (10,))], "Anna")
    outcome = replay({1: (10, 11, 12, 13)}, [said])
    assert outcome.people[1].name == "Anna"


def test_a_merge_takes_the_new_tracks_of_its_people_too():
    said = edit(1, "merge", 1, [(1, (10,)), (2, (20,))])
    assert people(replay({1: (10, 11), 2: (20, 21, 22)}, [said])) == {1: (10, 11, 20, 21, 22)}


def test_a_merge_half_of_which_is_gone_is_reported():
    said = edit(1, "merge", 1, [(1, (10,)), (2, ())])
    outcome = replay({1: (10, 11)}, [said])
    assert outcome.unapplied == (1,)
    assert people(outcome) == {1: (10, 11)}


def test_a_split_that_the_new_scan_found_by_itself_keeps_its_id():
    said = edit(1, "split", 9, [(1, (11,))])
    assert people(replay({1: (10,), 9: (11, 12)}, [said])) == {1: (10,), 9: (11, 12)}


def test_people_told_apart_stay_apart_when_a_new_scan_joins_them():
    said = edit(1, "distinct", 1, [(1, (10, 11)), (2, (20,))])
    for joined in (1, 2):  # whichever id the new scan's person was given
        outcome = replay({joined: (10, 11, 20)}, [said])
        assert people(outcome) == {1: (10, 11), 2: (20,)}
        assert outcome.distinct == {(1, 2)}
        assert outcome.unapplied == ()


def test_three_people_told_apart_are_three_pairs():
    said = edit(1, "distinct", 3, [(3, (30,)), (1, (10,)), (2, (20,))])
    outcome = replay({3: (10, 20, 30)}, [said])
    assert people(outcome) == {1: (10,), 2: (20,), 3: (30,)}
    assert outcome.distinct == {(1, 2), (1, 3), (2, 3)}


def test_faces_that_a_new_scan_has_in_one_track_cannot_be_told_apart():
    said = edit(1, "distinct", 1, [(1, (10,)), (2, (10,))])
    outcome = replay({1: (10, 11)}, [said])
    assert people(outcome) == {1: (10, 11)}
    assert (outcome.unapplied, outcome.distinct) == ((1,), frozenset())


def test_being_told_apart_follows_a_merge_and_ends_with_one_that_joins_them():
    apart = edit(1, "distinct", 1, [(1, (10,)), (2, (20,))])
    joined = edit(2, "merge", 3, [(3, (30, 31)), (2, (20,))])
    outcome = replay({1: (10,), 2: (20,), 3: (30, 31)}, [apart, joined])
    assert outcome.distinct == {(1, 3)}
    forced = edit(3, "merge", 1, [(1, (10,)), (3, (20, 30, 31))])
    outcome = replay({1: (10,), 2: (20,), 3: (30, 31)}, [apart, joined, forced])
    assert outcome.distinct == frozenset()
    assert people(outcome) == {1: (10, 20, 30, 31)}


def test_a_track_that_was_kept_comes_back_from_where_a_new_scan_puts_it():
    said = edit(1, "keep", 1, [(1, (10, 11)), (None, (12,))])
    outcome = replay({1: (10, 11), 2: (12, 20)}, [said])
    assert people(outcome) == {1: (10, 11, 12), 2: (20,)}
    assert outcome.settled == {12}


def test_what_the_user_moved_or_split_off_is_settled():
    edits = [edit(1, "move", 1, [(1, (10,)), (2, (20,))]), edit(2, "split", 5, [(3, (30,))])]
    assert replay({1: (10,), 2: (20, 21), 3: (30, 31)}, edits).settled == {20, 30}


def test_the_last_word_on_a_close_up_counts():
    drop = ResolvedEdit(1, "drop", 1, (), "here", (5, 6))
    use = ResolvedEdit(2, "use", 1, (), "here", (6,))
    outcome = replay({1: (10,)}, [drop, use])
    assert (outcome.dropped, outcome.unapplied) == ({5}, ())
    missing = ResolvedEdit(1, "drop", 1, (), "here", ())
    assert replay({1: (10,)}, [missing]).unapplied == ()  # what is not there is not used


# --- undo and redo ----------------------------------------------------------------------------


def test_undo_and_redo_walk_along_the_log():
    log = [(1, "rename", None), (2, "merge", None), (3, "undo", 2), (4, "undo", 1), (5, "redo", 1)]
    assert standing(log) == ([1], [2])
    assert standing([*log, (6, "link", None)]) == ([1, 6], [])


@given(st.lists(st.sampled_from(["edit", "undo", "redo"]), max_size=30))
def test_redo_reverses_undo(steps):
    log = []
    for entry, step in enumerate(steps):
        done, undone = standing(log)
        if step == "edit":
            log.append((entry, "rename", None))
        elif step == "undo" and done:
            log.append((entry, "undo", done[-1]))
            assert standing([*log, (entry + 1, "redo", done[-1])]) == (done, undone)
        elif step == "redo" and undone:
            log.append((entry, "redo", undone[-1]))
            assert standing([*log, (entry + 1, "undo", undone[-1])]) == (done, undone)


# --- identity ids over scans ------------------------------------------------------------------


def test_ids_go_to_the_group_with_most_of_their_faces():
    seen = {1: 5, 2: 5, 3: 6}
    votes = {10: [1, 1], 11: [2, 2, 2], 12: [3], 13: []}
    assert carry_ids([(10,), (11,), (12, 13)], votes, [seen], 20) == {
        20: (10,),
        5: (11,),
        6: (12, 13),
    }


def test_ids_that_a_merge_hid_come_back_where_the_scan_separates_again():
    merged, found = {1: 5, 2: 5}, {1: 5, 2: 8}
    votes = {10: [1, 1, 1], 11: [2, 2]}
    assert carry_ids([(10,), (11,)], votes, [merged, found], 20) == {5: (10,), 8: (11,)}


def test_new_people_get_new_ids():
    assert carry_ids([(1,), (2,)], {}, [{}, {}], 4) == {4: (1,), 5: (2,)}


def test_a_drawn_face_that_a_later_scan_finds_stays_whose_it_is_there():
    drawn = edit(1, "draw", 9, [(None, (10, 50))])
    outcome = replay({1: (10, 11)}, [drawn])
    assert people(outcome) == {1: (10, 11), 9: (50,)}
    assert outcome.unapplied == ()


def test_a_drawn_face_that_the_user_gave_to_somebody_is_theirs_in_a_later_scan_too():
    drawn = edit(1, "draw", 1, [(None, (20,)), (1, (10,))])
    assert people(replay({1: (10,), 2: (20, 21)}, [drawn])) == {1: (10, 20), 2: (21,)}
    gone = edit(1, "draw", 1, [(None, (50,)), (1, ())])
    outcome = replay({1: (10,)}, [gone])  # whoever has the number now is somebody else
    assert people(outcome) == {1: (10,)}
    assert outcome.unapplied == (1,)
