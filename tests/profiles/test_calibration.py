from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrestore.config import tree_directory
from refrestore.profiles import Profile
from refrestore.profiles.calibration import (
    HIGHEST,
    LOWEST,
    MISSES,
    STRANGERS_LEAST,
    STRANGERS_MOST,
    calibrated,
    left_out,
    takes,
)
from refrestore.profiles.cosines import TYPICAL, cosines

NETWORKS = ("recogniser", "edgeface_xs.fp32", "never heard of")


def around(axis, similarity, count, seed=0):
    """Return (count, 512) unit vectors of a cosine to an axis, apart from one another else."""
    rng = np.random.default_rng(seed)
    away = rng.normal(size=(count, 512))
    away[:, :20] = 0
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    rows = np.sqrt(1 - similarity**2) * away
    rows[:, axis] = similarity
    return rows.astype(np.float32)


@pytest.fixture
def person(make):
    plain = make.reference(0)

    def build(embeddings, recogniser="recogniser"):
        references = tuple(
            replace(plain, embedding=row, source=f"album/{number}.jpg")
            for number, row in enumerate(embeddings)
        )
        return Profile("Anna", references, recogniser)

    return build


def test_left_out_similarities(person):
    rows = around(0, 0.8, 5)
    expected = []
    for number in range(5):
        rest = np.delete(rows, number, axis=0).sum(axis=0)
        expected.append(rows[number] @ rest / np.linalg.norm(rest))
    np.testing.assert_allclose(left_out(person(rows)), expected, atol=1e-5)
    assert len(left_out(person(rows[:1]))) == 0


@pytest.mark.parametrize("network", NETWORKS)
def test_a_tight_person_can_be_strict_and_a_wide_one_cannot(person, network):
    tight = calibrated(person(around(0, 0.97, 12), network))
    wide = calibrated(person(around(0, 0.45, 12), network))
    strangers = cosines(network).strangers
    assert tight.threshold == pytest.approx(strangers.inv_cdf(1 - STRANGERS_LEAST), abs=1e-3)
    assert strangers.inv_cdf(1 - STRANGERS_MOST) - 1e-3 <= wide.threshold <= tight.threshold
    assert tight.calibration.strangers == pytest.approx(STRANGERS_LEAST, rel=0.1)
    assert tight.calibration.misses < MISSES
    assert wide.calibration.misses > tight.calibration.misses


def test_misses_are_expected_where_faces_are_far_apart(person):
    lost = calibrated(person(around(0, 0.35, 24))).calibration
    assert lost.misses > 0.5  # leave-one-out, they have about 0.3 in common
    assert lost.strangers <= STRANGERS_MOST * 1.1


def test_one_take_says_as_much_as_one_photo(person):
    """Close-ups of one minute are alike; they do not foretell the next film's."""
    album = person(around(0, 0.97, 12))
    one_take, two_takes, films = (
        replace(
            album,
            references=tuple(
                replace(one, source=source.format(number))
                for number, one in enumerate(album.references)
            ),
        )
        for source in ("film.mp4 at 3{:02}.500 s", "film.mp4 at {}0.040 s", "film {}.mp4 at 1.0 s")
    )
    counts = [takes(one.references) for one in (album, one_take, two_takes, films)]
    assert counts == [12, 1, 2, 12]
    misses = [calibrated(one).calibration.misses for one in (one_take, two_takes, films, album)]
    assert misses == sorted(misses, reverse=True)
    assert misses[0] > 5 * misses[3]
    assert misses[2] == misses[3]
    single = calibrated(person(around(0, 0.97, 1))).calibration.misses
    assert single / 2 < misses[0] < single


def test_nobody_is_surprised_by_more_misses_than_twice_those_expected():
    """Measured of 27 people, by `benchmarks/profile_matching.py`."""
    file = tree_directory("profiles").parent / "benchmarks" / "profile_matching.json"
    if not file.is_file():
        pytest.skip("no working tree")
    for pack in json.loads(file.read_text()).values():
        for row in pack["open_set"]:
            assert 0.5 < row["misses"] / row["misses_expected"] < 2, (pack["recogniser"], row)


def test_the_people_of_the_store_move_the_threshold(person):
    anna = person(around(0, 0.97, 8))
    far = [around(axis, 0.9, 3, seed=axis) for axis in range(1, 9)]
    near = [rows + 0.35 * np.eye(512, dtype=np.float32)[0] for rows in far]
    near = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in near]
    alone, strangers, alike = calibrated(anna), calibrated(anna, far), calibrated(anna, near)
    assert strangers.threshold < alone.threshold < alike.threshold
    assert [one.calibration.profiles for one in (alone, strangers, alike)] == [0, 8, 8]
    again = calibrated(anna, [around(0, 0.97, 4, seed=9)])
    assert again.calibration == alone.calibration  # the same person under another name


@given(st.integers(0, 1000), st.integers(1, 12), st.floats(0.05, 0.999), st.sampled_from(NETWORKS))
def test_thresholds_are_sane(make, seed, count, similarity, network):
    rows = around(0, similarity, count, seed)
    plain = make.reference(0)
    references = [
        replace(plain, embedding=row, source=f"film.mp4 at {50 * number}.000 s")
        for number, row in enumerate(rows)
    ]
    profile = Profile("A", tuple(references), network)
    found = calibrated(profile, [around(0, 0.2, 3), around(1, 0.9, 2)])
    assert LOWEST <= found.threshold <= HIGHEST
    assert 0 <= found.calibration.misses <= 1
    assert 0 < found.calibration.strangers < 0.02
    assert calibrated(found, [around(0, 0.2, 3), around(1, 0.9, 2)]).threshold == found.threshold


@pytest.mark.parametrize("network", NETWORKS)
def test_models_of_recognisers_hold_together(network):
    levels = cosines(network)
    assert levels.own_of(TYPICAL).mean == pytest.approx(levels.own.mean)
    means = [levels.own_of(count).mean for count in (1, 3, 6, 24)]
    assert means == sorted(means)
    assert levels.alike < levels.belongs < levels.people < 1


@pytest.mark.skipif(
    not (tree_directory("profiles") / "README.md").is_file(), reason="no working tree"
)
def test_the_table_is_what_was_measured():
    file = tree_directory("profiles").parent / "benchmarks" / "profile_matching.json"
    for pack in json.loads(file.read_text()).values():
        levels, measured = cosines(pack["recogniser"]), pack["cosines"]
        said = {
            "strangers_mean": levels.strangers.mean,
            "strangers_deviation": levels.strangers.stdev,
            "stranger": levels.stranger,
            "own_mean": levels.own.mean,
            "own_deviation": levels.own.stdev,
        }
        assert said == {name: pytest.approx(measured[name], abs=2e-3) for name in said}
