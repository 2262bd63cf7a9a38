"""The bank and the choice of references."""

import numpy as np
import pytest
import torch

from refrestore.errors import UsageError
from refrestore.restore.bank import PHOTO, ReferenceBank, light_of
from refrestore.restore.select import INNER_LIPS, mesh_distances, select
from refrestore.types import Reference


def mesh(seed=0, spread=60.0):
    points = np.random.default_rng(seed).normal(0, spread, (468, 2)) + 256
    return points.astype(np.float32)


def reference(seed=0, *, landmarks=None, quality=1.0, native=400.0, frame=None, size=512):
    random = np.random.default_rng(seed)
    embedding = random.normal(size=512).astype(np.float32)
    return Reference(
        image=random.integers(0, 256, (size, size, 3), dtype=np.uint8),
        landmarks=mesh(seed) if landmarks is None else landmarks,
        embedding=embedding / np.linalg.norm(embedding),
        pose=np.array([seed, 0, 0], np.float32),
        sharpness=1.0,
        quality=quality,
        native_size=native,
        source=f"film at {seed} s",
        frame=frame,
    )


def test_columns_follow_the_references():
    bank = ReferenceBank.from_references([reference(1, frame=7), reference(2)])
    assert len(bank) == 2
    assert bank.images.shape == (2, 3, 512, 512)
    assert bank.images.dtype == torch.uint8
    assert np.array_equal(bank.images[1].permute(1, 2, 0).numpy(), reference(2).image)
    assert bank.frames.tolist() == [7, PHOTO]
    assert bank.pose[:, 0].tolist() == [1, 2]
    assert bank.rows_of_frame(7) == [0]
    assert bank.rows_of_frame(8) == []


def test_empty_bank():
    bank = ReferenceBank.from_references([])
    assert len(bank) == 0
    assert bank.centroid is None
    rows = select(bank, mesh()[None], np.zeros((1, 64), np.float32), 5)
    assert (rows == -1).all()


def test_smaller_crop_is_enlarged_with_its_landmarks():
    points = np.full((468, 2), 127.5, np.float32)  # the middle of 256 pixels
    bank = ReferenceBank.from_references([reference(1, landmarks=points, size=256)])
    assert bank.images.shape[-1] == 512
    assert np.allclose(bank.landmarks, 255.5)


def test_a_crop_that_is_not_square_is_refused():
    broken = reference(1)
    object.__setattr__(broken, "image", broken.image[:100])
    with pytest.raises(UsageError, match="film at 1 s"):
        ReferenceBank.from_references([broken])


def test_leave_one_out_centroid():
    bank = ReferenceBank.from_references([reference(1), reference(2)])
    assert np.allclose(bank.centroid_without([0]), bank.embeddings[1], atol=1e-6)
    assert bank.centroid_without([0, 1]) is None
    assert np.isclose(np.linalg.norm(bank.centroid), 1, atol=1e-6)


def test_light_ignores_exposure_and_sees_direction():
    ramp = torch.linspace(40, 200, 512).expand(1, 3, 512, 512)
    left, darker, right = (light_of(x.byte()) for x in (ramp, ramp * 0.8, ramp.flip(-1)))
    assert np.abs(left - darker).max() < 0.05
    assert np.abs(left - right).max() > 1
    assert np.allclose(light_of(ramp / 255), left, atol=0.02)


def test_mesh_distance_ignores_similarity():
    points = mesh(3)
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = (points @ turn.T * 0.5 + [30, -12]).astype(np.float32)
    distance = mesh_distances(points[None], np.stack([moved, mesh(4)]))
    assert distance[0, 0] < 2e-3 < 0.1 < distance[0, 1]


def test_nearest_mesh_first_and_excluded_rows_never():
    target = mesh(0)
    near = [target + np.random.default_rng(i).normal(0, i, (468, 2)) for i in (4, 1, 9, 2)]
    bank = ReferenceBank.from_references(
        [reference(0, landmarks=points.astype(np.float32)) for points in near]
    )
    light = np.repeat(bank.light[:1], 2, axis=0)
    faces = np.stack([target, target])
    rows = select(bank, faces, light, 3, exclude=[None, {1, 3, 2}])
    assert rows[0, 0] == 1
    assert sorted(rows[0]) == sorted({*rows[0].tolist()} - {-1})
    assert rows[1].tolist() == [0, -1, -1]


def test_of_like_poses_the_sharper_and_better_lit_one():
    points = mesh(0)
    bank = ReferenceBank.from_references(
        [
            reference(0, landmarks=points, native=60),
            reference(0, landmarks=points, quality=0.2),
            reference(0, landmarks=points),
        ]
    )
    assert select(bank, points[None], bank.light[:1], 1).tolist() == [[2]]


def test_what_shows_the_other_side_comes_before_the_nearest_ones_twin():
    target = mesh(0)
    opened = [target.copy() for _ in range(4)]
    for points, by in zip(opened, (-9, -8.5, -8, 12), strict=True):
        points[list(INNER_LIPS)] += [0, by]
    bank = ReferenceBank.from_references([reference(0, landmarks=points) for points in opened])
    assert mesh_distances(target[None], bank.landmarks).argsort()[0].tolist() == [2, 1, 0, 3]
    assert select(bank, target[None], bank.light[:1], 2)[0].tolist() == [2, 3]


def test_shut_eyes_are_shown_last_and_to_shut_eyes_alone():
    points = mesh()
    bank = ReferenceBank.from_references([reference(seed, landmarks=points) for seed in range(4)])
    shows = np.array([0, 1, 0, 1], np.float32)
    faces, light = np.stack([points] * 3), np.repeat(bank.light[:1], 3, axis=0)
    shut = np.array([0, 1, 0.1], np.float32)
    rows = select(bank, faces, light, 2, shut=shut, shows=shows)
    assert [sorted(shows[row]) for row in rows] == [[0, 0], [0, 1], [0, 1]]
    assert shows[rows[:, 0]].tolist() == [0, 0, 0]
    # With room for one it is a whole face; where nothing else is left lids are better than nothing.
    assert select(bank, faces, light, 1, shut=shut, shows=shows).ravel().tolist() == [0, 0, 0]
    every = select(bank, faces, light, 3, shut=shut, shows=np.ones(4, np.float32))
    assert (every >= 0).all()
    hidden = select(bank, faces, light, 3, shut=shut, shows=shows, exclude=[[1, 3]] * 3)
    assert [sorted(row) for row in hidden.tolist()] == [[-1, 0, 2]] * 3
