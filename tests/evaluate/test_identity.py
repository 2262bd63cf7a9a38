"""B-cubed against its definition, item by item; open-set rates on vectors made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrestore.evaluate.identity import bcubed, open_set


def by_definition(people, clusters, weights):
    clusters = [("alone", i) if c is None else c for i, c in enumerate(clusters)]
    precision = recall = 0.0
    items = range(len(people))
    for i in items:
        together = [j for j in items if clusters[j] == clusters[i]]
        own = [j for j in items if people[j] == people[i]]
        both = sum(weights[j] for j in together if j in own)
        precision += weights[i] * both / sum(weights[j] for j in together)
        recall += weights[i] * both / sum(weights[j] for j in own)
    return precision / sum(weights), recall / sum(weights)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from([None, 1, 2, 3]),
            st.floats(0.5, 9),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_bcubed_is_its_definition(items):
    people, clusters, weights = zip(*items, strict=True)
    score = bcubed(people, clusters, weights)
    precision, recall = by_definition(people, clusters, weights)
    assert score.precision == pytest.approx(precision)
    assert score.recall == pytest.approx(recall)


def test_bcubed_of_known_cases():
    assert bcubed("aabb", [1, 1, 2, 2]).f == 1
    merged = bcubed("aabb", [1, 1, 1, 1])
    assert (merged.precision, merged.recall) == (0.5, 1)
    split = bcubed("aaaa", [1, 1, 2, None])
    assert split.precision == 1
    assert split.recall == pytest.approx((0.5 + 0.5 + 0.25 + 0.25) / 4)
    with pytest.raises(ValueError, match="same length"):
        bcubed("ab", [1])


def test_open_set_needs_threshold_and_lead():
    centroids = np.eye(3, 512, dtype=np.float32)

    def face(*values):
        vector = np.zeros(512, np.float32)
        vector[: len(values)] = values
        vector[-1] = np.sqrt(1 - np.square(values).sum())
        return vector

    known = np.stack([face(0.6), face(0, 0.3), face(0.5, 0.55), face(0, 0.6)])
    strangers = np.stack([face(0.1), face(0.45)])
    rates = open_set(
        known, np.array([0, 1, 1, 0]), strangers, centroids, thresholds=0.4, margin=0.1
    )
    assert rates.found == 0.25  # the second is below, the third not ahead, the fourth another's
    assert rates.confused == 0.25
    assert rates.unknown == 0.5
    strict = np.array([0.5, 0.4, 0.4], np.float32)
    again = open_set(
        known, np.array([0, 1, 1, 0]), strangers, centroids, thresholds=strict, margin=0.1
    )
    assert again.unknown == 1
