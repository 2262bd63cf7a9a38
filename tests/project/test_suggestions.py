"""What is worth a look: from made embeddings whose similarity is known, and from a project."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from refrestore.config import ScanSettings
from refrestore.project.suggestions import likely_impurities, likely_merges, suggest
from refrestore.types import Shot, Track

RNG = np.random.default_rng(7)
AXES = np.linalg.qr(RNG.normal(size=(512, 512)))[0].astype(np.float32)


def towards(person: int, cosine: float, other: int = 300) -> np.ndarray:
    """Return a unit vector of this cosine to a person's axis; the rest along another axis."""
    vector = cosine * AXES[person] + np.sqrt(1 - cosine**2) * AXES[other]
    return vector.astype(np.float32)


def track(number, embedding, weight=0.8, first=None):
    first = 100 * number if first is None else first
    return Track(number, 0, first, first + 50, embedding, weight, 0.5, 40.0, weak=False)


def as_dict(*tracks):
    return {one.id: one for one in tracks}


def test_merges_come_by_similarity_and_above_the_least():
    tracks = as_dict(
        track(1, AXES[0]),
        track(2, towards(0, 0.6, 1)),
        track(3, towards(0, 0.5, 2)),
        track(4, AXES[3]),
    )
    people = {1: (1,), 2: (2,), 3: (3,), 4: (4,)}
    found = likely_merges(people, tracks, least=0.4)
    assert [(one.identities, round(one.similarity, 3)) for one in found] == [
        ((1, 2), 0.6),
        ((1, 3), 0.5),
    ]
    assert len(likely_merges(people, tracks, least=0.29)) == 3  # 2 and 3: 0.6 x 0.5
    assert likely_merges(people, tracks, apart={(1, 2)}, least=0.4) == found[1:]


def test_the_identity_to_be_trusted_comes_first():
    tracks = as_dict(track(1, AXES[0], 0.2), track(2, AXES[0], 0.9))
    (one,) = likely_merges({1: (1,), 2: (2,)}, tracks, least=0.3)
    assert one.identities == (2, 1)


def test_a_blurred_track_says_less_about_whom_a_person_is_like():
    def similarity(weight):
        tracks = as_dict(track(1, AXES[0]), track(2, AXES[1], weight), track(3, AXES[0]))
        (one,) = likely_merges({1: (1, 2), 3: (3,)}, tracks, least=0)
        return one.similarity

    assert similarity(0.1) > 0.9 > similarity(0.8)


@pytest.mark.parametrize("count", [1, 4, 20])
def test_large_identities_are_not_more_alike_than_single_tracks(count):
    # Two tracks of a person have the cosine 0.5, tracks of the two people 0.3.
    noise = iter(range(400, 500))
    ids = range(1, 2 * count + 1)
    tracks = as_dict(
        *(
            track(i, np.sqrt(0.5) * towards(0, 0.6 if i > count else 1, 1) + 0.5**0.5 * AXES[k])
            for i, k in zip(ids, noise, strict=False)
        )
    )
    people = {1: tuple(ids)[:count], 2: tuple(ids)[count:]}
    (one,) = likely_merges(people, tracks, least=0.2)
    assert one.similarity == pytest.approx(0.3, abs=1e-3)
    assert likely_merges(people, tracks, least=0.31) == []


def test_a_wrong_track_is_found_and_the_right_ones_are_not():
    tracks = as_dict(
        track(1, towards(0, 0.9, 10)),
        track(2, towards(0, 0.9, 11)),
        track(3, towards(1, 0.9, 12)),  # of the second person
        track(4, towards(1, 0.9, 13)),
        track(5, towards(1, 0.9, 14)),
    )
    people = {1: (1, 2, 3), 2: (4, 5)}
    (wrong,) = likely_impurities(people, tracks, least=0.28)
    assert (wrong.track, wrong.identity, wrong.nearest) == (3, 1, 2)
    assert wrong.similarity == pytest.approx(0, abs=1e-6)  # it does not vouch for itself
    mean = (tracks[4].embedding + tracks[5].embedding).astype(np.float64)
    expected = tracks[3].embedding @ (mean / np.linalg.norm(mean))
    # As alike as one track of theirs would be, of two whose cosine were a half.
    assert wrong.nearest_similarity == pytest.approx(float(expected) * np.sqrt(3 / 4), abs=1e-6)
    assert likely_impurities(people, tracks, least=0.28, settled={3}) == []


def test_a_track_that_is_far_but_nearer_to_nobody_is_left_in_peace():
    tracks = as_dict(track(1, AXES[0]), track(2, AXES[0]), track(3, AXES[5]), track(4, AXES[6]))
    tracks[4] = track(4, towards(0, 0.6, 7))
    assert likely_impurities({1: (1, 2, 3), 2: (4,)}, tracks, least=0.28) == []


def test_a_track_hardly_nearer_to_another_is_not_doubted():
    def doubted(cosine):
        tracks = as_dict(
            track(1, AXES[0]),
            track(2, towards(0, 0.5, 1)),  # 0.5 like its own, `cosine` like the other
            track(3, cosine * AXES[1] / np.sqrt(0.75) + np.sqrt(1 - cosine**2 / 0.75) * AXES[9]),
        )
        return [one.track for one in likely_impurities({1: (1, 2), 2: (3,)}, tracks, least=0.28)]

    assert doubted(0.54) == []
    assert doubted(0.56) == [2]


