"""The guard: what is kept, and who is refused."""

import numpy as np
import pytest

from refrestore.restore.guard import (
    HALF,
    Belief,
    Choice,
    Evidence,
    Reason,
    clearer_than_shrunk,
    expected_gain,
    judge,
    recognise,
)

PERSON = np.eye(512, dtype=np.float32)[0]
OTHER = np.eye(512, dtype=np.float32)[1]


def like(*cosines):
    """Unit embeddings of these similarities to PERSON."""
    rows = np.zeros((len(cosines), 512), np.float32)
    rows[:, 0] = cosines
    rows[:, 2] = np.sqrt(1 - np.square(cosines))
    return rows


@pytest.mark.parametrize(
    ("scores", "choice", "reason"),
    [
        ((0.3, 0.4, 0.7), Choice.RESTORED, Reason.BEST),
        ((0.3, 0.6, 0.5), Choice.UNREFERENCED, Reason.LESS_LIKE_THAN_UNREFERENCED),
        ((0.8, 0.6, 0.5), Choice.INPUT, Reason.LESS_LIKE_THAN_INPUT),
        ((0.8, 0.5, 0.6), Choice.INPUT, Reason.LESS_LIKE_THAN_INPUT),
        ((0.51, 0.4, 0.5), Choice.RESTORED, Reason.BEST),  # within the tolerance
    ],
)
def test_the_most_alike_is_kept(scores, choice, reason):
    judged = judge(*(like(score) for score in scores), [PERSON])[0]
    assert (judged.choice, judged.reason) == (choice, reason)
    assert judged.restored_similarity == pytest.approx(scores[2], abs=1e-6)


WEIGHTS = (-0.24, 0.2, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0)
"""What is expected is enough where own + itself is above 1.1 (`least_gain` is -.02)."""


def evidence_of(faces, *, large=0.98, weights=WEIGHTS):
    shrunk = np.tile(np.array([0.8, 0.9, large], np.float32), (len(faces), 1))
    return Evidence(shrunk, faces, weights)


@pytest.mark.parametrize(("large", "choice"), [(0.93, Choice.INPUT), (0.96, Choice.RESTORED)])
def test_a_face_that_can_be_read_is_left_alone(large, choice):
    scores = like(0.45), like(0.45), like(0.97)
    shrunk = evidence_of(scores[0], large=large).shrunk
    judged = judge(*scores, [PERSON], shrunk=shrunk)[0]
    assert judged.choice is choice
    assert (judged.reason is Reason.READABLE) == (choice is Choice.INPUT)
    refused = judge(*scores, [PERSON], beliefs=[Belief.ANOTHER], shrunk=shrunk)[0]
    assert refused.reason is Reason.ANOTHER
    assert refused.choice is (Choice.INPUT if large < 0.945 else Choice.UNREFERENCED)


@pytest.mark.parametrize(("lost", "left_alone"), [(0.1, True), (0.0, False), (-0.1, False)])
def test_what_can_be_read_is_the_person(lost, left_alone):
    scores = like(0.45), like(0.45), like(0.97)
    shrunk = evidence_of(scores[0], large=0.93).shrunk
    clearer = clearer_than_shrunk(scores[0], like(0.45 - lost), [PERSON])
    judged = judge(*scores, [PERSON], shrunk=shrunk, clearer=clearer)[0]
    assert (judged.choice is Choice.INPUT) == left_alone
    # Where nobody is known what is read is taken for the person.
    unknown = clearer_than_shrunk(scores[0], like(0.45 - lost), [None])
    assert np.isnan(unknown).all()
    assert judge(*scores, [None], shrunk=shrunk, clearer=unknown)[0].choice is Choice.INPUT


@pytest.mark.parametrize(
    ("own", "small", "share"), [(0.6, 0.6, HALF), (0.6, 0.8, 1.0), (0.4, 0.6, 1.0)]
)
def test_of_references_a_recognised_face_takes_half(own, small, share):
    shrunk = np.array([[small, 0.9, 0.97]], np.float32)
    judged = judge(like(own), like(own), like(0.9), [PERSON], shrunk=shrunk)[0]
    assert (judged.choice, judged.share) == (Choice.RESTORED, share)


