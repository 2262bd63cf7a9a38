"""Restored faces in their heads: as far as references count, and no further."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from refrestore.config import RuntimeSettings
from refrestore.evaluate.degrade import Degradation, degrade
from refrestore.faces.align import FFHQ_TEMPLATE, crops, similarity, transform
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.render.crops import at_sides, from_uint8, to_uint8
from refrestore.render.heads import InHeads, in_heads
from refrestore.render.toolbox import open_toolbox
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.composite import HEAD_GROWTH, head_masks, in_head, mesh_boxes
from refrestore.restore.head import GROWTH
from refrestore.restore.hull_mask import grown, hull_mask
from refrestore.restore.restorer import Restored
from refrestore.types import FloatArray

SIDE = 256


class InTurn:
    """What of the restorer is needed."""

    def each(self, do: Any, parts: Any) -> None:
        for part in parts:
            do(part)


def meshes(count: int) -> FloatArray:
    turn = np.linspace(0, 40 * np.pi, 468)
    out = np.linspace(0.2, 1, 468)
    face = np.stack([0.5 + 0.16 * out * np.cos(turn), 0.52 + 0.22 * out * np.sin(turn)], 1)
    return np.tile((face * SIDE).astype(np.float32), (count, 1, 1))


def pictures(seed: int, count: int = 1) -> Tensor:
    """Return smooth coloured noise with fine noise on it."""
    random = torch.Generator().manual_seed(seed)
    parts = [
        torch.nn.functional.interpolate(
            torch.rand(count, 3, cells, cells, generator=random), size=SIDE, mode="bicubic"
        )
        for cells in (8, 32, 128)
    ]
    return (sum(parts) / 3).clamp(0, 1)  # type: ignore[union-attr]


def bank_of(images: Tensor, landmarks: FloatArray | None = None) -> ReferenceBank:
    count = len(images)
    shown = (images * 255).round().to(torch.uint8)
    ones = np.ones(count, np.float32)
    return ReferenceBank(
        images=shown,
        landmarks=meshes(count) if landmarks is None else landmarks,
        pose=np.zeros((count, 3), np.float32),
        quality=ones,
        native_size=ones * 256,
        embeddings=np.zeros((count, 512), np.float32),
        frames=np.full(count, -1, np.int64),
        light=np.zeros((count, 64), np.float32),
    )


def scene() -> tuple[Restored, Tensor, list[ReferenceBank | None]]:
    """Return three faces: of a person, of nobody known, and of the person again."""
    sharp = pictures(1, 3)
    faces = torch.nn.functional.avg_pool2d(sharp, 7, 1, 3, count_include_pad=False)
    masks = hull_mask(grown(torch.from_numpy(meshes(3))), SIDE)
    bank = bank_of(torch.cat([pictures(9), sharp[[0, 2]]]))
    done = Restored(sharp.clone(), masks, torch.zeros_like(masks), [[1, 0], [], [2]])
    return done, faces, [bank, None, bank]


def run(guided: list[float], drawn: list[float] | None = None) -> tuple[Restored, Tensor, InHeads]:
    done, faces, banks = scene()
    own = None if drawn is None else np.array(drawn, np.float32)
    words = np.array(guided, np.float32)
    restorer: Any = InTurn()
    made = in_heads(done, faces, meshes(3), banks, restorer, guided=words, drawn=own)
    return done, faces, made


def test_a_reference_shows_hair_only_where_it_counts() -> None:
    done, faces, made = run([1, 1, 0])
    around = (head_masks(torch.from_numpy(meshes(1)), SIDE)[0] > 0.5) & (done.masks[0] == 0)
    assert float(made.masks[0][around].mean()) > 0.6
    shown = faces + made.masks[:, None] * (made.images - faces)
    apart = [(one - done.images[0]).square().mean(0)[around].mean() for one in (faces[0], shown[0])]
    assert float(apart[1]) < 0.5 * float(apart[0])
    for row in (1, 2):  # no reference, and one that the guard has refused
        torch.testing.assert_close(made.images[row], done.images[row], atol=0, rtol=0)
        torch.testing.assert_close(made.masks[row], done.masks[row], atol=0, rtol=0)
    hull, wide = mesh_boxes(meshes(1), SIDE), mesh_boxes(meshes(1), SIDE, GROWTH)
    np.testing.assert_array_equal(made.boxes, np.concatenate([wide, hull, hull]))


def test_it_shows_as_far_as_references_count() -> None:
    whole, half = run([1, 0, 0])[2], run([0.5, 0, 0])[2]
    outside = scene()[0].masks[0] == 0
    torch.testing.assert_close(half.masks[0][outside], whole.masks[0][outside] / 2)


def test_without_any_the_faces_are_as_they_were() -> None:
    done, _, made = run([0, 0, 0])
    assert made.images is done.images
    assert made.masks is done.masks
    np.testing.assert_array_equal(made.boxes, mesh_boxes(meshes(3), SIDE))


def test_what_was_drawn_of_a_head_lies_beneath() -> None:
    drawn = [0.0, 1.0, 0.5]
    done, faces, made = run([0, 0, 0], drawn)
    heads = head_masks(torch.from_numpy(meshes(3)), SIDE) * torch.tensor(drawn)[:, None, None]
    images, masks = in_head(done.images, done.masks, faces, heads)
    torch.testing.assert_close(made.images, images)
    torch.testing.assert_close(made.masks, masks)
    hull, wide = (mesh_boxes(meshes(1), SIDE, one) for one in (1.15, HEAD_GROWTH))
    np.testing.assert_array_equal(made.boxes, np.concatenate([hull, wide, wide]))
    both = run([0, 0, 1], drawn)[2]
    assert float((both.masks[2] - made.masks[2]).min()) > -1e-5
    assert float((both.masks[2] - made.masks[2]).max()) > 0.3
    torch.testing.assert_close(both.images[:2], made.images[:2], atol=0, rtol=0)


@pytest.mark.parametrize("row", [0, 2])
def test_masks_end_where_the_boxes_do(row: int) -> None:
    _, _, made = run([1, 0, 1], [1, 1, 1])
    left, top, right, bottom = made.boxes[row].tolist()
    outside = made.masks[row].clone()
    outside[top:bottom, left:right] = 0
    assert float(outside.max()) == 0


def test_a_gpu_is_not_waited_for(fake_cuda: Any) -> None:
    done, faces, banks = scene()
    there = Restored(done.images.cuda(), done.masks.cuda(), done.confidence.cuda(), done.used)
    restorer: Any = InTurn()
    words = np.array([1, 1, 0], np.float32)
    made = in_heads(
        there, faces.cuda(), meshes(3), banks, restorer, guided=words, drawn=words * 0.5
    )
    assert {made.images.device.type, made.masks.device.type} == {"cuda"}
    assert fake_cuda.fetched == []


@pytest.mark.shared
def test_hair_of_a_clip_comes_from_another_second_of_it_and_not_from_somebody(shared: Any) -> None:
    tools = open_toolbox(RuntimeSettings(threads=1))

    def frame(name: str, index: int) -> tuple[Tensor, FloatArray]:
        with VideoReader(shared / "data/clips" / name) as reader:
            picture = display_rgb(next(islice(reader, index, None)))
        found = tools.models.detector.detect([picture], [0], 640)
        one = tools.models.describe(picture, found[[int(np.argmax(found.size))]], embed=False)
        assert one.landmarks is not None
        matrix = at_sides(similarity(one.keypoints, FFHQ_TEMPLATE), np.array([SIDE]))
        cut = from_uint8(crops(picture, matrix, SIDE))[0]
        return cut, transform(matrix, one.landmarks)[0].astype(np.float32)

    truth, mesh = frame("LivePortrait__assets_examples_driving_d19.mp4", 75)
    around = head_masks(torch.from_numpy(mesh)[None], SIDE)
    around = around * (1 - hull_mask(grown(torch.from_numpy(mesh)[None]), SIDE))
    shown = []
    rough = degrade(to_uint8(truth[None])[0], Degradation(3, 5, 6, 70), np.random.default_rng(0))
    face = from_uint8(rough[None])
    for name, index in (
        ("LivePortrait__assets_examples_driving_d19.mp4", 12),
        ("LivePortrait__assets_examples_driving_d8.mp4", 60),
    ):
        picture, theirs = frame(name, index)
        bank = bank_of(picture[None], theirs[None])
        done = tools.restorer.restore(face, mesh[None], [bank])
        made = in_heads(done, face, mesh[None], [bank], tools.restorer, guided=np.ones(1, "f4"))
        result = face + made.masks[:, None] * (made.images - face)
        errors = [(one - truth).square().mean(1)[around > 0.5].mean() for one in (face, result)]
        shown.append(10 * float(torch.log10(errors[0] / errors[1])))
    assert shown[0] > 1
    assert abs(shown[1]) < 0.2
