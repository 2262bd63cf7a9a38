"""Heads: what is drawn of them surrounds the restored face and ends inside the crop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from refrestore.restore.composite import (
    HEAD_GROWTH,
    head_masks,
    in_head,
    mesh_boxes,
)
from refrestore.restore.hull_mask import EYE_CORNERS, eye_masks, grown, hull_mask


def mesh(side: int) -> torch.Tensor:
    turn = np.linspace(0, 2 * np.pi, 468, endpoint=False)
    face = np.stack([0.5 + 0.22 * np.cos(turn), 0.55 + 0.3 * np.sin(turn)], 1) * side
    return torch.from_numpy(face[None].astype(np.float32))


@pytest.mark.parametrize("side", [128, 256, 512])
def test_a_head_is_wider_than_its_face_and_fades_to_nothing_in_the_crop(side: int) -> None:
    head, face = head_masks(mesh(side), side)[0], hull_mask(grown(mesh(side)), side)[0]
    assert float(head[face > 0.5].min()) > 0.5
    assert float(head.sum()) > 1.5 * float(face.sum())
    edge = side // 32
    for border in (head[:edge], head[-edge:], head[:, :edge], head[:, -edge:]):
        assert float(border.abs().max()) == 0
    steepest = max(float(head.diff(dim=axis).abs().max()) for axis in (0, 1))
    assert steepest < 3 / (0.1 * side)
    left, top, right, bottom = mesh_boxes(mesh(side).numpy(), side, HEAD_GROWTH)[0]
    outside = head.clone()
    outside[top:bottom, left:right] = 0
    assert float(outside.max()) == 0


def test_a_face_is_set_into_its_head() -> None:
    before, drawn, restored = (torch.full((1, 3, 64, 64), value) for value in (0.2, 0.5, 0.9))
    masks, heads = torch.zeros(1, 64, 64), torch.zeros(1, 64, 64)
    heads[:, :, :48], masks[:, :, :16], masks[:, :, 16:32] = 1, 1, 0.5
    images, both = in_head(restored, masks, drawn, heads)
    shown = (before + both[:, None] * (images - before))[0, 0, 0]
    assert shown[8] == pytest.approx(0.9)
    assert shown[24] == pytest.approx(0.7)  # half of each
    assert shown[40] == pytest.approx(0.5)
    assert shown[56] == pytest.approx(0.2)


def test_without_a_head_the_face_is_as_it_was() -> None:
    restored, drawn = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    masks = torch.rand(1, 32, 32)
    images, both = in_head(restored, masks, drawn, torch.zeros(1, 32, 32))
    assert torch.equal(images, restored)
    assert torch.equal(both, masks)


@pytest.mark.parametrize("side", [256, 512])
def test_eyes_are_wider_than_their_corners_and_nothing_but_eyes(side: int) -> None:
    points = torch.full((2, 468, 2), 0.5 * side)
    (left, right), (left_end, right_end) = EYE_CORNERS
    for corner, x in ((left, 0.3), (left_end, 0.4), (right, 0.6), (right_end, 0.7)):
        points[:, corner] = torch.tensor([x, 0.4]) * side  # in one line: lids that are shut
    eyes = eye_masks(points, side)
    assert torch.equal(eyes[0], eyes[1])
    row = round(0.4 * side)
    middles, corners = (
        eyes[0, row, [round(x * side) for x in at]] for at in ((0.35, 0.65), (0.3, 0.7))
    )
    assert float(middles.min()) == 1
    assert float(corners.min()) > 0.9
    assert float(eyes[0, row, round(0.5 * side)]) == 0
    far = round(0.07 * side)
    assert float(eyes[0, : row - far].max()) == float(eyes[0, row + far :].max()) == 0
