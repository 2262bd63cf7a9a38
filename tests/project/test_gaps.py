"""What a person's close-ups show, and what the film needs and nobody has."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from refrestore.config import ScanSettings
from refrestore.errors import ProjectError
from refrestore.profiles import Profile, ProfileStore
from refrestore.project.gaps import LEAST_FACES, POSES, all_gaps, coverage, gaps, pose_names
from refrestore.types import Shot

SPANS = {1: (0, 100), 2: (100, 400), 3: (400, 400 + LEAST_FACES - 1), 4: (600, 700)}
YAWS = {1: 0.0, 2: -60.0, 3: 60.0, 4: 35.0}
"""Track 1 looks ahead, 2 to the picture's left, 3 briefly to its right, 4 is somebody else."""


def close_up(make, yaw, pitch=0.0, *, quality=0.5, frame=None):
    return replace(
        make.reference(1, quality),
        pose=np.array([yaw, pitch, 0], np.float32),
        frame=frame,
        source=f"film.mp4 at {frame}",
    )


@pytest.fixture
def film(project, make):
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_shot(Shot(0, 0, 1000, Fraction(2)))
        for number, (first, stop) in SPANS.items():
            pose = np.tile(np.array([YAWS[number], 0, 0], np.float32), (stop - first, 1))
            pose[:3] = np.nan  # a face that was never judged needs nothing
            writer.add_track(
                make.track(number, first, stop),
                make.faces(first, stop, 100 * number).with_columns(pose=pose),
            )
        writer.add_reference(1, close_up(make, 5, frame=50))
        writer.add_reference(4, close_up(make, 50, frame=650))
        writer.set_identities([[1, 2, 3], [4]])
    project.rename(1, "Anna")
    return project


def test_the_film_needs_what_no_close_up_is_near(film):
    found = gaps(film, 1)
    assert found.faces == 97 + 297 + LEAST_FACES - 4
    assert found.poses["front"] == 97
    assert found.poses["left profile"] == 297
    assert set(found.poses) == set(POSES)
    (one,) = found.missing  # too few look to the right to be worth a word
    assert (one.pose, one.faces, one.close_ups) == ("left profile", 297, 0)
    (span,) = one.spans
    times = film.timeline()
    assert span == pytest.approx((times.seconds(103), times.seconds(399)))
    assert found.sentences() == [
        f"No left profile of Anna (needed for 297 faces, {span[0]:.1f}-{span[1]:.1f} s): "
        "add a photo."
    ]


def test_a_close_up_of_that_pose_that_is_not_near_is_told_from_none(film):
    found = gaps(film, 2)  # 35 degrees needed, 50 there: near enough
    assert found.missing == ()
    film.move_tracks([2], 2)
    (one,) = gaps(film, 2).missing
    assert one.pose == "left profile"
    assert not gaps(film, 1).missing


def test_a_dropped_close_up_is_missed(film):
    film.drop_close_ups([one.id for one in film.close_ups(2)])
    (one,) = gaps(film, 2).missing
    assert one.pose == "right three-quarter"
    assert one.close_ups == 0
    assert [len(found.missing) for found in all_gaps(film)] == [1, 1]
    film.set_state(2, "ignore")
    assert [found.identity for found in all_gaps(film)] == [1]


def test_the_profile_a_person_is_linked_to_counts(film, make, tmp_path):
    store = ProfileStore(tmp_path / "profiles")
    film.link_profile(1, "anna")
    assert len(gaps(film, 1, store).missing) == 1  # no such profile: nothing is shown by it
    store.save(Profile.chosen("anna", [close_up(make, -48)]))
    assert gaps(film, 1, store).missing == ()
    assert len(gaps(film, 1).missing) == 1


def test_nearness_is_of_yaw_and_pitch(film, make):
    store_poses = [(-40, 0, False), (-36, 0, False), (-34, 0, True), (-60, 19, False)]
    for yaw, pitch, lacking in store_poses:
        own = replace(make.reference(2), pose=np.array([yaw, pitch, 0], np.float32))
        with film.begin_scan(ScanSettings()) as writer:
            writer.add_shot(Shot(0, 0, 1000, Fraction(2)))
            pose = np.tile(np.array([-60, 0, 0], np.float32), (50, 1))
            writer.add_track(make.track(1, 0, 50), make.faces(0, 50).with_columns(pose=pose))
            writer.add_reference(1, own)
            writer.set_identities([[1]])
        (who,) = film.identities()
        found = gaps(film, who.id).missing
        assert bool(found) is lacking, (yaw, pitch)
        if lacking:
            assert found[0].sentence("Anna").startswith("No left profile of Anna (")


def test_somebody_without_any_close_up_or_judged_face(film, make):
    with pytest.raises(ProjectError, match="no identity 9"):
        gaps(film, 9)
    with film.begin_scan(ScanSettings()) as writer:
        writer.add_shot(Shot(0, 0, 1000, Fraction(2)))
        writer.add_track(make.track(1, 0, 50), make.faces(0, 50))
        writer.set_identities([[1]])
    (who,) = film.identities()
    found = gaps(film, who.id)
    assert (found.faces, found.missing) == (0, ())


def test_poses_are_the_pictures():
    poses = [[-70, 0, 0], [-30, 0, 0], [0, 0, 9], [30, 30, 0], [70, 0, 0], [0, 20, 0], [5, -20, 0]]
    assert pose_names(np.array(poses, np.float32)) == list(POSES)


def test_coverage_says_what_references_show(make):
    mesh = np.zeros((468, 2), np.float32)
    angle = np.linspace(0, 2 * np.pi, 468)
    mesh[:, 0], mesh[:, 1] = 256 + 100 * np.cos(angle), 256 + 120 * np.sin(angle)
    even = np.full((512, 512, 3), 120, np.uint8)
    from_left = even.copy()
    from_left[:, :256] = 200
    found = coverage(
        [
            replace(close_up(make, -70), image=even, landmarks=mesh),
            replace(close_up(make, 3), image=from_left, landmarks=mesh),
            replace(close_up(make, 2, -30), image=from_left[:, ::-1].copy(), landmarks=mesh),
        ]
    )
    assert {pose: count for pose, count in found.poses.items() if count} == {
        "left profile": 1,
        "front": 1,
        "down": 1,
    }
    assert set(found.poses) == set(POSES)
    assert found.light == {"left": 1, "right": 1, "even": 1}
    nobody = coverage([])
    assert sum(nobody.poses.values()) == nobody.eyes_shut == 0
