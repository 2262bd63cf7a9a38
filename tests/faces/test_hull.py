import numpy as np
import pytest

from refrestore.faces.hull import hull_mask


def ellipse(centre, radius, count=468):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return (np.stack([np.cos(angle), 1.3 * np.sin(angle)], 1) * radius + centre).astype(np.float32)


def test_hull_is_one_inside_and_zero_outside():
    mask = hull_mask(ellipse((64, 64), 30)[None], 128)
    assert mask.shape == (1, 128, 128)
    assert mask.dtype == np.float32
    assert mask[0, 64, 64] == 1
    assert mask[0, 5, 5] == 0
    assert mask[0, 64, 64 + 33] == 0


def test_edge_is_soft_monotone_and_inside_the_hull():
    row = hull_mask(ellipse((64, 64), 40)[None], 128, feather=12)[0, 64, 64:]
    assert (np.diff(row) <= 1e-6).all()
    assert row[40 - 13] == 1
    assert 0.3 < row[40 - 6] < 0.7
    assert row[42:].max() == 0


def test_without_feather_the_mask_is_hard():
    mask = hull_mask(ellipse((64, 64), 30)[None], 128, feather=0)
    assert set(np.unique(mask)) == {0, 1}


@pytest.mark.parametrize("size", [64, 512])
def test_no_faces(size):
    assert hull_mask(np.zeros((0, 468, 2), np.float32), size).shape == (0, size, size)
