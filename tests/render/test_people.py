"""Which references people are restored from, and how far strangers reach to their profiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from refrestore.config import ScanSettings
from refrestore.faces.eyes import EYES, shut_eyes
from refrestore.profiles import Profile
from refrestore.profiles.cosines import cosines
from refrestore.project import Project, VideoSource
from refrestore.render.people import REACHED, People, Strangers, gather_people, telling
from refrestore.types import Faces, FloatArray, Geometry, Reference, Track

NETWORK = "recogniser"


def reference(size: float, sharpness: float = 1.0) -> Reference:
    return Reference(
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((468, 2), np.float32),
        np.zeros(512, np.float32),
        np.zeros(3, np.float32),
        sharpness,
        1.0,
        size,
        f"{size:.0f} px",
    )


def test_small_ones_go_where_large_ones_are() -> None:
    large = [reference(300), reference(280), reference(200)]
    assert telling([reference(70), *large, reference(300, 0.2)]) == large


def test_all_stay_where_few_are_left() -> None:
    few = [reference(300), reference(70), reference(65)]
    assert telling(few) == few
    assert telling([]) == []


def looking(size: float, sharpness: float, *, shut: bool = False, filmed: bool = True) -> Reference:
    """A close-up of a grey face, which shows dark irises or nothing."""
    mesh, image = np.zeros((468, 2), np.float32), np.full((256, 256, 3), 200, np.uint8)
    angles = np.linspace(np.pi, -np.pi, 16, endpoint=False)
    for ring, x in zip(EYES, (90, 166), strict=True):
        mesh[list(ring)] = np.stack([x + 17 * np.cos(angles), 118 + 6 * np.sin(angles)], 1)
        if not shut:
            image[112:124, x - 6 : x + 6] = 40
    plain = reference(size, sharpness)
    return replace(plain, image=image, landmarks=mesh, frame=3 if filmed else None)


def test_shut_eyes_of_the_film_may_be_softer() -> None:
    large = [looking(300, 0.9), looking(280, 0.9)]
    lids = looking(300, 0.3, shut=True)
    soft = [looking(300, 0.3), looking(300, 0.3, shut=True, filmed=False)]
    hardly = looking(300, 0.2, shut=True)
    assert telling([*large, lids, *soft, hardly]) == [*large, lids]


def test_of_photos_it_is_not_said_whether_eyes_are_shut() -> None:
    shown = [looking(300, 0.9), looking(280, 0.9), looking(300, 0.9, shut=True)]
    photos = [looking(300, 0.9, filmed=False), looking(300, 0.9, shut=True, filmed=False)]
    assert shut_eyes([*shown, *photos]).tolist() == [False, False, True, False, False]


def towards(likeness: float, axis: int) -> FloatArray:
    """Return a unit embedding that has this cosine to the first axis and is else along another."""
    found = np.zeros(512, np.float32)
    found[0], found[axis] = likeness, np.sqrt(1 - likeness**2)
    return found


def faces(track: int) -> Faces:
    return Faces(
        frame=np.arange(20),
        box=np.tile(np.float32([10, 10, 70, 70]) + 80 * track, (20, 1)),
        keypoints=np.zeros((20, 5, 2), np.float32),
        score=np.ones(20, np.float32),
    )


def anna() -> Profile:
    face = Reference(
        np.zeros((512, 512, 3), np.uint8),
        np.random.default_rng(0).uniform(150, 350, (468, 2)).astype(np.float32),
        towards(1.0, 1),
        np.zeros(3, np.float32),
        1.0,
        1.0,
        200.0,
        "photo.jpg",
    )
    return Profile("Anna", (face,), NETWORK)


@pytest.fixture
def gathered(tmp_path: Path) -> Callable[..., People]:
    def gather(*likeness: float, link: tuple[int, ...] = (1,)) -> People:
        """Gather people, each of one track that is so like Anna; those of `link` are linked."""
        video = VideoSource(tmp_path / "film.mp4", "f" * 16, Geometry(640, 360), 0, 25)
        with Project.create(tmp_path / "project", video) as project:
            with project.begin_scan(ScanSettings(), recogniser=NETWORK) as writer:
                for number, near in enumerate(likeness, 1):
                    seen = towards(near, number)
                    writer.add_track(
                        Track(number, 0, 0, 20, seen, 0.1, 0.5, 60.0, weak=False),
                        faces(number),
                    )
                writer.set_identities([(number,) for number in range(1, len(likeness) + 1)])
            for number in link:
                project.link_profile(number, "Anna")
            return gather_people(project, [anna()])

    return gather


def test_strangers_reach_as_far_as_the_films_other_people(gathered) -> None:
    people = gathered(0.45, 0.1, 0.21, -0.2)
    found = people.matched[1]
    assert (found.profile, found.similarity) == ("Anna", pytest.approx(0.45, abs=1e-3))
    assert found.strangers == Strangers(pytest.approx(0.21, abs=1e-3), 3)
    assert set(people.matched) == {1}
    assert people.notes == []


def test_that_nobody_is_a_profiles_person_is_said_with_who_comes_nearest(gathered) -> None:
    (said,) = gathered(0.1, 0.21, link=()).notes
    assert said.startswith(
        "Nobody in the film was recognised as Anna: the nearest is person 2, likeness 0.21, and "
        "0.37 is needed"
    )


def test_a_film_without_comparable_faces_says_so_of_a_profile(gathered) -> None:
    (said,) = gathered(link=()).notes
    assert said.endswith("it has no face that can be compared.")


def test_who_is_linked_to_the_same_profile_is_no_stranger(gathered) -> None:
    people = gathered(0.45, 0.5, 0.12, link=(1, 2))
    assert people.matched[1].strangers == Strangers(pytest.approx(0.12, abs=1e-3), 1)


def test_where_nobody_else_is_in_the_film_the_calibration_says_it(gathered) -> None:
    reach = cosines(NETWORK).strangers.inv_cdf(1 - REACHED)
    assert gathered(0.45).matched[1].strangers == Strangers(pytest.approx(reach), 0)