@pytest.mark.parametrize(
    ("own", "after", "belief", "choice"),
    [
        (0.55, 0.8, Belief.SAME, Choice.RESTORED),
        (0.55, 0.5, Belief.SAME, Choice.INPUT),  # references make it less like the person
        (0.45, 0.8, Belief.SAME, Choice.INPUT),  # not recognised
        (0.55, 0.8, Belief.ANOTHER, Choice.INPUT),
    ],
)
@pytest.mark.parametrize("large", [0.93, 0.97])
def test_what_can_be_read_as_the_person_is_restored_by_half(own, after, belief, choice, large):
    scores = like(own), like(own), like(after)
    shrunk = evidence_of(scores[0], large=large).shrunk
    gains = None if large == 0.93 else np.array([-0.1])  # read as it is, or nothing expected
    judged = judge(*scores, [PERSON], beliefs=[belief], shrunk=shrunk, gains=gains)[0]
    wanted = choice if large == 0.93 or choice is Choice.RESTORED else Choice.UNREFERENCED
    assert judged.choice is wanted
    assert (judged.reason is Reason.RECOGNISED) == (choice is Choice.RESTORED)
    if choice is Choice.RESTORED:
        assert judged.share == HALF


@pytest.mark.parametrize(
    ("own", "small", "choice"),
    [(0.45, 0.7, Choice.RESTORED), (0.45, 0.8, Choice.INPUT), (0.35, 0.7, Choice.INPUT)],
)
def test_what_is_likely_the_person_and_shows_more_is_restored_by_half(own, small, choice):
    shrunk = np.array([[small, 0.9, 0.93]], np.float32)
    judged = judge(like(own), like(own), like(0.8), [PERSON], shrunk=shrunk)[0]
    assert judged.choice is choice
    assert judged.share == (HALF if choice is Choice.RESTORED else 1.0)


@pytest.mark.parametrize(("drawn", "choice"), [(0.2, Choice.INPUT), (0.8, Choice.UNREFERENCED)])
def test_a_blurred_face_that_can_be_read_is_drawn_from_its_frames_alone(drawn, choice):
    scores = like(0.45), like(0.45), like(0.97)
    shrunk = evidence_of(scores[0], large=0.93).shrunk
    judged = judge(*scores, [PERSON], shrunk=shrunk, drawn=np.array([drawn]))[0]
    assert (judged.choice, judged.reason) == (choice, Reason.READABLE)


@pytest.mark.parametrize(
    ("own", "weights", "choice"),
    [
        (0.6, WEIGHTS, Choice.RESTORED),
        (0.1, WEIGHTS, Choice.UNREFERENCED),
        (0.1, None, Choice.RESTORED),
    ],
)
def test_references_must_be_expected_to_win(own, weights, choice):
    faces, restored = like(own), like(0.9)
    gains = expected_gain(faces, restored, [PERSON], evidence_of(faces, weights=weights))
    judged = judge(faces, like(own), restored, [PERSON], gains=gains)[0]
    assert judged.choice is choice
    assert (judged.reason is Reason.NO_GAIN) == (choice is Choice.UNREFERENCED)


@pytest.mark.parametrize(
    ("own", "large", "after", "belief", "choice"),
    [
        (0.55, 0.93, 0.8, Belief.SAME, Choice.RESTORED),  # recognised
        (0.35, 0.93, 0.8, Belief.SAME, Choice.RESTORED),  # read as it is
        (0.35, 0.97, 0.8, Belief.SAME, Choice.RESTORED),  # nothing expected
        (0.35, 0.93, 0.3, Belief.SAME, Choice.INPUT),  # less like the person
        (0.35, 0.93, 0.8, Belief.ANOTHER, Choice.INPUT),
        (0.35, 0.97, 0.8, Belief.ANOTHER, Choice.UNREFERENCED),
    ],
)
def test_what_is_shown_much_larger_in_the_same_film_is_believed(own, large, after, belief, choice):
    scores = like(own), like(own), like(after)
    asked = {
        "beliefs": [belief],
        "gains": np.array([-0.1]),
        "shrunk": np.array([[0.7, 0.9, large]], np.float32),
    }
    judged = judge(*scores, [PERSON], **asked, shown=np.ones(1, bool))[0]
    assert (judged.choice, judged.share) == (choice, 1)
    otherwise = judge(*scores, [PERSON], **asked)[0]
    assert otherwise.choice is not Choice.RESTORED or otherwise.share == HALF


