"""A close-up that the user dropped takes no place among the references."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from refrestore.project.edits import Mark
from refrestore.scan.picking import pick
from refrestore.scan.references import Spool
from refrestore.scan.samples import Candidate, CloseUpCrop, traits

PERSON = np.eye(512, dtype=np.float32)[0]
BOX = np.array([100, 100, 200, 220], np.float32)


def face(frame, quality, yaw=0.0, left=0.0):
    pose = np.array([yaw, 0, 0], np.float32)
    picture = np.full((512, 512, 3), frame, np.uint8)
    return Candidate(
        frame=frame,
        close_up=CloseUpCrop(picture, np.zeros((468, 2), np.float32)),
        embedding=PERSON,
        pose=pose,
        traits=traits(pose, 0.0, 0.5),
        sharpness=0.9,
        quality=quality,
        native_size=120.0,
        box=BOX + np.array([left, 0, left, 0], np.float32),
    )


@pytest.fixture
def spooled(tmp_path):
    with Spool(tmp_path) as spool:
        faces = [
            face(10, 0.9, -40),
            face(12, 0.8, -15),
            face(40, 0.7, 10),
            face(80, 0.6, 35),
            face(10, 0.5, 60, left=300),
        ]
        yield [spool.put(1, Fraction(one.frame, 25), one) for one in faces]


def frames(kept):
    return [one.candidate.frame for one in kept]


def test_another_close_up_takes_the_place_of_a_dropped_one(spooled):
    assert frames(pick(spooled[:4], PERSON, 3)) == [10, 40, 12]
    mark = Mark(11, tuple(BOX.tolist()))
    kept = pick(spooled[:4], PERSON, 2, dropped=[mark])
    # Two others, and the dropped one that the mark means, to be taken back.
    assert frames(kept) == [40, 80, 10]


def test_only_the_marked_face_of_a_frame_is_meant(spooled):
    kept = pick(spooled, PERSON, 2, dropped=[Mark(10, tuple(BOX.tolist()))])
    assert [(one.candidate.frame, float(one.candidate.pose[0])) for one in kept] == [
        (40, 10.0),
        (10, 60.0),
        (10, -40.0),
    ]
    away = Mark(10, (400.0, 300.0, 500.0, 420.0))
    assert frames(pick(spooled[:4], PERSON, 2, dropped=[away])) == [10, 40]


def test_the_picture_is_asked_for_how_much_is_seen(spooled):
    def view(close_up):
        return 0.3 if close_up.image[0, 0, 0] == 10 else 0.95

    assert frames(pick(spooled[:4], PERSON, 2, view=view)) == [12, 80]


def test_a_close_up_without_a_place_is_never_dropped(spooled):
    nowhere = [replace(spooled[0], candidate=replace(spooled[0].candidate, box=None))]
    assert frames(pick(nowhere, PERSON, 2, dropped=[Mark(10, tuple(BOX.tolist()))])) == [10]
