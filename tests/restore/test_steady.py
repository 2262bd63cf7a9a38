"""Steadiness: what moves with the face is averaged, what does not is left to its frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from refrestore.restore import flow
from refrestore.restore import steady as module
from refrestore.restore.steady import RestoredFace, greys, steadied
from refrestore.restore.warp import warp


def picture(shift: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    small = torch.rand((1, 3, 32, 32), generator=generator)
    smooth = torch.nn.functional.interpolate(small, size=512, mode="bicubic")[0].clamp(0, 1)
    return torch.roll(smooth, shift, 2)


SIDE = 512
WHOLE = (0, 0, SIDE, SIDE)


def moment_of(
    frame: int, image: Tensor, mask: Tensor | None = None, box: Any = WHOLE
) -> RestoredFace:
    side = image.shape[-1]
    layers = torch.cat([image, (torch.ones(side, side) if mask is None else mask)[None]])
    grey, shutter = greys(layers[None])[0], torch.tensor(torch.nan)
    return RestoredFace(frame, layers, image, np.array(box), grey, shutter)


def moment(
    frame: int, shift: int = 0, noise: float = 0.0, light: float = 0.0, mask: Any = None
) -> RestoredFace:
    generator = torch.Generator().manual_seed(frame)
    image = picture(shift) + light + noise * torch.randn((3, SIDE, SIDE), generator=generator)
    return moment_of(frame, image, mask)


def steady(face: RestoredFace, neighbours: Sequence[RestoredFace]) -> tuple[Tensor, Tensor]:
    layers, _ = steadied([face], [neighbours])
    return layers[0, :3], layers[0, 3]


INSIDE = (slice(None), slice(200, 340), slice(200, 310))


def test_noise_falls_and_a_moving_face_stays_sharp() -> None:
    face = moment(10, 0, noise=0.05)
    near = [moment(frame, (frame - 10) * 8, noise=0.05) for frame in (8, 9, 11, 12)]
    image, mask = steady(face, near)
    before = (face.layers[:3] - picture())[INSIDE].std()
    after = (image - picture())[INSIDE].std()
    assert after < 0.7 * before
    torch.testing.assert_close(mask, torch.ones(512, 512))


def test_a_neighbour_that_looks_otherwise_is_not_used() -> None:
    face = moment(10, noise=0.05)
    image, _ = steady(face, [moment(9, noise=0.05, light=0.4)])
    torch.testing.assert_close(image, face.layers[:3], atol=2e-3, rtol=0)


def test_what_changed_only_in_part_keeps_that_part() -> None:
    """A blink: the lid of this frame is not mixed with the open eyes beside it."""
    face = moment(10)
    other = picture()
    lid = (slice(None), slice(240, 272), slice(200, 264))
    other[lid] = 1 - other[lid]
    image, _ = steady(face, [moment_of(9, other)])
    middle = (slice(None), slice(250, 262), slice(215, 250))
    torch.testing.assert_close(image[middle], face.layers[:3][middle], atol=0.02, rtol=0)


def test_alone_a_face_is_returned_as_it_is() -> None:
    face = moment(10)
    layers, boxes = steadied([face], [[]])
    assert torch.equal(layers[0], face.layers)
    assert boxes.tolist() == [list(WHOLE)]


def test_masks_fade_with_the_face() -> None:
    face = moment(10)
    gone = moment(11, mask=torch.zeros(SIDE, SIDE))
    _, mask = steady(face, [gone])
    middle = float(mask[250, 250])
    assert 0.5 < middle < 0.7


def test_only_what_is_pasted_is_worked_on_and_it_comes_out_the_same() -> None:
    mask = torch.zeros(512, 512)
    mask[150:380, 170:330] = 1
    whole = [moment(frame, (frame - 10) * 4, noise=0.05) for frame in (10, 9, 11)]
    box = (170, 150, 330, 380)
    part = [moment_of(one.frame, one.layers[:3], mask, box) for one in whole]
    expected, _ = steady(whole[0], whole[1:])
    image, faded = steady(part[0], part[1:])
    torch.testing.assert_close(image[:, mask > 0], expected[:, mask > 0], atol=0.02, rtol=0)
    assert (image - part[0].layers[:3])[:, mask > 0].abs().mean() > 0.005
    far = (slice(None), slice(0, 100), slice(0, 512))
    assert torch.equal(image[far], part[0].layers[:3][far])
    assert float(faded[0, 0]) == 0


def test_a_mask_that_fails_for_a_frame_comes_from_its_neighbours() -> None:
    gone = moment(10, mask=torch.zeros(SIDE, SIDE))
    _, mask = steady(gone, [moment(9), moment(11)])
    assert float(mask[250, 250]) > 0.5


def reference(
    face: RestoredFace, neighbours: Sequence[RestoredFace], window: tuple[slice, slice]
) -> Tensor:
    """Return layers (4, S, S) as a face by itself is averaged: one neighbour after the other."""
    rows, columns = window
    coarse = tuple(slice(one.start // 2, one.stop // 2) for one in window)
    total = face.layers[:, rows, columns].clone()
    mine, sum_of_weights = F.avg_pool2d(total[:3], 8), torch.ones_like(total[0])
    for other in neighbours:
        pair = [np.ascontiguousarray(one.grey.numpy()[coarse]) for one in (face, other)]
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        motion = search.calc(*pair, np.zeros((*pair[0].shape, 2), np.float32)) * 2
        motion = torch.from_numpy(motion.transpose(2, 0, 1).copy())[None]
        placed = warp(other.layers[None, :, rows, columns], motion)[0]
        apart = (F.avg_pool2d(placed[:3], 8) - mine).abs().mean(0)
        weight = torch.exp(-((apart / 0.03) ** 2) - 0.5 * ((other.frame - face.frame) / 1.2) ** 2)
        weight = F.interpolate(weight[None, None], size=total.shape[1:], mode="bilinear")[0, 0]
        total += placed * weight
        sum_of_weights += weight
    result = face.layers.clone()
    result[:, rows, columns] = total / sum_of_weights
    return result


def film(count: int, side: int = SIDE) -> list[RestoredFace]:
    moments = [moment(frame, (frame - 10) * 6, noise=0.03) for frame in range(8, 8 + count)]
    mask = torch.zeros(SIDE, SIDE)
    mask[150:380, 170:330] = 1
    box = np.array((170, 150, 330, 380)) * side // SIDE
    return [
        moment_of(one.frame, _at(one.layers[:3], side), _at(mask[None], side)[0], box)
        for one in moments
    ]


def _at(planes: Tensor, side: int) -> Tensor:
    return F.interpolate(planes[None], size=side, mode="area")[0]


@pytest.mark.parametrize("together", [False, True])
def test_faces_come_out_as_each_by_itself(together: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, all together and with as many neighbours each as the one that has most."""
    if together:
        monkeypatch.setattr(module, "parts", lambda count, device: [slice(0, count)])
    moments = film(5)
    near = [[*moments[:2], *moments[3:]], [moments[2]], []]
    faces = [moments[2], moments[3], moments[1]]
    layers, boxes = steadied(faces, near)
    window = slice(112, 416), slice(136, 368)  # four cells of 8 pixels around the box
    inside = (slice(None), slice(150, 380), slice(170, 330))
    for made, face, others in zip(layers, faces, near, strict=True):
        wanted = reference(face, others, window)
        torch.testing.assert_close(made[inside], wanted[inside], atol=1e-5, rtol=0)
        assert int((made[3] > 0).sum()) == int((made[3][inside[1:]] > 0).sum())
    assert boxes.tolist() == [[170, 150, 330, 380]] * 3