def test_who_is_seen_over_a_track_counts():
    faces, restored = like(0.1), like(0.9)
    seen = evidence_of(like(0.6))
    gains = expected_gain(faces, restored, [PERSON], seen)
    assert judge(faces, faces, restored, [PERSON], gains=gains)[0].choice is Choice.RESTORED
    assert np.isnan(expected_gain(faces, restored, [None], seen)).all()
    seen = evidence_of(like(0.6), weights=None)
    assert np.isnan(expected_gain(faces, restored, [PERSON], seen)).all()


def test_without_references_only_input_and_plain_compete():
    nothing = np.full((1, 512), np.nan, np.float32)
    judged = judge(like(0.3), like(0.4), nothing, [PERSON])[0]
    assert (judged.choice, judged.reason) == (Choice.UNREFERENCED, Reason.NO_REFERENCES)
    judged = judge(like(0.5), like(0.4), None, [PERSON])[0]
    assert judged.choice is Choice.INPUT
    assert judge(like(0.5), None, None, [None])[0].choice is Choice.INPUT


def test_without_a_centroid_nothing_is_given_up():
    judged = judge(like(0.9), like(0.9), like(0.1), [None])[0]
    assert judged.choice is Choice.RESTORED
    assert judged.restored_similarity is None


def test_somebody_else_is_never_restored_from_these_references():
    # Restored towards the wrong person it is very like him: no argument.
    judged = judge(like(0.05), like(0.06), like(0.9), [PERSON], beliefs=[Belief.SOMEBODY_ELSE])[0]
    assert (judged.choice, judged.reason) == (Choice.UNREFERENCED, Reason.SOMEBODY_ELSE)
    judged = judge(like(0.05), None, like(0.9), [PERSON], beliefs=[Belief.SOMEBODY_ELSE])[0]
    assert judged.choice is Choice.INPUT


def test_who_is_refused_and_who_cannot_be_told():
    faces = np.concatenate([like(0.6, 0.1, 0.1, 0.1, 0.5), OTHER[None] * 0 + np.nan])
    faces[4, 1] = 0.7  # nearer to another identity
    beliefs = recognise(
        faces,
        PERSON,
        OTHER[None],
        unreadable=np.array([0.0, 0, 0.9, 1, 0, 0]),
    )
    assert beliefs == [
        Belief.SAME,
        Belief.SOMEBODY_ELSE,
        Belief.CANNOT_TELL,
        Belief.CANNOT_TELL,
        Belief.ANOTHER,
        Belief.CANNOT_TELL,
    ]
    refused = judge(faces[4:5], like(0.5), like(0.9), [PERSON], beliefs=beliefs[4:5])[0]
    assert (refused.choice, refused.reason) == (Choice.UNREFERENCED, Reason.ANOTHER)


def test_a_blurred_face_must_be_like_the_person_unless_somebody_vouches():
    faces = like(0.05, 0.18, 0.23, 0.27)
    vouched = recognise(faces, PERSON, unreadable=np.ones(4))
    assert vouched == [Belief.CANNOT_TELL] * 4
    for least, passed in ((0.2, 2), (0.17, 3), (0.25, 1)):
        needed = np.full(4, least)
        seen = recognise(faces, PERSON, unreadable=np.ones(4), least=needed)
        assert seen == [Belief.UNLIKE] * (4 - passed) + [Belief.CANNOT_TELL] * passed
    refused = judge(faces[:1], like(0.06), like(0.9), [PERSON], beliefs=seen[:1])[0]
    assert (refused.choice, refused.reason) == (Choice.UNREFERENCED, Reason.UNLIKE)


def test_a_readable_face_must_be_as_like_the_person_as_was_asked():
    seen = recognise(like(0.3, 0.4), PERSON, unreadable=np.zeros(2), least=np.full(2, 0.35))
    assert seen == [Belief.SOMEBODY_ELSE, Belief.SAME]


def test_a_blurred_face_may_be_like_the_person_from_afar_and_a_clear_one_may_not():
    seen = recognise(
        like(0.05, 0.3, 0.05, 0.05),
        PERSON,
        unreadable=np.array([1.0, 1, 1, 0]),
        blurred=np.array([0.3, 0.3, 0.05, 0.3]),
        least=np.full(4, 0.2),
    )
    assert seen == [
        *(Belief.CANNOT_TELL, Belief.CANNOT_TELL, Belief.UNLIKE),
        Belief.SOMEBODY_ELSE,
    ]
