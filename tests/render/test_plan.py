"""Gates: who is restored, how much, and why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from refrestore.config import RenderSettings
from refrestore.render.plan import FADE_FRAMES, plan_tracks
from refrestore.types import Faces, Identity, Track


def faces(
    size: np.ndarray | float, count: int = 60, *, sharpness: float = 1.0, yaw: float = 0.0
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


def plan(table: Faces, person: Identity | None = PERSON, **settings: float):
    people = [] if person is None else [person]
    return plan_tracks([TRACK], lambda track: table, people, RenderSettings(**settings))[0]


def test_a_small_face_is_restored_fully() -> None:
    assert np.all(plan(faces(60)).strength > 0.99)


@pytest.mark.parametrize(
    ("table", "person", "reason"),
    [
        (faces(260), PERSON, "sharp already"),
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
    assert not made.strength.any()


def test_a_large_blurred_face_is_restored() -> None:
    assert np.all(plan(faces(260, sharpness=0.1)).strength > 0.99)


def test_enlarging_asks_for_more_detail() -> None:
    assert not plan(faces(215)).strength.any()
    assert plan(faces(215), scale=2).strength.max() > 0.9


def test_a_growing_face_fades_and_never_pops() -> None:
    made = plan(faces(np.linspace(60, 260, 120), 120))
    assert made.strength[0] > 0.99
    assert made.strength[-1] == 0
    assert np.abs(np.diff(made.strength)).max() <= 1 / FADE_FRAMES + 1e-6


def test_a_jittering_size_at_the_gate_does_not_flicker() -> None:
    random = np.random.default_rng(0)
    made = plan(faces(random.normal(160, 25, 200), 200))
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
    return plan_tracks(tracks, lambda t: tables[t], [person], RenderSettings(**settings))


def test_a_face_out_of_focus_behind_a_sharp_one_is_left_alone() -> None:
    near, far = two(faces(150, sharpness=0.9), faces(60, sharpness=0.1))
    assert far.reason == "out of focus"
    assert near.strength.any()


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
        [TRACK], lambda track: faces(60), [weak], RenderSettings(), strengths={3: 0.7}
    )
    assert made.strength.max() == pytest.approx(0.7)
