from fractions import Fraction

import numpy as np
import pytest

from refrestore.scan.association import (
    FORBIDDEN,
    ambiguous,
    assign,
    geometry_cost,
    overlap,
    without_returned,
)
from refrestore.scan.followed import Followed, FollowedFrame
from refrestore.scan.samples import (
    EMBEDDINGS,
    FEWEST_EYES,
    LIDS,
    MOST_CANDIDATES,
    Best,
    Candidate,
    EmbeddingSample,
    traits,
)
from refrestore.scan.tracks import finish_shot, pool

RATE = Fraction(25)
FIVE = np.array([[-10, -8], [10, -8], [0, 2], [-8, 12], [8, 12]], np.float32)


def unit(seed):
    vector = np.random.default_rng(seed).normal(size=512)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def followed(person, first, stop, place=(100, 100), speed=0.0, quality=0.5, detect=5):
    """A face of 40 px that moves evenly and is detected on a stride."""
    rows = []
    for frame in range(first, stop):
        centre = np.array(place, np.float32) + np.array([speed * (frame - first), 0], np.float32)
        box = np.concatenate([centre - 20, centre + 20]).astype(np.float32)
        seen = (frame - first) % detect == 0
        judged = np.array([quality, 0.8, 0, 0, 0], np.float32) if seen else None
        rows.append(FollowedFrame(frame, box, FIVE + centre, 0.8 if seen else 0.0, judged))
    best = Best([EmbeddingSample(first, quality, unit(person))], [])
    return Followed(rows, best)


def finish(parts):
    return finish_shot(parts, shot=3, first_id=7, rate=RATE)


def test_a_gap_of_the_same_person_is_bridged():
    parts = [followed(1, 0, 20, speed=1), followed(1, 30, 50, place=(130, 100), speed=1)]
    (track,) = finish(parts)
    assert (track.track.id, track.track.shot, track.track.first, track.track.stop) == (7, 3, 0, 50)
    assert track.faces.frame.tolist() == list(range(50))
    assert (track.faces.score[20:30] == 0).all()
    assert (track.faces.quality[20:30] == 0).all()
    assert track.faces.quality[18] > 0
    assert (track.faces.track == 7).all()
    centre = (track.faces.box[:, 0] + track.faces.box[:, 2]) / 2
    np.testing.assert_allclose(centre, 100 + np.arange(50), atol=0.5)


@pytest.mark.parametrize(
    "late",
    [
        followed(2, 30, 50),  # somebody else
        followed(1, 60, 80),  # too long after
        followed(1, 30, 50, place=(400, 100)),  # elsewhere
    ],
)
def test_other_gaps_are_not(late):
    assert len(finish([followed(1, 0, 20), late])) == 2


def test_a_gap_waits_for_who_was_seen_in_it():
    # Turned away for a moment, the same person is less like either side than they are alike.
    turned = followed(1, 13, 17)
    turned.best.samples = [EmbeddingSample(13, 0.5, (unit(1) + unit(2)) / np.float32(np.sqrt(2)))]
    (track,) = finish([followed(1, 0, 10), turned, followed(1, 20, 40)])
    assert (track.track.first, track.track.stop) == (0, 40)
    assert track.faces.score[13] > 0


def test_a_track_that_changes_over_to_another_person_is_divided():
    part = followed(1, 0, 100)
    part.best.samples = [
        EmbeddingSample(frame, 0.5, unit(1 if frame < 60 else 2)) for frame in range(0, 100, 10)
    ]
    part.best.candidates = [candidate(frame=20), candidate(frame=80, person=2)]
    early, late = finish([part])
    assert (early.track.stop, late.track.first) == (55, 55)
    assert early.track.embedding @ unit(1) > 0.99
    assert late.track.embedding @ unit(2) > 0.99
    assert [face.frame for face in late.candidates] == [80]


