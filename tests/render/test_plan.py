"""Gates: who is restored, how much, and why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrestore.config import RenderSettings
from refrestore.render.need import need, references_resolve
from refrestore.render.plan import FADE_FRAMES, plan_tracks
from refrestore.types import Faces, Identity, Track

FAR, SHARP = 0.3, 1.0
"""Sharpness of a far face in a compressed film, and of a photograph."""

CLOSE_UPS = 200.0
"""What the person's references resolve, pixels."""


def faces(
    size: np.ndarray | float, count: int = 60, *, sharpness: float = FAR, yaw: float = 0.0
) -> Faces:
    sizes = np.broadcast_to(np.asarray(size, np.float32), (count,))
    box = np.zeros((count, 4), np.float32)
    box[:, 2:] = sizes[:, None]
    return Faces(
        frame=np.arange(100, 100 + count),
        box=box,
        keypoints=np.zeros((count, 5, 2), np.float32),
        score=np.ones(count, np.float32),
        sharpness=np.full(count, sharpness, np.float32),
        pose=np.tile(np.float32([yaw, 0, 0]), (count, 1)),
        track=np.full(count, 7),
    )


TRACK = Track(7, 0, 100, 160, None, 0.0, 0.5, 60.0, weak=False)
PERSON = Identity(3, "Anna", "restore", (7,), 2.4, 60, 5)


def plan(
    table: Faces,
    person: Identity | None = PERSON,
    *,
    references: float | None = CLOSE_UPS,
    **settings: float,
):
    people = [] if person is None else [person]
    return plan_tracks(
        [TRACK],
        lambda track: table,
        people,
        RenderSettings(**settings),
        references={} if references is None else {PERSON.id: references},
    )[0]


def test_a_far_face_is_restored_fully_from_near_references() -> None:
    assert np.all(plan(faces(60)).strength > 0.99)
    assert np.all(plan(faces(330, sharpness=0.0), references=300).strength > 0.9)


@pytest.mark.parametrize(
    ("table", "person", "reason"),
    [
        (faces(230, sharpness=SHARP), PERSON, "sharp already"),
        (faces(150, sharpness=SHARP), PERSON, "as sharp as its references"),
        (faces(10), PERSON, "too small"),
        (faces(60, yaw=88), PERSON, "turned away"),
        (faces(60), replace(PERSON, state="ignore"), "ignored"),
        (faces(60), replace(PERSON, state="not_a_face"), "not a face"),
        (faces(60), None, "no identity"),
    ],
)
def test_a_face_is_left_alone_with_its_reason(table, person, reason) -> None:
    made = plan(table, person)
    assert made.reason == reason
    assert made.reasons == (reason,) * len(table)
    assert not made.strength.any()


@pytest.mark.parametrize(("size", "sharpness"), [(330, 0.5), (330, 0.25), (190, 0.5), (150, SHARP)])
def test_a_face_as_sharp_as_its_references_is_left_alone(size: float, sharpness: float) -> None:
    own = references_resolve([size], [sharpness])
    made = plan(faces(size, sharpness=sharpness), references=own)
    assert made.reason == "as sharp as its references"
    assert not made.strength.any()


@pytest.mark.parametrize(("size", "sharpness"), [(40, 0.5), (100, 0.25), (140, 0.5), (330, 0.0)])
def test_a_soft_face_as_sharp_as_its_references_is_drawn_without_them(size, sharpness) -> None:
    own = references_resolve([size], [sharpness])
    made = plan(faces(size, sharpness=sharpness), references=own)
    assert not made.referenced
    assert made.strength.min() > 0.9
    better = plan(faces(size, sharpness=sharpness), references=2 * own)
    assert better.referenced
    assert better.strength.min() > 0.9
    assert plan(faces(size, sharpness=sharpness, yaw=88), references=own).reason == "turned away"


def test_the_middle_one_of_the_five_best_references_counts() -> None:
    assert references_resolve([100, 90, 80, 70, 60, 20], [1.0] * 6) == 80
    assert references_resolve([100, 60], [1.0, 1.0]) == 80
    assert references_resolve([200], [0.69]) == pytest.approx(100)


rising = st.tuples(st.floats(16, 400), st.floats(16, 400)).map(sorted)


@given(rising, st.floats(16, 400), st.floats(0, 1))
def test_better_references_never_lessen_what_is_done(references, size, sharpness) -> None:
    table = faces(size, 1, sharpness=sharpness)
    less, more = (_least(table, one) for one in references)
    assert less <= more


