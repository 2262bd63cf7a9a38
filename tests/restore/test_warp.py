"""The dense warp: identity, affine exactness, what a turned head shows, the border that stays."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import LinearNDInterpolator
from skimage.data import astronaut
from torch._subclasses.fake_tensor import FakeTensorMode

from refrestore.faces.align import FFHQ_TEMPLATE, crops, similarity
from refrestore.faces.hull import hull_polygon
from refrestore.faces.landmarker import Landmarker
from refrestore.restore.light import match_light
from refrestore.restore.warp import cells_of, displacement, warp

LITE = Path(__file__).resolve().parents[2] / "models/lite"
SIDES = [128, 192, 256, 384, 512]

# SCRFD-2.5g's answer on scikit-image's portrait, pixels.
KEYPOINTS = np.array(
    [[204.6, 101.2], [247.7, 103.5], [224.5, 128.0], [203.4, 140.6], [245.6, 142.8]], np.float32
)


@pytest.fixture(scope="module")
def portrait():
    """The mesh of a real face in a crop of 512 px, (468, 2)."""
    face = crops(astronaut(), similarity(KEYPOINTS[None], FFHQ_TEMPLATE), 512)
    return torch.from_numpy(Landmarker(LITE / "landmarks.onnx", "cpu", 1).dense(face)[0][0])


def at_side(mesh, side):
    return (mesh + 0.5) * (side / 512) - 0.5


def moved(mesh, seed=0):
    """Another expression: the mesh bent smoothly, and put elsewhere."""
    random = np.random.default_rng(seed)
    waves = torch.from_numpy(random.normal(0, 1, (2, 2, 3))).float()
    phase = mesh / 80
    x, y = phase.unbind(-1)
    basis = torch.stack([x.sin(), y.cos(), (x + y).sin()], -1)
    return mesh + 5 * basis @ waves[0].mT + torch.from_numpy(random.normal(0, 8, 2)).float()


def field(target, *references, side=512):
    return displacement(target[None], torch.stack(references)[None], side)[0]


def middles(side):
    cells = cells_of(side)
    return (np.arange(cells) + 0.5) * side / cells - 0.5


def inside_of(mesh, side, margin=0):
    """Cells that lie in the hull, those near its edge left out."""
    line = np.clip(np.rint(middles(side)).astype(int), 0, side - 1)
    hull = hull_polygon(((mesh - mesh.mean(0)) * (1 - margin) + mesh.mean(0))[None].numpy(), side)
    return hull[0][np.ix_(line, line)] > 0


@pytest.mark.parametrize("side", SIDES)
def test_equal_meshes_do_not_move(portrait, side):
    mesh = at_side(portrait, side)
    made = field(mesh, mesh, side=side)
    assert made.shape == (1, 2, cells_of(side), cells_of(side))
    assert float(made.abs().max()) == 0


def test_cells_are_a_share_of_the_side():
    assert [cells_of(side) for side in SIDES] == [64, 64, 64, 96, 128]


@pytest.mark.parametrize("side", SIDES)
def test_it_is_piecewise_affine_on_the_mesh(portrait, side):
    """As a Delaunay triangulation of the same points, but for how quadrangles are halved."""
    target, reference = at_side(portrait, side), at_side(moved(portrait), side)
    made = field(target, reference, side=side)[0]
    between = LinearNDInterpolator(target.double().numpy(), (reference - target).double().numpy())
    x, y = np.meshgrid(middles(side), middles(side))
    wanted = between(x, y).transpose(2, 0, 1)
    inside = inside_of(target, side, 0.05)
    apart = np.abs(made.numpy() - wanted)[:, inside] * 512 / side
    assert apart.mean() < 0.2
    assert np.quantile(apart, 0.99) < 2


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(SIDES),
    st.floats(-0.2, 0.2),
    st.floats(-0.2, 0.2),
    st.floats(-30, 30),
)
def test_affine_motion_of_the_mesh_is_exact_inside_it(portrait, side, a, b, shift):
    target = at_side(portrait, side)
    linear, middle = torch.tensor([[1 + a, b], [-b, 1 + a]]), side / 2
    shift = shift * side / 512

    def goal(points):
        return (points - middle) @ linear.T + middle + shift

    made = field(target, goal(target), side=side)[0]
    line = torch.from_numpy(middles(side)).float()
    points = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    wanted = (goal(points) - points).permute(2, 0, 1)
    apart = (made - wanted).abs().amax(0)[torch.from_numpy(inside_of(target, side, 0.1))]
    # Few cells have no point of the mesh in them and are filled in from their neighbours.
    assert float((apart < 1e-2 * side / 128).float().mean()) > 0.96
    assert float(apart.max()) < 0.02 * side


def test_of_a_folded_mesh_the_side_that_faces_the_camera_counts(portrait):
    """The left third of the face folded over onto the face: its triangles are seen from behind."""
    left = portrait[:, 0].min() + 0.3 * (portrait[:, 0].max() - portrait[:, 0].min())
    behind = portrait[:, 0] < left
    target = portrait.clone()
    target[behind, 0] = 2 * left - target[behind, 0]
    reference = target + torch.where(behind, 40.0, 5.0)[:, None]
    made = field(target, reference)[0]
    inside = inside_of(portrait, 512, 0.15)
    right = middles(512) > float(left) + 16
    assert float(made[0][:, torch.from_numpy(right)][torch.from_numpy(inside[:, right])].mean()) < 6


@pytest.mark.parametrize("faces", [0, 2])
def test_no_references(portrait, faces):
    made = displacement(portrait.expand(faces, -1, -1), torch.zeros(faces, 0, 468, 2), 384)
    assert made.shape == (faces, 0, 2, 96, 96)


def test_faces_and_references_do_not_see_each_other(portrait):
    targets = torch.stack([portrait, moved(portrait, 1)])
    references = torch.stack(
        [torch.stack([moved(portrait, seed + i) for i in range(3)]) for seed in (2, 5)]
    )
    together = displacement(targets, references, 512)
    assert together.shape == (2, 3, 2, 128, 128)
    for face in range(2):
        for reference in range(3):
            alone = field(targets[face], references[face, reference])
            assert torch.allclose(together[face, reference], alone[0], atol=1e-4)


def test_the_border_stays_and_between_it_fades(portrait):
    made = field(portrait, portrait + 10)[0]
    rim = torch.cat([made[:, 0], made[:, -1], made[..., 0], made[..., -1]], -1)
    assert float(rim.abs().max()) == 0
    assert torch.allclose(made[:, 64, 64], torch.tensor(10.0), atol=1e-3)
    assert float(made.max()) < 10.01
    assert float(made.diff(dim=-1).abs().max()) < 4
    assert float(made.min()) >= 0


@pytest.mark.parametrize("beyond", [-300, 300, 2000])
def test_points_outside_the_crop_do_no_harm(portrait, beyond):
    target = portrait + beyond
    made = field(target, target + 5)
    assert bool(torch.isfinite(made).all())
    assert float(made.abs().max()) < 5.01


@pytest.mark.parametrize("value", [0.0, 256.0])
def test_a_mesh_that_is_one_point_does_no_harm(value):
    target = torch.full((468, 2), value)
    assert bool(torch.isfinite(field(target, target + 3)).all())


def test_nothing_waits_for_the_device():
    with FakeTensorMode():
        targets = torch.zeros(3, 468, 2, device="cuda")
        references = torch.zeros(3, 5, 468, 2, device="cuda")
        for side in (128, 512):
            made = displacement(targets, references, side)
            assert made.shape == (3, 5, 2, cells_of(side), cells_of(side))
            images = torch.zeros(15, 3, side, side, device="cuda")
            placed = warp(images, made.flatten(0, 1))
            assert placed.shape == images.shape
            assert placed.device.type == "cuda"


def test_warp_by_a_constant_is_a_shift():
    image = torch.rand(1, 3, 64, 64)
    offsets = torch.zeros(1, 2, 16, 16)
    offsets[:, 0], offsets[:, 1] = 5, -3
    shifted = warp(image, offsets)
    assert torch.allclose(shifted[..., 3:, :-5], image[..., :-3, 5:], atol=1e-5)


@pytest.mark.parametrize("cells", [8, 32, 64])
def test_warp_between_sizes(cells):
    image = torch.rand(1, 3, 64, 64)
    offsets = torch.zeros(1, 2, cells, cells)
    offsets[:, 0], offsets[:, 1] = 16, 24
    assert torch.allclose(warp(image, offsets, (32, 32)), image[..., 24:56, 16:48], atol=1e-5)


def test_match_light_moves_colour_not_detail():
    detail = 0.05 * torch.randn(1, 1, 3, 128, 128)
    reference = 0.5 + detail
    target = torch.tensor([0.6, 0.5, 0.4]).view(1, 3, 1, 1).expand(1, 3, 128, 128)
    matched = match_light(reference, target)
    assert torch.allclose(matched.mean((3, 4)), target.mean((2, 3))[:, None], atol=0.02)


def test_cubic_samples_keep_more_of_the_finest_octave():
    x = torch.arange(64, dtype=torch.float32)
    wave = torch.sin(2 * torch.pi * x / 3.5).expand(1, 1, 64, 64).contiguous()
    half = torch.zeros(1, 2, 16, 16)
    half[:, 0] = 0.5
    true = torch.sin(2 * torch.pi * (x + 0.5) / 3.5)
    inner = slice(4, -4)
    errors = [
        float((warp(wave, half, cubic=cubic)[0, 0, 32] - true)[inner].square().mean().sqrt())
        for cubic in (False, True)
    ]
    assert errors[1] < 0.5 * errors[0]