def test_a_track_of_three_people_is_divided_twice():
    part = followed(1, 0, 120)
    part.best.samples = [
        EmbeddingSample(frame, 0.5, unit(1 + frame // 40)) for frame in range(0, 120, 10)
    ]
    assert [(one.track.first, one.track.stop) for one in finish([part])] == [
        (0, 35),
        (35, 75),
        (75, 120),
    ]


def test_one_odd_embedding_does_not_divide_a_track():
    part = followed(1, 0, 100)
    part.best.samples = [
        EmbeddingSample(frame, 0.5, unit(1 + (frame == 50))) for frame in range(0, 100, 10)
    ]
    assert len(finish([part])) == 1


def test_duplicates_and_doubtful_faces_are_dropped():
    twin = followed(5, 5, 15, place=(103, 100), detect=9)
    doubtful = followed(6, 10, 14, place=(300, 100))
    doubtful.rows[0].score = 0.55
    sure = followed(7, 10, 14, place=(500, 100))
    kept = finish([followed(1, 0, 20), twin, doubtful, sure])
    assert [(part.track.first, part.track.stop) for part in kept] == [(0, 20), (10, 14)]


def test_a_doubtful_thing_seen_twice_is_no_face():
    thing = followed(1, 0, 10)
    for row in thing.rows:
        row.score = min(row.score, 0.59)
    assert len(thing.detections) == 2
    assert finish([thing]) == []
    again = followed(1, 0, 15)
    for row in again.rows:
        row.score = min(row.score, 0.59)
    assert len(finish([again])) == 1


def test_a_face_followed_twice_for_a_while_is_one_track():
    early = followed(1, 0, 30)
    late = followed(1, 22, 60, place=(108, 100), detect=5)
    late.best.samples = [EmbeddingSample(50, 0.9, unit(1))]
    (one,) = finish([early, late])
    assert (one.track.first, one.track.stop) == (0, 60)
    assert list(one.faces.frame) == list(range(60))
    beside = followed(2, 22, 60, place=(190, 100))
    assert len(finish([followed(1, 0, 30), beside])) == 2


def test_an_end_that_slipped_onto_another_face_is_cut_off():
    passing = followed(1, 0, 40)
    hidden = followed(2, 0, 25, place=(400, 100))
    for row in hidden.rows[20:]:  # nobody detected it there; the mesh went over
        row.box, row.keypoints = passing.rows[row.frame].box, passing.rows[row.frame].keypoints
        row.score = 0.0
    kept = finish([passing, hidden])
    assert sorted(part.track.stop for part in kept) == [20, 40]


def test_blurred_and_tiny_tracks_are_weak():
    (clear,), (poor,) = finish([followed(1, 0, 20)]), finish([followed(1, 0, 20, quality=0.01)])
    assert not clear.track.weak
    assert poor.track.weak
    assert finish([]) == []


def test_pool_trusts_agreement_and_quality():
    same = [EmbeddingSample(frame, 0.5, unit(1)) for frame in range(3)]
    embedding, trust = pool(same)
    np.testing.assert_allclose(embedding, unit(1), atol=1e-6)
    assert trust == pytest.approx(1, abs=1e-5)
    _, mixed = pool([EmbeddingSample(0, 0.5, unit(1)), EmbeddingSample(1, 0.5, unit(2))])
    _, poor = pool([EmbeddingSample(0, 0.05, unit(1))])
    assert mixed < 0.85
    assert poor == pytest.approx(0.2, abs=1e-5)
    led, _ = pool([EmbeddingSample(0, 0.9, unit(1)), EmbeddingSample(1, 0.1, unit(2))])
    assert led @ unit(1) > 0.95
    assert pool([]) == (None, 0.0)


def boxes(*rows):
    return np.array(rows, np.float32)


def test_overlap_and_cost():
    first, second = boxes((0, 0, 10, 10)), boxes((5, 0, 15, 10), (100, 0, 110, 10), (0, 0, 30, 30))
    np.testing.assert_allclose(overlap(first, second)[0, :2], [1 / 3, 0])
    cost = geometry_cost(first, second)[0]
    assert cost[0] < 1
    assert (cost[1:] == 1000).all()


def test_clear_pairs_need_no_identity_and_crossing_ones_use_it():
    tracks = boxes((0, 0, 40, 40), (30, 0, 70, 40), (300, 0, 340, 40))
    found = boxes((16, 0, 56, 40), (14, 0, 54, 40), (302, 0, 342, 40))
    cost = geometry_cost(tracks, found)
    open_tracks, open_found = ambiguous(cost, overlap(tracks, found))
    assert open_tracks.tolist() == open_found.tolist() == [0, 1]
    alike = np.array([[0.7, 0.0, np.nan], [0.0, 0.7, np.nan], [np.nan] * 3])
    assert assign(cost, alike).detections.tolist() == [0, 1, 2]
    assert assign(cost, alike[[1, 0, 2]]).detections.tolist() == [1, 0, 2]


def candidate(yaw=0.0, quality=0.6, size=120.0, sharpness=0.9, person=1, frame=0, openness=0.5):
    pose = np.array([yaw, 0, 0], np.float32)
    return Candidate(
        frame=frame,
        close_up=None,
        embedding=unit(person),
        pose=pose,
        traits=traits(pose, 0.0, 0.5),
        sharpness=sharpness,
        quality=quality,
        native_size=size,
        openness=openness,
    )


def test_what_is_kept_of_a_track_is_bounded_and_varied():
    best = Best()
    rng = np.random.default_rng(0)
    for frame in range(200):
        quality = float(rng.uniform(0.2, 0.8))
        face = candidate(yaw=0 if frame % 50 else frame / 2 - 50, quality=quality, frame=frame)
        if best.wants_sample(quality):
            best.add_sample(EmbeddingSample(frame, quality, unit(1)))
        if best.wants_candidate(quality, face.traits):
            best.add_candidate(face)
    assert len(best.samples) == EMBEDDINGS
    assert min(sample.quality for sample in best.samples) > 0.7
    assert len(best.candidates) == MOST_CANDIDATES
    assert {-50.0, -25.0, 25.0} <= {float(kept.pose[0]) for kept in best.candidates}


def test_a_blink_takes_nobodys_place_on_a_track():
    best = Best()
    for frame in range(200):
        shut = frame % 4 == 3  # a better face in every other respect
        face = candidate(
            yaw=frame * 0.618 % 1 * 80 - 40,
            quality=0.8 if shut else 0.6,
            frame=frame,
            openness=0.2 if shut else 0.5,
        )
        if best.wants_candidate(face.quality, face.traits, face.openness):
            best.add_candidate(face)
    kept = best.telling()
    assert len(kept) == MOST_CANDIDATES + LIDS
    assert sum(face.openness == 0.2 for face in kept) == LIDS
    assert all(face.open_level == pytest.approx(0.5, abs=0.02) for face in kept)


def test_what_open_eyes_are_like_is_known_from_five_faces_on():
    best = Best()
    for frame in range(FEWEST_EYES):
        assert np.isnan(best.eyes.level())
        best.wants_candidate(0.5, candidate().traits, 0.3 if frame else 0.1)
    assert best.eyes.level() == pytest.approx(0.3, abs=0.02)
    early, late = best.divided(50)  # of two people, nobody knows whose eyes they were
    assert np.isnan(early.eyes.level())
    late.merge(best)
    assert late.eyes.level() == best.eyes.level()


def test_who_was_lost_lately_makes_a_lonely_pair_doubtful():
    cost, overlaps = np.array([[0.1]]), np.array([[0.9]])
    assert not len(ambiguous(cost, overlaps)[0])
    assert not len(ambiguous(cost, overlaps, np.zeros((0, 1)))[0])
    assert not len(ambiguous(cost, overlaps, np.array([[FORBIDDEN]]))[0])
    assert ambiguous(cost, overlaps, np.array([[0.5]]))[1].tolist() == [0]


def test_a_detection_goes_to_who_was_lost_if_it_is_clearly_him():
    here = np.array([[0.2, 0.7, np.nan]])
    lost = np.array([[0.6, 0.6, 0.6], [np.nan, np.nan, np.nan]])
    changed = without_returned(here, lost)
    assert changed[0, 0] == -1
    assert changed[0, 1] == 0.7
    assert np.isnan(changed[0, 2])  # nothing is known of the track: geometry decides
    np.testing.assert_array_equal(without_returned(here, np.full((1, 3), np.nan)), here)
    assert not len(assign(np.array([[0.1]]), changed[:, :1]).tracks)