@pytest.mark.parametrize("side", [128, 192, 256, 384])
def test_at_every_side_noise_falls_as_much(side: int) -> None:
    moments = film(5, side)
    layers, _ = steadied([moments[2]], [[*moments[:2], *moments[3:]]])
    clean = _at(picture(), side)
    inside = tuple(slice(a * side // SIDE, b * side // SIDE) for a, b in ((200, 340), (200, 310)))
    before, after = (
        float((one[:3] - clean)[(slice(None), *inside)].std())
        for one in (moments[2].layers, layers[0])
    )
    assert after < 0.75 * before


def test_neighbours_of_another_side_help_as_those_of_its_own_do() -> None:
    small, large = film(5, 128), film(5, 256)
    alone, _ = steadied([small[2]], [[*small[:2], *small[3:]]])
    mixed, boxes = steadied([small[2]], [[*small[:2], *large[3:]]])
    assert mixed.shape[-1] == 128
    assert np.abs(boxes[0] - small[2].box).max() <= 2
    inside = (slice(None), slice(50, 85), slice(50, 78))
    changed = (alone - small[2].layers[None])[0][inside].abs().mean()
    assert float((mixed - alone)[0][inside].abs().mean()) < 0.4 * float(changed)
    back = small[2].at(256)
    assert back.layers.shape[-1] == back.grey.shape[-1] == 256
    assert (back.box[:2] <= (85, 75)).all()
    assert (back.box[2:] >= (165, 190)).all()


def test_both_flows_steady_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = film(5, 256)
    near = [[*moments[:2], *moments[3:]]]
    layers, _ = steadied([moments[2]], near)
    monkeypatch.setattr(module, "flow", flow.lucas_kanade)
    other, _ = steadied([moments[2]], near)
    inside = (slice(None), slice(100, 170), slice(100, 155))
    changed = float((layers[0] - moments[2].layers)[inside].abs().mean())
    assert float((layers - other)[0][inside].abs().mean()) < 0.35 * changed
