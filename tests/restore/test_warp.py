"""The dense warp: identity, affine exactness, and the border that stays."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refrestore.restore.colour import match_light
from refrestore.restore.warp import STRIDE, border_points, displacement, triangulate, warp

SIZE = 128


def mesh(seed=0):
    points = np.random.default_rng(seed).uniform(30, 98, (468, 2))
    return points.astype(np.float32)


def field(target, reference, size=SIZE):
    return displacement(triangulate(target[None], size), torch.from_numpy(reference)[None, None])[0]


def test_equal_meshes_do_not_move():
    assert float(field(mesh(), mesh()).abs().max()) == 0


def test_weights_are_barycentric():
    made = triangulate(np.stack([mesh(1), mesh(2)]), SIZE)
    assert made.weights.shape == (2, (SIZE // STRIDE) ** 2, 3)
    assert torch.allclose(made.weights.sum(-1), torch.ones(()), atol=1e-4)
    assert float(made.weights.min()) > -1e-3


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 50),
    st.floats(-0.2, 0.2),
    st.floats(-0.2, 0.2),
    st.floats(-8, 8),
)
def test_affine_motion_of_the_mesh_is_exact_inside_it(seed, a, b, shift):
    target = mesh(seed)
    linear = np.array([[1 + a, b], [-b, 1 + a]])
    reference = ((target - 64) @ linear.T + 64 + shift).astype(np.float32)
    moved = field(target, reference)[0].numpy()
    centres = (np.arange(SIZE // STRIDE) + 0.5) * STRIDE - 0.5
    x, y = np.meshgrid(centres, centres)
    inside = (np.abs(x - 64) < 25) & (np.abs(y - 64) < 25)  # well within the hull of the points
    points = np.stack([x[inside], y[inside]], 1)
    wanted = (points - 64) @ linear.T + 64 + shift - points
    assert np.abs(moved[:, inside].T - wanted).max() < 1e-2


def test_border_stays():
    moved = field(mesh(), mesh() + 10)
    assert float(moved[..., 0, :].abs().max()) < 1.5  # half a cell inside the fixed points
    assert float(moved[..., SIZE // STRIDE // 2, SIZE // STRIDE // 2].abs().min()) > 9


def test_border_points_surround_the_crop():
    points = border_points(SIZE)
    assert len(points) == len(np.unique(points, axis=0))
    assert points.min() == -1
    assert points.max() == SIZE


def test_warp_by_a_constant_is_a_shift():
    image = torch.rand(1, 3, 64, 64)
    offsets = torch.zeros(1, 2, 16, 16)
    offsets[:, 0], offsets[:, 1] = 5, -3
    moved = warp(image, offsets, size=(64, 64))
    assert torch.allclose(moved[..., 3:, :-5], image[..., :-3, 5:], atol=1e-5)


def test_warp_between_sizes():
    image = torch.rand(1, 3, 64, 64)
    offsets = torch.zeros(1, 2, 8, 8)
    offsets[:, 0], offsets[:, 1] = 16, 24
    assert torch.allclose(warp(image, offsets, size=(32, 32)), image[..., 24:56, 16:48], atol=1e-5)


def test_points_outside_the_crop_do_no_harm():
    target = mesh()
    target[:40] -= 80
    moved = field(target, mesh(1))
    assert bool(torch.isfinite(moved).all())


def test_match_light_moves_colour_not_detail():
    detail = 0.05 * torch.randn(1, 1, 3, 128, 128)
    reference = 0.5 + detail
    target = torch.tensor([0.6, 0.5, 0.4]).view(1, 3, 1, 1).expand(1, 3, 128, 128)
    matched = match_light(reference, target)
    assert torch.allclose(matched.mean((3, 4)), target.mean((2, 3))[:, None], atol=0.02)
    bytes_matched = match_light(reference * 255, target, unit=1 / 255)
    assert torch.allclose(bytes_matched, matched, atol=1e-4)
