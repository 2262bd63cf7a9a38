"""Long shots in spans: which there are, and how what is followed in them is joined."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrestore.scan.followed import Followed, FollowedFrame
from refrestore.scan.samples import Best, EmbeddingSample
from refrestore.scan.spans import Followings, Spans, joined


@given(
    first=st.integers(0, 50),
    count=st.integers(1, 400),
    length=st.integers(2, 60),
    overlap=st.integers(1, 20),
)
def test_spans_cover_a_shot_and_overlap(first, count, length, overlap) -> None:
    spans, stop = Spans(length, overlap), first + count
    made = {one for frame in range(first, stop) if (one := spans.complete(first, frame))}
    made.add(spans.last(first, stop))
    ordered = sorted(made, key=lambda one: one.start)
    assert ordered[0].start == first
    assert ordered[-1].stop == stop
    for early, late in itertools.pairwise(ordered):
        assert late.start - early.start == length
        assert early.stop - late.start == overlap
        assert late.stop > early.stop


def test_a_film_of_usual_shots_is_not_divided() -> None:
    spans = Spans.at(Fraction(25))
    assert spans.last(100, 100 + 12 * 25) == range(100, 400)
    assert spans.last(0, 60 * 25).start == 3 * spans.length


def track(frames: range, x: float, *, detected: int = 5) -> Followed:
    """A face at x that moves one pixel a frame, and is detected on every n-th."""
    rows, samples = [], []
    for frame in frames:
        left = x + frame
        box = np.array([left, 0, left + 40, 40], np.float32)
        points = np.array([[10, 15], [30, 15], [20, 25], [12, 32], [28, 32]], np.float32)
        seen = (frame - frames.start) % detected == 0
        judged = np.array([0.5, 1, 0, 0, 0], np.float32) if seen else None
        rows.append(
            FollowedFrame(
                frame, box, points + np.array([left, 0], np.float32), 0.9 if seen else 0.0, judged
            )
        )
        if seen:
            samples.append(EmbeddingSample(frame, 0.5, np.eye(512, dtype=np.float32)[0]))
    return Followed(rows, Best(samples))


def test_each_face_goes_on_in_the_next_span() -> None:
    spans = [range(30), range(20, 50), range(40, 60)]
    parts = [Followings([track(span, 0), track(span, 100)], len(span)) for span in spans]
    found = joined(parts)
    assert [[row.frame for row in one.rows] for one in found.tracks] == [list(range(60))] * 2
    for one, x in zip(found.tracks, (0, 100), strict=True):
        assert [row.box[0] for row in one.rows] == [x + frame for frame in range(60)]
    assert found.detections == 80


def test_a_face_that_was_seen_in_both_is_counted_once() -> None:
    (one,) = joined(
        [Followings([track(range(30), 0)], 6), Followings([track(range(20, 40), 0)], 4)]
    ).tracks
    frames = [sample.frame for sample in one.best.samples]
    assert frames == [0, 5, 10, 15, 20, 25, 30, 35]


def test_who_comes_or_goes_is_alone() -> None:
    early = [track(range(15), 0), track(range(30), 100)]
    late = [track(range(20, 50), 100), track(range(25, 50), 200)]
    found = joined([Followings(early, 6), Followings(late, 6)]).tracks
    assert [(one.first, one.last) for one in found] == [(0, 14), (0, 49), (25, 49)]


def test_a_face_goes_on_with_one_track_only() -> None:
    late = [track(range(20, 50), 2), track(range(20, 50), 0)]
    found = joined([Followings([track(range(30), 0)], 6), Followings(late, 6)]).tracks
    assert [(one.first, one.last) for one in found] == [(0, 49), (20, 49)]


@pytest.mark.parametrize("parts", [[], [Followings([], 3), Followings([], 2)]])
def test_nobody(parts) -> None:
    assert joined(parts).tracks == []
