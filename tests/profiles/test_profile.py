from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrestore.errors import ProfileError
from refrestore.profiles import Profile, match
from refrestore.profiles.choice import choose
from refrestore.profiles.cosines import cosines
from refrestore.profiles.profile import MATCH_MARGIN, MATCH_THRESHOLD


def unit(*values):
    vector = np.zeros(512, np.float32)
    vector[: len(values)] = values
    return vector / np.linalg.norm(vector)


def at(similarity, axis=0, off=5):
    """Return a unit vector of this cosine to an axis."""
    vector = np.zeros(512, np.float32)
    vector[axis], vector[off] = similarity, np.sqrt(1 - similarity**2)
    return vector


@pytest.fixture
def person(make):
    def build(name, axis, **options):
        direction = np.eye(512, dtype=np.float32)[axis]
        return Profile(name, (replace(make.reference(axis), embedding=direction),), **options)

    return build


def test_statistics(make):
    embeddings = [unit(1, 0.2), unit(1, -0.2), unit(1, 0, 0.1)]
    references = [replace(make.reference(i), embedding=e) for i, e in enumerate(embeddings)]
    profile = Profile("Anna", tuple(references))
    mean = np.mean(embeddings, axis=0)
    np.testing.assert_allclose(profile.centroid, mean / np.linalg.norm(mean), atol=1e-6)
    assert profile.spread == pytest.approx(np.std(np.stack(embeddings) @ profile.centroid))
    assert profile.statistics.count == 3


def test_a_profile_needs_a_reference():
    with pytest.raises(ProfileError, match="no reference"):
        Profile("Anna", ())


@pytest.mark.parametrize(
    ("embedding", "expected"),
    [
        (at(MATCH_THRESHOLD + 0.01), "Anna"),
        (at(MATCH_THRESHOLD - 0.01), None),
        (unit(1, 1), None),  # as near to Anna as to Bert
        (unit(1, 1 - 2 * MATCH_MARGIN), "Anna"),
        (at(1, axis=1, off=5), "Bert"),
        (-at(1), None),
    ],
)
def test_a_match_is_near_and_clearly_ahead(person, embedding, expected):
    profiles = [person("Anna", 0), person("Bert", 1)]
    answer = match(embedding, profiles)
    assert answer.name == expected
    scores = sorted((one.similarity(embedding) for one in profiles), reverse=True)
    assert answer.similarity == pytest.approx(scores[0])
    assert answer.margin == pytest.approx(scores[0] - scores[1])


def test_nobody_is_known_without_profiles():
    assert match(at(1), []) == (None, 0.0, 0.0, None, 1.0)


def test_tracks_need_less_likeness_and_less_lead_than_one_picture(person):
    anna, bert = person("Anna", 0, threshold=0.5), person("Bert", 1, threshold=0.5)
    needed = anna.cosines.track
    assert needed < 0.5
    assert anna.track_threshold == needed
    assert person("Carl", 2, threshold=0.3).track_threshold == 0.3
    assert match(at(0.4), [anna]).name is None
    found = match(at(0.4), [anna], tracks=True)
    assert (found.name, found.least) == ("Anna", needed)
    assert match(at(needed - 0.01), [anna], tracks=True).name is None
    near = at(0.6).copy()
    near[1] = 0.53  # ahead by .07
    assert match(near, [anna, bert], tracks=True).name == "Anna"
    assert match(near, [anna, bert]).name is None
    near[1] = 0.57
    assert match(near, [anna, bert], tracks=True).name is None


def test_clear_tracks_contradict_who_is_linked_only_plainly(person):
    anna = person("Anna", 0)
    least = 0.75 * anna.cosines.track
    assert anna.may_be(at(least + 0.01))
    assert not anna.may_be(at(least - 0.01))
    assert not anna.belongs(at(least + 0.01))


def test_a_profile_has_its_own_threshold(person):
    strict = person("Anna", 0, threshold=0.9)
    assert match(at(0.8), [strict]).name is None
    assert match(at(0.8), [strict]).nearest == "Anna"
    assert match(at(0.8), [strict], threshold=0.5).name == "Anna"


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_matching_does_not_depend_on_order(make, seed, count):
    rng = np.random.default_rng(seed)
    profiles = [Profile(f"p{i}", (make.reference(int(rng.integers(1000))),)) for i in range(count)]
    embedding = make.reference(int(rng.integers(1000))).embedding
    answer = match(embedding, profiles)
    again = match(embedding, [profiles[i] for i in rng.permutation(count)])
    assert (again.name, again.similarity) == (answer.name, answer.similarity)


def test_embeddings_of_two_networks_are_not_compared(person):
    anna = person("Anna", 0, recogniser="edgeface")
    assert match(at(0.9), [anna], recogniser="edgeface").name == "Anna"
    assert match(at(0.9), [anna]).name == "Anna"
    with pytest.raises(ProfileError, match="made with edgeface and cannot be compared"):
        match(at(0.9), [anna], recogniser="w600k_r50")


def test_somebody_else_is_refused(person, make):
    anna = person("Anna", 0)
    own = replace(make.reference(7), embedding=at(cosines("").belongs + 0.05))
    other = replace(make.reference(8), embedding=at(cosines("").belongs - 0.05), source="bert.jpg")
    assert anna.belongs(own)
    assert not anna.belongs(other)
    assert len(anna.extended([own]).references) == 2
    with pytest.raises(ProfileError, match=r"bert\.jpg is not Anna: its similarity is 0\.30"):
        anna.extended([own, other])


def test_chosen_references_cover_poses(make):
    def looking(seed, yaw, quality):
        pose = np.array([yaw, 0, 0], np.float32)
        return replace(make.reference(seed, quality), pose=pose)

    ahead = [looking(i, i * 0.1, 0.9 - 0.01 * i) for i in range(10)]
    sides = [looking(20, -40, 0.5), looking(21, 40, 0.4)]
    chosen = choose([*ahead, *sides, *ahead], limit=4)
    assert chosen[0] is ahead[0]
    assert {id(one) for one in sides} <= {id(one) for one in chosen}
    assert len(choose([*ahead, *ahead], limit=24)) == 10
