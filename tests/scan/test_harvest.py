"""Which close-ups become references, and which only for want of better."""

from __future__ import annotations

import numpy as np
import pytest

from refrestore.scan.harvest import CLEAR_VIEW, LEAST_VIEW, harvest, mid_blink, surely_same
from refrestore.scan.samples import Candidate, traits


def unit(seed):
    vector = np.random.default_rng(seed).normal(size=512)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def like(person, share, seed=100):
    """An embedding with this cosine to a person."""
    other = unit(seed)
    other = other - (other @ person) * person
    other /= np.linalg.norm(other)
    return (share * person + np.sqrt(1 - share**2) * other).astype(np.float32)


ANNA = unit(1)


def close_up(yaw=0.0, quality=0.6, *, alike=0.8, openness=0.5, level=0.5, **other):
    pose = np.array([yaw, 0, 0], np.float32)
    said = {
        "frame": 0,
        "close_up": None,
        "embedding": like(ANNA, alike),
        "pose": pose,
        "traits": traits(pose, 0.0, 0.5),
        "sharpness": 0.9,
        "quality": quality,
        "native_size": 120.0,
        "openness": openness,
        "open_level": level,
    }
    return Candidate(**{**said, **other})


def test_poses_are_covered_before_a_look_repeats():
    faces = [close_up(quality=0.9 - 0.001 * row) for row in range(20)]
    faces += [close_up(yaw=yaw, quality=0.4) for yaw in (-40, 40)]
    chosen = harvest(faces, ANNA, limit=3)
    assert chosen[0] == 0
    assert set(chosen[1:]) == {20, 21}
    assert len(harvest(faces, ANNA, limit=24)) == 3


def test_small_blurred_and_strange_faces_are_refused():
    faces = [
        close_up(native_size=30.0),
        close_up(sharpness=0.1),
        close_up(alike=0.3),
        close_up(),
    ]
    assert harvest(faces, ANNA, limit=5) == [3]
    assert harvest(faces[:3], ANNA, limit=5) == []


FLAWS = {
    "mid-blink": ({"openness": 0.2}, [0, 4]),
    "far less sharp": ({"sharpness": 0.44}, []),
}


@pytest.mark.parametrize(("flaw", "besides"), FLAWS.values(), ids=FLAWS)
def test_a_flawed_face_is_taken_only_for_a_pose_nothing_else_shows(flaw, besides):
    faces = [
        close_up(0, 0.9, **flaw, native_size=121.0),
        close_up(2, 0.4),
        close_up(40, 0.9, **flaw),
        close_up(42, 0.8, **flaw),
        close_up(80, 0.9, **flaw, native_size=120.5),
        close_up(78, 0.4),
    ]
    # What comes last, for its lids alone, takes nobody's place.
    assert sorted(harvest(faces, ANNA, limit=24)[:3]) == [1, 2, 5]
    assert harvest(faces, ANNA, limit=24)[3:] == besides
    assert harvest(faces[:1], ANNA, limit=24) == [0]  # better than nothing


def test_lids_are_shown_by_a_few_close_ups_soft_as_they_are():
    shut = {"openness": 0.2, "sharpness": 0.5}
    faces = [close_up(yaw) for yaw in (-40, 0, 40)]
    faces += [close_up(0, 0.2, **shut, native_size=size) for size in (110, 140, 120, 70)]
    assert harvest(faces, ANNA, limit=24)[3:] == [4, 5]
    assert harvest(faces, ANNA, limit=4)[3:] == [4]
    assert 4 not in harvest(faces, ANNA, limit=3)
    assert harvest([close_up(), close_up(0, 0.2, **shut, native_size=85.0)], ANNA, 24) == [0]
    hardly = [close_up(), close_up(0, 0.2, **shut)]
    assert harvest(hardly, ANNA, limit=24) == [0, 1]
    assert harvest([close_up(native_size=400.0), hardly[1]], ANNA, limit=24) == [0]


def test_a_covered_face_gives_way_however_good_it_is():
    faces = [close_up(yaw, 0.9 - yaw / 100) for yaw in (0, 2, 4, 40, 42, 80)]
    views = {0: CLEAR_VIEW - 0.01, 1: 0.2, 2: 0.97, 3: LEAST_VIEW, 4: 0.95, 5: LEAST_VIEW - 0.01}
    asked = []

    def view(row):
        asked.append(row)
        return views[row]

    # 5 shows a pose of its own, but nearly nothing of the face.
    assert sorted(harvest(faces, ANNA, limit=24, view=view)) == [2, 4]
    assert len(asked) == len(set(asked))
    # 3 is half covered and shows a pose that is not there without 4.
    views[4] = 0.1
    assert sorted(harvest(faces, ANNA, limit=24, view=view)) == [2, 3]
    # Where all are covered, the least covered are better than none.
    assert harvest([faces[1], faces[3]], ANNA, 24, view=[0.5, LEAST_VIEW].__getitem__) == [1]
    assert harvest(faces[1:2], ANNA, 24, view=lambda row: 0.2) == [0]


def test_a_face_that_is_more_like_somebody_else_is_not_taken():
    bert = unit(2)
    mixed = ANNA * 0.5 + bert * 0.6
    faces = [close_up(0, 0.9, embedding=mixed / np.linalg.norm(mixed)), close_up(40, 0.4)]
    assert harvest(faces, ANNA, limit=5) == [0, 1]
    assert harvest(faces, ANNA, limit=5, others=bert[None]) == [1]


def test_doubt_is_measured_by_the_persons_own_spread():
    rng = np.random.default_rng(0)
    steady = [close_up(alike=a) for a in rng.normal(0.85, 0.02, 20)]
    assert surely_same([*steady, close_up(alike=0.5)], ANNA).tolist() == [True] * 20 + [False]
    varied = [close_up(alike=a) for a in rng.normal(0.7, 0.08, 20)]
    assert surely_same([*varied, close_up(alike=0.5)], ANNA).all()
    # A profile is less alike, and so is another moment of a person seen for a second only.
    assert surely_same([*steady, close_up(yaw=80, alike=0.5)], ANNA).all()
    assert surely_same([*steady, close_up(alike=0.6)], ANNA).all()
    # Doubtful ones are taken only if there is nothing else.
    assert harvest([*steady, close_up(yaw=40, alike=0.45)], ANNA, 24).count(20) == 0


def test_narrow_eyes_are_no_blink():
    narrow = [close_up(openness=0.22, level=0.24), close_up(openness=0.10, level=0.24)]
    assert mid_blink(narrow).tolist() == [False, True]
    # A track that is asleep from end to end is measured by the person's other tracks.
    asleep = [close_up(openness=0.15, level=0.16)]
    awake = [close_up(openness=0.5, level=0.5)] * 3
    assert mid_blink(asleep).tolist() == [False]
    assert mid_blink(asleep + awake).tolist() == [True, False, False, False]
    nan = float("nan")
    unknown = [close_up(openness=nan, level=nan), close_up(openness=0.1, level=nan)]
    assert mid_blink(unknown).tolist() == [False, False]
    assert mid_blink([*unknown, *awake]).tolist() == [False, True, False, False, False]
