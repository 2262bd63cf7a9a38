"""Blurred faces are compared with blurred close-ups."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from refrestore.config import RuntimeSettings
from refrestore.evaluate.demo import group_photo
from refrestore.faces.align import FFHQ_TEMPLATE, crops, similarity, transform
from refrestore.profiles import Profile
from refrestore.profiles.cosines import cosines
from refrestore.render.crops import arcface_crops, from_uint8
from refrestore.render.low_resolution import shrunk_cosines, shrunk_embeddings, unreadable
from refrestore.render.still import restore_picture
from refrestore.render.toolbox import Toolbox, open_toolbox
from refrestore.restore.bank import own_likeness
from refrestore.restore.guard import Belief
from refrestore.types import FloatArray, ImageArray, Reference


@pytest.fixture(scope="module")
def toolbox() -> Toolbox:
    return open_toolbox(RuntimeSettings(device="cpu", threads=1))


@pytest.fixture(scope="module")
def people(toolbox: Toolbox) -> list[Profile]:
    """Return the six of insightface's photo, with one close-up each."""
    photo = group_photo()
    faces = toolbox.models.describe(photo, toolbox.models.detector.detect([photo], [0], 1024))
    assert faces.landmarks is not None
    assert faces.embedding is not None
    matrices = similarity(faces.keypoints, FFHQ_TEMPLATE)
    images = crops(photo, matrices)
    meshes = transform(matrices, faces.landmarks).astype(np.float32)
    return [
        Profile(
            f"person {row}",
            (
                Reference(
                    image=images[row],
                    landmarks=meshes[row],
                    embedding=faces.embedding[row],
                    pose=np.zeros(3, np.float32),
                    sharpness=1.0,
                    quality=1.0,
                    native_size=float(faces.size[row]),
                    source=str(faces.box[row, 0]),
                ),
            ),
        )
        for row in range(len(faces))
    ]


WOMAN, MAN = "woman", "man"
PLACES = {
    WOMAN: (slice(190, 460), slice(0, 230)),
    MAN: (slice(200, 470), slice(1045, 1275)),
}
"""Rows and columns of two of the photo."""


def far_and_noisy(image: ImageArray, seed: int, side: int = 20) -> ImageArray:
    """Return a close-up as a poor camera saw it from afar: few pixels, noise, enlarged."""
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    small += np.random.default_rng(seed).normal(0, 6, small.shape)
    large = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(large, 0, 255).astype(np.uint8)


def test_a_face_from_afar_is_most_like_its_person_from_afar(toolbox, people) -> None:
    plain = np.stack([one.centroid for one in people])
    afar = np.stack([toolbox.low_resolution(one) for one in people])
    np.testing.assert_allclose(np.linalg.norm(afar, axis=1), 1, atol=1e-5)
    seen: FloatArray = np.concatenate(
        [
            toolbox.models.recogniser.embed(
                arcface_crops(
                    from_uint8(far_and_noisy(one.references[0].image, seed)[None]),
                    one.references[0].landmarks[None],
                )
            )
            for seed, one in enumerate(people)
        ]
    )
    own, strangers = np.eye(len(people), dtype=bool), ~np.eye(len(people), dtype=bool)
    assert len(people) == 6
    assert (seen @ afar.T)[own].mean() > (seen @ plain.T)[own].mean() + 0.05
    assert (seen @ afar.T)[strangers].mean() < 0.15
    assert list((seen @ afar.T).argmax(axis=1)) == list(range(len(people)))


def test_what_shows_no_more_than_it_would_from_afar(toolbox, people) -> None:
    recogniser = toolbox.models.recogniser
    for side, least, most in ((16, 1, 1), (32, 0, 0.95), (64, 0, 0), (512, 0, 0)):
        for seed, one in enumerate(people):
            image, mesh = one.references[0].image, one.references[0].landmarks[None]
            crop = from_uint8(far_and_noisy(image, seed, side)[None])
            embedding = recogniser.embed(arcface_crops(crop, mesh))
            cosines_ = shrunk_cosines(embedding, shrunk_embeddings(crop, mesh, recogniser))
            assert np.all(np.diff(cosines_) >= -0.02), (side, seed)
            (share,) = unreadable(cosines_)
            assert least <= share <= most, (side, seed)


def picture_of(names: tuple[str, ...], side: int) -> ImageArray:
    """Return some of the photo's people beside each other, seen from afar and enlarged again."""
    parts = [np.ascontiguousarray(group_photo()[PLACES[name]]) for name in names]
    return np.concatenate([far_and_noisy(part, 3, side) for part in parts], axis=1)


def test_of_two_unreadable_faces_the_one_like_the_person_is_taken(toolbox, people) -> None:
    who, *_, stranger = sorted(people, key=lambda one: float(one.references[0].source))
    for profile, expected in ((who, (True, False)), (stranger, (False, True))):
        both = restore_picture(picture_of((WOMAN, MAN), 26), toolbox, profile=profile)
        left = np.argsort(both.faces.box[:, 0])
        assert len(left) == 2
        assert tuple(both.beliefs[row] is Belief.CANNOT_TELL for row in left) == expected
        assert all(both.beliefs[row] in (Belief.CANNOT_TELL, Belief.UNLIKE) for row in left)


def test_it_is_computed_once_a_profile(toolbox, people) -> None:
    assert toolbox.low_resolution(people[0]) is toolbox.low_resolution(people[0])
    assert toolbox.without("guard").low_resolution(people[0]) is not None


def test_whose_photos_are_less_alike_is_found_more_easily() -> None:
    ours = cosines("recogniser")
    usual = ours.own.mean
    assert ours.blurred_of(None) == ours.blurred_of(usual) == ours.blurred
    assert ours.blurred_of(0.4) < ours.blurred < ours.blurred_of(0.8)
    assert ours.blurred_of(0.0) == pytest.approx(ours.blurred * 0.5**0.5)
    faces = np.eye(3, 512, dtype=np.float32)
    assert own_likeness(faces[:1]) is None
    assert own_likeness(faces[[0, 0, 0]]) == pytest.approx(1)
    assert own_likeness(faces[[0, 1]]) == pytest.approx(0)