@given(rising, st.floats(16, 400), st.floats(0, 1))
def test_a_sharper_face_is_never_worked_on_more(sharpness, size, references) -> None:
    blurred, sharp = (
        _least(faces(size, 1, sharpness=one / 400), 300 * references) for one in sharpness
    )
    assert sharp <= blurred


def _least(table: Faces, references: float) -> float:
    return min(float(gate[0]) for _, gate in need(table, 2, references))


def test_faces_of_one_picture_are_judged_each_by_itself() -> None:
    table = faces(np.array([90, 90]), 2).with_columns(
        frame=np.zeros(2, np.int64), sharpness=np.float32([FAR, SHARP])
    )
    assert [min(gate[row] for _, gate in need(table, 1, 100.0)) for row in (0, 1)] == [1, 0]


def test_without_references_only_size_and_sharpness_count() -> None:
    assert np.all(plan(faces(60), references=None).strength > 0.9)
    assert np.all(plan(faces(60, sharpness=SHARP), references=None).strength > 0.9)
    assert np.all(plan(faces(250), references=None).strength > 0.9)
    assert plan(faces(250, sharpness=SHARP), references=None).reason == "sharp already"


def test_enlarging_asks_for_more_detail() -> None:
    sharp = faces(215, sharpness=SHARP)
    assert plan(sharp, references=None).reason == "sharp already"
    assert plan(sharp, references=None, scale=2).strength.min() > 0.9


def test_a_growing_face_fades_and_never_pops() -> None:
    made = plan(faces(np.linspace(60, 260, 120), 120, sharpness=SHARP))
    assert made.strength[0] > 0.99
    assert made.strength[-1] == 0
    assert np.abs(np.diff(made.strength)).max() <= 1 / FADE_FRAMES + 1e-6
    assert made.reasons[0] is None
    assert made.reasons[-1] == "sharp already"


def test_a_jittering_size_at_the_gate_does_not_flicker() -> None:
    random = np.random.default_rng(0)
    made = plan(faces(random.normal(160, 25, 200), 200))
    assert made.strength.any()
    assert np.abs(np.diff(made.strength)).max() < 0.1


def test_strength_is_limited_by_the_user() -> None:
    assert plan(faces(60), strength=0.4).strength.max() == pytest.approx(0.4)


def test_a_track_without_rows_is_nothing() -> None:
    made = plan(Faces.empty().with_columns(track=np.zeros(0, np.int64)))
    assert made.restored_frames == 0
    assert made.reason == "brief"


def two(near: Faces, far: Faces, **settings: bool) -> list:
    tables = {7: near, 8: far}
    tracks = [TRACK, replace(TRACK, id=8)]
    person = replace(PERSON, tracks=(7, 8))
    wanted = RenderSettings(**settings)
    shown = {PERSON.id: CLOSE_UPS}
    return plan_tracks(tracks, lambda t: tables[t], [person], wanted, references=shown)


def test_a_face_out_of_focus_behind_a_sharp_one_is_left_alone() -> None:
    near, far = two(faces(250, sharpness=0.9), faces(60, sharpness=0.1))
    assert far.reason == "out of focus"
    assert near.reason == "sharp already"


def test_it_is_restored_when_asked_for_or_when_nothing_nearer_is_sharp() -> None:
    blurred = faces(60, sharpness=0.1)
    assert two(faces(150, sharpness=0.9), blurred, unfocused=True)[1].strength.min() > 0.9
    assert two(faces(150, sharpness=0.3), blurred)[1].strength.min() > 0.9
    assert two(faces(70, sharpness=0.9), blurred)[1].strength.min() > 0.9
    assert two(faces(150, 20, sharpness=0.9), blurred)[1].strength[40:].min() > 0.9


def test_the_user_s_strength_limits_a_person_and_a_preview_s_goes_before_it() -> None:
    weak = replace(PERSON, strength=0.4)
    assert plan(faces(60), weak).strength.max() == pytest.approx(0.4)
    assert plan(faces(60), weak, strength=0.5).strength.max() == pytest.approx(0.2)
    assert plan(faces(60), replace(PERSON, strength=0.0)).reason == "ignored"
    (made,) = plan_tracks(
        [TRACK],
        lambda track: faces(60),
        [weak],
        RenderSettings(),
        references={},
        strengths={3: 0.7},
    )
    assert made.strength.max() == pytest.approx(0.7)
