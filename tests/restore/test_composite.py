"""Compositing: exact where nothing changed, faithful where something did."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from refrestore.media.patch import Patch
from refrestore.restore import composite
from refrestore.restore.composite import differences, mesh_boxes, shared
from refrestore.restore.hull_mask import grown, hull_mask

SIZE = 512
WHOLE = np.array([[0, 0, SIZE, SIZE]])
ONE = np.ones(1, np.float32)


def similarity(scale: float, angle: float, shift: tuple[float, float]) -> np.ndarray:
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])


def soft_disc(size: int = SIZE) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    radius = torch.hypot(x - (size - 1) / 2, y - (size - 1) / 2) * (SIZE / size)
    return ((200 - radius) / 40).clamp(0, 1)


@pytest.mark.parametrize("scale", [0.5, 1.0, 6.4])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_a_uniform_change_arrives_whole_and_only_inside_the_mask(
    scale: float, angle: float
) -> None:
    crops = torch.full((1, 3, SIZE, SIZE), 0.25)
    matrix = similarity(scale, angle, (40.0, 10.0))[None]
    (face,) = differences(
        crops + 0.5, crops, soft_disc()[None], ONE, matrix, boxes=WHOLE, picture_size=(1200, 1000)
    )
    assert face is not None
    inside = face.alpha > 0.999
    assert inside.any()
    np.testing.assert_allclose(face.delta[inside], 0.5, atol=1e-3)
    rows, columns = np.indices(face.alpha.shape)
    points = np.stack([columns + face.left, rows + face.top, np.ones_like(rows)], axis=-1)
    reached = points @ matrix[0].T
    radius = np.hypot(reached[..., 0] - 255.5, reached[..., 1] - 255.5)
    assert np.all(face.alpha.numpy()[radius > 205 + 2 * scale] == 0)


def test_no_change_is_exactly_no_difference() -> None:
    crops = torch.rand(1, 3, SIZE, SIZE)
    matrix = similarity(5, 0.1, (0, 0))[None]
    (face,) = differences(
        crops, crops, soft_disc()[None], ONE, matrix, boxes=WHOLE, picture_size=(100, 100)
    )
    assert face is not None
    assert torch.all(face.delta == 0)


def test_faces_outside_without_strength_or_without_a_box_are_left_out() -> None:
    crops = torch.zeros(3, 3, SIZE, SIZE)
    masks = soft_disc()[None].repeat(3, 1, 1)
    matrices = np.stack([similarity(1, 0, shift) for shift in ((-5000, 0), (0, 0), (0, 0))])
    strengths = np.array([1, 0, 1], np.float32)
    boxes = np.concatenate([WHOLE, WHOLE, [[9, 9, 9, 30]]])
    made = differences(crops, crops, masks, strengths, matrices, boxes=boxes, picture_size=(64, 64))
    assert made == [None] * 3


def one_by_one(
    layers: torch.Tensor, matrix: np.ndarray, strength: float, face: Patch
) -> torch.Tensor:
    """Return a patch's delta as a face by itself is resampled, in double precision's positions."""
    side = layers.shape[-1]
    pitch = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    reduced = max(8, round(side / pitch * 1.2)) if pitch > 1.5 else side
    if reduced < side:
        size = (reduced, reduced)
        layers = F.interpolate(layers[None], size=size, mode="bilinear", antialias=True)[0]
    rows, columns = np.indices(face.alpha.shape)
    points = np.stack([columns + face.left, rows + face.top, np.ones_like(rows)], -1) @ matrix.T
    grid = torch.from_numpy((points + 0.5) * (2 / side) - 1).float()[None]
    residual = F.grid_sample(layers[None, :3], grid, mode="bicubic", align_corners=False)[0]
    mask = F.grid_sample(layers[None, 3:], grid, align_corners=False)[0, 0]
    return (residual * (mask * strength).clamp(0, 1)).permute(1, 2, 0)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("side", [128, 512])
def test_faces_of_any_size_come_out_as_each_by_itself(
    together: bool, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, all together, and as on a CPU."""
    if together:
        monkeypatch.setattr(composite, "parts", lambda count, device: [slice(0, count)])
    generator = torch.Generator().manual_seed(1)
    restored, before = torch.rand((2, 3, 3, side, side), generator=generator)
    masks = soft_disc(side)[None].repeat(3, 1, 1)
    matrices = np.stack(
        [
            similarity(3.1, 0.2, (-40.0, -20.0)),
            similarity(1.3, -0.4, (30.0, 9.0)),
            similarity(0.8, 0.0, (-80.5, -50.2)),
        ]
    ) * (side / SIZE)
    strengths = np.array([1, 0.5, 0.7], np.float32)
    boxes = np.tile(WHOLE, (3, 1)) * side // SIZE
    made = differences(
        restored, before, masks, strengths, matrices, boxes=boxes, picture_size=(600, 420)
    )  # the third reaches beyond
    for row, face in enumerate(made):
        assert face is not None
        alone = Patch(face.left, face.top, face.residual, face.alpha)
        torch.testing.assert_close(face.change, alone.change)
        layers = torch.cat([restored[row] - before[row], masks[row][None]])
        wanted = one_by_one(layers, matrices[row], float(strengths[row]), face)
        torch.testing.assert_close(face.delta, wanted, atol=2e-4, rtol=0)


def test_a_box_cuts_nothing_off_the_mask() -> None:
    generator = np.random.default_rng(4)
    for side in (128, 512):
        landmarks = (generator.normal(0.5, 0.12, (6, 468, 2)) * side).astype(np.float32)
        landmarks[5] += side * 0.4  # partly beyond the crop
        masks = hull_mask(grown(torch.from_numpy(landmarks)), side)
        boxes = mesh_boxes(landmarks, side)
        for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
            assert (mask[top:bottom, left:right] > 0).sum() == (mask > 0).sum() > 0
            assert (right - left) * (bottom - top) < side * side or mask[:, 0].any()


def test_overlapping_faces_share_their_pixels() -> None:
    one = Patch(0, 0, torch.ones(4, 6, 3), torch.ones(4, 6))
    other = Patch(3, 1, torch.ones(4, 6, 3), torch.ones(4, 6))
    total = torch.zeros(10, 12)
    for face in shared([one, other]):
        height, width = face.alpha.shape
        total[face.top : face.top + height, face.left : face.left + width] += face.alpha
    assert total.max() == pytest.approx(1)
    assert one.alpha.min() == 1  # the inputs are left as they were


@pytest.mark.parametrize("side", [256, 384, 512])
def test_what_is_pasted_ends_inside_its_crop(side: int) -> None:
    ended = composite.inside_crops(torch.ones(1, side, side))[0]
    rim, edge = side // 64, side // 32
    assert float(ended[:rim].max()) == float(ended[:, -rim:].max()) == 0
    assert float(ended[edge:-edge, edge:-edge].min()) == 1
    assert float(ended.diff(dim=0).abs().max()) <= 1 / rim + 1e-6  # no step
