"""The soft hull: against the polygon's distance transform, at every side, on any device."""

import cv2
import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from refrestore.faces.hull import hull_polygon
from refrestore.restore.hull_mask import FEATHER, hull_mask


def ellipse(centre, radius, count=468):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = np.stack([np.cos(angle), 1.3 * np.sin(angle)], 1) * radius + centre
    return torch.from_numpy(points.astype(np.float32))


def by_distance_transform(landmarks, size, width):
    """The same mask by OpenCV, of corners rounded to whole pixels."""
    masks = []
    for hard in hull_polygon(landmarks.numpy(), size):
        depth = cv2.distanceTransform(hard, cv2.DIST_L2, cv2.DIST_MASK_5)
        ramp = np.clip(depth / width, 0, 1)
        masks.append(ramp * ramp * (3 - 2 * ramp))
    return np.stack(masks)


@pytest.mark.parametrize("size", [128, 192, 256, 384, 512])
def test_it_is_the_distance_to_the_hulls_edge(size):
    random = np.random.default_rng(size)
    face = ellipse((size / 2, size / 2), 0.3 * size)
    face = torch.stack([face, face * 0.7 + size * 0.2])
    face = face + torch.from_numpy(random.normal(0, size / 100, face.shape)).float()
    wanted = by_distance_transform(face, size, FEATHER * size)
    made = hull_mask(face, size).numpy()
    # Corners that no direction meets, and those that the polygon rounds to whole pixels.
    assert np.abs(made - wanted).max() < 0.15 + 20 / size
    assert np.abs(made - wanted).mean() < 0.002 + 0.4 / size
    assert made.sum() == pytest.approx(wanted.sum(), rel=0.01 + 2 / size)


def test_hull_is_one_inside_and_zero_outside():
    mask = hull_mask(ellipse((64, 64), 30)[None], 128)
    assert mask.shape == (1, 128, 128)
    assert mask.dtype == torch.float32
    assert mask[0, 64, 64] == 1
    assert mask[0, 5, 5] == 0
    assert mask[0, 64, 64 + 33] == 0


@pytest.mark.parametrize("feather", [2.0, 12.0])
def test_edge_is_soft_monotone_and_inside_the_hull(feather):
    row = hull_mask(ellipse((64, 64), 40)[None], 128, feather=feather)[0, 64, 64:]
    assert bool((row.diff() <= 1e-6).all())
    assert row[40 - round(feather) - 1] == 1
    assert 0.2 < row[40 - round(feather / 2)] < 0.9
    assert row[42:].max() == 0


def test_faces_do_not_see_each_other():
    faces = torch.stack([ellipse((64, 64), 30), ellipse((50, 70), 20)])
    together = hull_mask(faces, 128)
    assert torch.equal(together[1], hull_mask(faces[1:], 128)[0])


@pytest.mark.parametrize("size", [64, 512])
def test_no_faces(size):
    assert hull_mask(torch.zeros(0, 468, 2), size).shape == (0, size, size)


def test_nothing_waits_for_the_device():
    with FakeTensorMode():
        for size, feather in ((512, None), (128, 2.0)):
            made = hull_mask(torch.zeros(3, 468, 2, device="cuda"), size, feather)
            assert made.shape == (3, size, size)
            assert made.device.type == "cuda"