def test_a_track_hardly_like_the_other_is_not_doubted():
    tracks = as_dict(track(1, AXES[0]), track(2, towards(3, 0.3)), track(3, AXES[3]))
    people = {1: (1, 2), 2: (3,)}
    assert likely_impurities(people, tracks, least=0.31) == []
    assert [one.track for one in likely_impurities(people, tracks, least=0.29)] == [2]


def test_tracks_without_an_embedding_are_nowhere():
    tracks = as_dict(track(1, None), track(2, None), track(3, AXES[0]), track(4, AXES[0]))
    people = {1: (1, 2), 2: (3,), 3: (4,), 4: ()}
    assert [one.identities for one in likely_merges(people, tracks, least=0.3)] == [(2, 3)]
    assert likely_impurities(people, tracks, least=0.3) == []
    assert likely_merges({}, {}, least=0.3) == []
    assert likely_merges({1: (1,)}, tracks, least=0.3) == []


def test_many_people_in_blocks_are_the_same_pairs(monkeypatch):
    vectors = RNG.normal(size=(40, 512)).astype(np.float32)
    vectors[20:] = vectors[:20] + RNG.normal(size=(20, 512)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tracks = as_dict(*(track(i, vector) for i, vector in enumerate(vectors)))
    people = {i: (i,) for i in tracks}
    whole = likely_merges(people, tracks, least=0.4)
    assert {tuple(sorted(one.identities)) for one in whole} == {(i, i + 20) for i in range(20)}
    monkeypatch.setattr("refrestore.project.suggestions.BLOCK", 7)
    parts = likely_merges(people, tracks, least=0.4)
    assert [one.identities for one in parts] == [one.identities for one in whole]


# --- through a project ------------------------------------------------------------------------


@pytest.fixture
def film(project, make):
    """Return a project of four people: 1 and 2 alike; 3 like 1 and on screen with it; 4 alone."""
    found = [
        track(1, AXES[0], first=0),
        track(2, towards(0, 0.7, 1), first=100),
        track(3, towards(0, 0.8, 2), first=20),
        track(4, AXES[4], first=200),
        track(5, towards(0, 0.9, 5), 0.2, first=300),  # with 4, and of the first
    ]
    return scan(project, make, found, [[1], [2], [3], [4, 5]])


def scan(project, make, found, groups, **network):
    with project.begin_scan(ScanSettings(), **network) as writer:
        writer.add_shot(Shot(0, 0, 1000, Fraction(2)))
        for one in found:
            left = 100.0 * (one.id % 5)
            writer.add_track(one, make.faces(one.first, one.stop, left))
        writer.set_identities(groups)
    return project


def pairs(project, **options):
    return [one.identities for one in suggest(project, **options).merges]


def test_people_on_screen_together_are_never_one(film):
    assert pairs(film, least=0.6) == [(1, 2)]
    assert (1, 3) not in pairs(film, least=-1)


def test_no_is_remembered_undone_and_kept_over_a_scan(film, make):
    film.tell_apart([2, 1])
    assert film.distinct() == {(1, 2)}
    assert pairs(film, least=0.6) == []
    film.undo()
    assert pairs(film, least=0.6) == [(1, 2)]
    film.redo()
    # Another scan numbers otherwise, and takes the two for one.
    found = [track(11, AXES[0], first=0), track(12, towards(0, 0.7, 1), first=100)]
    scan(film, make, found, [[11, 12]])
    assert [one.tracks for one in film.identities()] == [(11,), (12,)]
    assert pairs(film, least=0.6) == []
    film.undo()
    assert [one.tracks for one in film.identities()] == [(11, 12)]


def test_what_is_no_face_or_of_two_profiles_is_left_out(film):
    film.link_profile(1, "anna")
    film.link_profile(2, "anna")
    assert pairs(film, least=0.6) == [(1, 2)]
    film.link_profile(2, "berta")
    assert pairs(film, least=0.6) == []
    film.undo()
    film.link_profile(2, None)
    film.deny_profile(2, "berta")
    assert pairs(film, least=0.6) == [(1, 2)]
    film.deny_profile(2, "anna")
    assert pairs(film, least=0.6) == []
    film.undo()
    film.set_state(2, "not_a_face")
    assert {tuple(sorted(pair)) for pair in pairs(film, least=-1)} == {(3, 4), (1, 4)}


def test_a_wrong_track_is_named_until_it_is_kept_or_moved(film):
    (wrong,) = suggest(film).impurities
    assert (wrong.track, wrong.identity, wrong.nearest) == (5, 4, 1)
    film.keep_tracks([5])
    assert suggest(film).impurities == ()
    film.undo()
    film.move_tracks([5], 1)
    assert suggest(film).impurities == ()


def test_a_track_is_not_somebodys_whom_it_is_on_screen_with(project, make):
    for first, expected in ((20, []), (300, [5])):
        found = [track(1, AXES[0], first=0), track(4, AXES[4]), track(5, AXES[0], first=first)]
        scan(project, make, found, [[1], [4, 5]])
        assert [one.track for one in suggest(project).impurities] == expected


def test_by_default_the_least_is_that_of_the_scans_recogniser(project, make):
    found = [track(1, AXES[0]), track(2, towards(0, 0.27, 1))]
    for name, expected in (("recogniser", []), ("edgeface_xs.fp32", [(1, 2)])):
        scan(project, make, found, [[1], [2]], recogniser=name)
        assert pairs(project) == expected


def test_a_limit_keeps_the_most_likely(film):
    assert pairs(film, least=-1, limit=1) == [(1, 2)]


def test_a_project_without_a_scan_has_nothing_to_suggest(project):
    assert suggest(project).merges == ()
