"""Which photos would help, in words."""

from __future__ import annotations

import numpy as np
import pytest

from refrestore.config import ScanSettings
from refrestore.faces.quality import resolved_size
from refrestore.project import Project, VideoSource
from refrestore.render.need import CLEARLY_SHARPER, UNJUDGED_SHARPNESS
from refrestore.render.wanted import SMALLEST_PHOTO, all_wanted, is_bare, looking, photos_wanted
from refrestore.scan.samples import MIN_SIZE
from refrestore.types import Faces, Geometry, Reference, Track

FRAMES = 20


def faces(first, size, sharpness, yaw):
    return Faces(
        frame=np.arange(first, first + FRAMES),
        box=np.tile(np.array([10, 10, 10 + size, 10 + size], np.float32), (FRAMES, 1)),
        keypoints=np.zeros((FRAMES, 5, 2), np.float32),
        score=np.ones(FRAMES),
        sharpness=None if sharpness is None else np.full(FRAMES, sharpness, np.float32),
        pose=np.tile(np.array([yaw, 0, 0], np.float32), (FRAMES, 1)),
    )


@pytest.fixture
def project(tmp_path):
    """1: sharp faces of 100 px, front and turned; 2: blurred ones of 300; 3: unjudged; 4: has a
    close-up; 5: tiny."""
    video = VideoSource(tmp_path / "film.mp4", "f" * 16, Geometry(640, 360), 0, 25)
    tracks = [
        [(100, 1.0, 0), (100, 1.0, -30)],
        [(300, 0.1, 0)],
        [(60, None, 60)],
        [(60, 1.0, 0)],
        [(20, 0.2, 0)],
    ]
    with Project.create(tmp_path / "project", video) as project:
        with project.begin_scan(ScanSettings()) as writer:
            groups, number = [], 0
            for own in tracks:
                groups.append([])
                for size, sharpness, yaw in own:
                    first = number * FRAMES
                    number += 1
                    track = Track(
                        number, 0, first, first + FRAMES, None, 0.0, 0.5, float(size), weak=False
                    )
                    writer.add_track(track, faces(first, size, sharpness, yaw))
                    groups[-1].append(number)
            writer.add_reference(5, reference())
            writer.set_identities(groups)
        yield project


def reference():
    return Reference(
        np.zeros((512, 512, 3), np.uint8), np.zeros((468, 2), np.float32),
        np.eye(512, dtype=np.float32)[0], np.zeros(3, np.float32), 0.9, 0.9, 200.0,
        "film.mp4 at 3 s", 81,
    )  # fmt: skip


def test_size_and_poses_follow_from_the_films_faces(project):
    def said(number):
        return photos_wanted(project, project.identity(number))

    assert said(1) == (
        "No close-up resolves more than the faces to restore: add 3 to 5 sharp photos, the face "
        "170 px high or more, from the front and in left three-quarter view."
    )
    blurred = float(resolved_size(np.array([300.0]), np.array([0.1]))[0])
    assert blurred < 64  # by what they show, not by how large they are
    assert 10 * np.ceil(CLEARLY_SHARPER * blurred / 10) == 100
    assert "100 px high or more, from the front" in said(2)
    unjudged = float(resolved_size(np.array([60.0]), np.array([UNJUDGED_SHARPNESS]))[0])
    assert CLEARLY_SHARPER * unjudged < SMALLEST_PHOTO == MIN_SIZE
    assert "70 px high or more, in right profile view" in said(3)


def test_who_has_close_ups_a_profile_or_is_left_alone_needs_none(project):
    def told():
        return sorted(one.id for one, _ in all_wanted(project))

    assert [is_bare(project, one) for one in project.identities()] == [True] * 3 + [False, True]
    assert all_wanted(project)[0][0].id == 1  # seen longest
    assert told() == [1, 2, 3, 5]
    project.link_profile(2, "Anna")
    project.set_states([3], "ignore")
    assert told() == [1, 5]
    project.drop_close_ups([one.id for one in project.close_ups(4)])
    assert told() == [1, 4, 5]


@pytest.mark.parametrize(
    ("poses", "words"),
    [
        ([], "from the front"),
        (["front"] * 9 + ["up"], "from the front"),
        (["left profile"] * 5 + ["front"] * 4, "from the front and in left profile view"),
        (
            ["left three-quarter"] * 5 + ["right three-quarter"] * 4,
            "in left three-quarter and right three-quarter view",
        ),
        (["down"] * 5 + ["up"] * 4, "looking down and looking up"),
    ],
)
def test_the_poses_that_most_faces_have_are_told(poses, words):
    assert looking(poses) == words
