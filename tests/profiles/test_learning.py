"""What a profile keeps and remembers when it learns from the next film."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrestore.errors import ProfileError
from refrestore.faces.network_id import NetworkId
from refrestore.profiles import Profile
from refrestore.profiles.choice import (
    BEST_KEPT,
    MAX_REFERENCES,
    POSE_UNIT,
    digest,
    refresh,
)
from refrestore.profiles.profile import Memory
from refrestore.types import Reference

BASE = np.zeros((512, 512, 3), np.uint8)


def looking(seed, yaw, quality, pitch=0.0, embedding=None):
    rng = np.random.default_rng(seed)
    image = BASE.copy()
    image[0, 0] = seed % 251, seed // 251 % 251, seed // 63001
    if embedding is None:
        embedding = np.eye(512)[0] + 0.02 * rng.normal(size=512)
        embedding = (embedding / np.linalg.norm(embedding)).astype(np.float32)
    return Reference(
        image=image,
        landmarks=np.zeros((468, 2), np.float32),
        embedding=embedding,
        pose=np.array([yaw, pitch, 0], np.float32),
        sharpness=0.5,
        quality=quality,
        native_size=200.0,
        source=f"close-up {seed}",
    )


def square(one):
    return tuple(np.round(one.pose[:2] / POSE_UNIT).astype(int))


@pytest.fixture
def anna():
    """Ten good faces from the front, two poor ones from the sides."""
    front = [looking(i, i * 0.3, 0.9 - 0.01 * i) for i in range(10)]
    return Profile("Anna", (*front, looking(20, -45, 0.2), looking(21, 45, 0.25)))


@pytest.mark.parametrize("step", [0.0, 0.7, 3.0])
def test_mediocre_close_ups_displace_nothing_good(anna, step):
    """Twenty-four, all better than the poor views from the sides, alike or far apart."""
    film = [looking(100 + i, (i - 12) * step, 0.4, (i % 5 - 2) * 4 * step) for i in range(24)]
    learnt = anna.extended(film)
    assert len(learnt.references) == MAX_REFERENCES
    kept = set(map(digest, learnt.references))
    assert {digest(one) for one in anna.references[:BEST_KEPT]} <= kept
    assert {digest(one) for one in anna.references[-2:]} <= kept
    again = learnt
    for film_number in range(2, 6):  # and however often
        again = again.extended(
            looking(1000 * film_number + i, (i - 12) * step, 0.4, i % 3) for i in range(24)
        )
    kept = set(map(digest, again.references))
    assert {digest(one) for one in anna.references[:BEST_KEPT]} <= kept
    assert {digest(one) for one in anna.references[-2:]} <= kept


def test_better_close_ups_take_the_place_of_worse_ones(anna):
    film = [looking(200, -44, 0.8), looking(201, 70, 0.5)]
    film += [looking(300 + i, 2, 0.3) for i in range(20)]
    learnt = anna.extended(film)
    assert {"close-up 200", "close-up 201"} <= {one.source for one in learnt.references}
    assert "close-up 0" in {one.source for one in learnt.references}


faces = st.lists(
    st.tuples(st.integers(-60, 60), st.integers(-30, 30), st.integers(1, 100)), max_size=40
)


@given(faces.filter(bool), faces)
def test_nothing_is_forgotten(old, new):
    before = [looking(i, yaw, q / 100, pitch) for i, (yaw, pitch, q) in enumerate(old[:24])]
    more = [looking(500 + i, yaw, q / 100, pitch) for i, (yaw, pitch, q) in enumerate(new)]
    kept = refresh(before, more)
    assert len(kept) == min(MAX_REFERENCES, len(before) + len(more))
    assert len(set(map(digest, kept))) == len(kept)
    for one in before:  # every pose is still shown, as well as before or better
        same = [other.quality for other in kept if square(other) == square(one)]
        assert same
        assert max(same) >= one.quality
    squares = len({square(one) for one in before})
    if squares <= MAX_REFERENCES - BEST_KEPT:
        best = sorted((one.quality for one in [*before, *more]), reverse=True)[:BEST_KEPT]
        assert sorted((one.quality for one in kept), reverse=True)[: len(best)] == best


def test_what_is_not_kept_is_remembered(anna):
    film = [looking(400 + i, 5, 0.1) for i in range(30)]
    learnt = anna.extended(film)
    assert learnt.statistics.count == 12 + 30
    everything = np.stack([one.embedding for one in (*anna.references, *film)])
    mean = everything.mean(axis=0)
    np.testing.assert_allclose(learnt.centroid, mean / np.linalg.norm(mean), atol=1e-5)
    again = learnt.extended(film)
    assert again.statistics.count == 42
    np.testing.assert_array_equal(again.centroid, learnt.centroid)
    assert again.references == learnt.references


def test_a_large_album_is_remembered_when_a_profile_is_made():
    album = [looking(i, i % 40, 0.5) for i in range(60)]
    made = Profile.chosen("Anna", [*album, album[0]], NetworkId("net", "a" * 16))
    assert (len(made.references), made.statistics.count) == (MAX_REFERENCES, 60)


def test_a_stranger_among_close_ups_changes_nothing(anna):
    stranger = looking(900, 0, 0.9, embedding=np.eye(512, dtype=np.float32)[3])
    with pytest.raises(ProfileError, match=r"close-up 900 is not Anna: its similarity is -?0\.0"):
        anna.extended([looking(901, 0, 0.9), stranger])


def test_memories_are_not_counted_twice(anna):
    film = [looking(400 + i, 5, 0.1) for i in range(20)]
    one = Memory().with_references(film[:10])
    other = Memory().with_references(film[5:])
    assert len(one.with_memory(other).digests) == 15 == len(other.with_memory(one).digests)
    apart = one.with_memory(Memory().with_references(film[10:]))
    assert len(apart.digests) == 20
    np.testing.assert_allclose(apart.total, np.sum([f.embedding for f in film], axis=0), atol=1e-5)
    assert one.with_memory(Memory().with_references(film[10:]), [film[12]]) is one
    assert replace(anna, memory=one).statistics.count == 22
