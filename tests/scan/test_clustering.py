import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from refrestore.scan.clustering import Constraints, cluster_tracks, cooccurring
from refrestore.types import Track


def unit(vector):
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def tracks_of(people, parts, *, spread=0.9, seed=0, weak=()):
    """`parts` tracks for each of `people`, ids counted person by person."""
    rng = np.random.default_rng(seed)
    tracks = []
    for _person in range(people):
        centre = unit(rng.normal(size=512))
        for _ in range(parts):
            number = len(tracks)
            embedding = unit(centre + spread * unit(rng.normal(size=512)))
            first = 10 * number
            tracks.append(
                Track(number, 0, first, first + 5, embedding, 0.8, 0.5, 80, number in weak)
            )
    return tracks


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 8), st.integers(1, 12), st.integers(0, 100))
def test_people_are_found(people, parts, seed):
    groups = cluster_tracks(tracks_of(people, parts, seed=seed), Constraints(), threshold=0.4)
    assert sorted(groups) == [
        tuple(range(person * parts, (person + 1) * parts)) for person in range(people)
    ]


def test_order_of_tracks_does_not_matter():
    tracks = tracks_of(5, 7, spread=1.4)
    groups = cluster_tracks(tracks, Constraints(), threshold=0.3)
    turned = cluster_tracks(tracks[::-1], Constraints(), threshold=0.3)
    assert sorted(groups) == sorted(turned)


def test_two_in_one_picture_are_two_people():
    tracks = tracks_of(1, 4, spread=0.2)
    constraints = Constraints(cannot=frozenset({(0, 1)}), must=((0, 1), (1, 2)))
    groups = cluster_tracks(tracks, constraints, threshold=0.4)
    home = {track: group for group in groups for track in group}
    assert home[0] != home[1]
    assert home[1] == home[2]


def test_cannot_link_is_inherited_by_the_group():
    tracks = tracks_of(1, 6, spread=0.2)
    constraints = Constraints(cannot=frozenset({(0, 5), (1, 5), (2, 4)}))
    for group in cluster_tracks(tracks, constraints, threshold=0.3):
        assert not any(first in group and second in group for first, second in constraints.cannot)


def test_must_link_joins_what_does_not_look_alike():
    tracks = tracks_of(2, 2)
    groups = cluster_tracks(tracks, Constraints(must=((0, 3),)), threshold=0.4)
    assert (0, 3) in [tuple(track for track in group if track in (0, 3)) for group in groups]


def test_chain_of_likenesses_does_not_merge_strangers():
    # Neighbours along an arc are alike (cosine 0.87), its ends are not (-0.5).
    angles = np.radians(np.arange(0, 150, 30))
    tracks = []
    for number, angle in enumerate(angles):
        embedding = np.zeros(512, np.float32)
        embedding[:2] = np.cos(angle), np.sin(angle)
        tracks.append(Track(number, 0, number, number + 1, embedding, 1.0, 1.0, 80, False))
    for group in cluster_tracks(tracks, Constraints(), threshold=0.7):
        assert not {0, 4} <= set(group)


def test_weak_tracks_join_but_found_nothing():
    tracks = tracks_of(2, 4, weak=(3, 4, 5, 6, 7))
    groups = cluster_tracks(tracks, Constraints(), threshold=0.4)
    assert groups == [(0, 1, 2, 3)]
    constraints = Constraints(cannot=frozenset({(0, 3)}))
    assert cluster_tracks(tracks, constraints, threshold=0.4) == [(0, 1, 2)]


def blurred(number, embedding, *, weight=0.05, quality=0.02, size=80.0, frames=30):
    first = 100 * number
    return Track(number, 0, first, first + frames, embedding, weight, quality, size, True)


def test_who_is_only_seen_blurred_is_somebody():
    anna, bert = (track.embedding for track in tracks_of(2, 1))
    seen = [blurred(0, anna), blurred(1, bert), blurred(2, anna)]
    assert cluster_tracks(seen, Constraints(), threshold=0.4) == [(0, 2), (1,)]
    together = Constraints(cannot=frozenset({(0, 2)}))
    assert sorted(cluster_tracks(seen, together, threshold=0.4)) == [(0,), (1,), (2,)]


def test_blurred_people_must_be_more_alike_than_clear_ones_to_be_one():
    anna, bert = (track.embedding for track in tracks_of(2, 1))
    near = unit(0.45 * anna + np.sqrt(1 - 0.45**2) * unit(bert - (bert @ anna) * anna))
    assert (
        len(cluster_tracks([blurred(0, anna), blurred(1, near)], Constraints(), threshold=0.4)) == 2
    )
    nearer = unit(0.6 * anna + 0.8 * unit(bert - (bert @ anna) * anna))
    assert cluster_tracks([blurred(0, anna), blurred(1, nearer)], Constraints(), threshold=0.4) == [
        (0, 1)
    ]


def test_what_is_no_face_or_hardly_one_is_nobody():
    (anna,) = (track.embedding for track in tracks_of(1, 1))
    nothing_alike = blurred(0, anna, weight=0.02, quality=0.02)
    brief, tiny = blurred(1, anna, frames=8), blurred(2, anna, size=19.0)
    assert cluster_tracks([nothing_alike, brief, tiny], Constraints(), threshold=0.4) == []
    # Not one of its faces shows any detail, and they agree: somebody.
    dim = blurred(3, anna, weight=0.018, quality=0.0)
    assert cluster_tracks([dim], Constraints(), threshold=0.4) == [(3,)]


def test_tracks_without_embedding_and_none_at_all():
    assert cluster_tracks([], Constraints(), threshold=0.4) == []
    nobody = Track(1, 0, 0, 5, None, 0.0, 0.0, 20, True)
    assert cluster_tracks([nobody], Constraints(), threshold=0.4) == []


def test_few_neighbours_are_enough():
    groups = cluster_tracks(tracks_of(3, 40), Constraints(), threshold=0.4, neighbours=4)
    assert sorted(map(len, groups)) == [40, 40, 40]


def test_cooccurring():
    spans = [(0, 10), (7, 20), (8, 12), (30, 40)]  # 0 and 2 share two frames: no proof
    tracks = [
        Track(number, 0, first, stop, None, 0, 0, 0, True)
        for number, (first, stop) in enumerate(spans)
    ]
    assert cooccurring(tracks) == {(0, 1), (1, 2)}
