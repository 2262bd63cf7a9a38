"""Compositing: exact where nothing changed, faithful where something did."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from refrestore.restore.composite import Difference, differences, share_overlaps

SIZE = 512


def similarity(scale: float, angle: float, shift: tuple[float, float]) -> np.ndarray:
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])


def soft_disc() -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    radius = torch.hypot(x - 255.5, y - 255.5)
    return ((200 - radius) / 40).clamp(0, 1)


@pytest.mark.parametrize("scale", [0.5, 1.0, 6.4])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_a_uniform_change_arrives_whole_and_only_inside_the_mask(
    scale: float, angle: float
) -> None:
    crops = torch.full((1, 3, SIZE, SIZE), 0.25)
    matrix = similarity(scale, angle, (40.0, 10.0))[None]
    faces = differences(
        crops + 0.5, crops, soft_disc()[None], [1.0], matrix, picture_size=(1200, 1000)
    )
    assert len(faces) == 1
    face = faces[0]
    inside = face.alpha > 0.999
    assert inside.any()
    np.testing.assert_allclose(face.delta[inside], 0.5, atol=1e-3)
    rows, columns = np.indices(face.alpha.shape)
    points = np.stack([columns + face.left, rows + face.top, np.ones_like(rows)], axis=-1)
    reached = points @ matrix[0].T
    radius = np.hypot(reached[..., 0] - 255.5, reached[..., 1] - 255.5)
    assert np.all(face.alpha[radius > 205 + 2 * scale] == 0)


def test_no_change_is_exactly_no_difference() -> None:
    crops = torch.rand(1, 3, SIZE, SIZE)
    faces = differences(
        crops,
        crops,
        soft_disc()[None],
        [1.0],
        similarity(5, 0.1, (0, 0))[None],
        picture_size=(100, 100),
    )
    assert np.all(faces[0].delta == 0)


def test_faces_outside_or_without_strength_are_left_out() -> None:
    crops = torch.zeros(2, 3, SIZE, SIZE)
    masks = soft_disc()[None].repeat(2, 1, 1)
    matrices = np.stack([similarity(1, 0, (-5000, 0)), similarity(1, 0, (0, 0))])
    assert differences(crops, crops, masks, [1.0, 0.0], matrices, picture_size=(64, 64)) == []


def test_overlapping_faces_share_their_pixels() -> None:
    one = Difference(0, 0, np.ones((4, 6, 3), np.float32), np.ones((4, 6), np.float32))
    other = Difference(3, 1, np.ones((4, 6, 3), np.float32), np.ones((4, 6), np.float32))
    total = np.zeros((10, 12))
    for face in share_overlaps([one, other]):
        height, width = face.alpha.shape
        total[face.top : face.top + height, face.left : face.left + width] += face.alpha
    assert total.max() == pytest.approx(1)
    assert one.alpha.min() == 1  # the inputs are left as they were
