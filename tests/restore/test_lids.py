"""Whether eyes are shut, and which close-ups then show their lids."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from refrestore.config import RuntimeSettings
from refrestore.errors import ModelError
from refrestore.faces.align import FFHQ_TEMPLATE, crops, similarity, transform
from refrestore.faces.analyser import load_face_models
from refrestore.faces.eyes import EYES
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.models import load_face_pack
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.lids import (
    APART,
    HEIGHT,
    WIDTH,
    Lids,
    LidsNetwork,
    eye_pictures,
    load_lids,
    save_lids,
    unlike,
)
from refrestore.types import Reference

LITE = Path(__file__).resolve().parents[2] / "models/lite"


def network(seed=0):
    torch.manual_seed(seed)
    return LidsNetwork((4, 4, 4, 4))


def looking():
    """Return a mesh of a crop of 256 px that is all eyes."""
    points = np.zeros((468, 2), np.float32)
    angles = np.linspace(np.pi, -np.pi, 16, endpoint=False)
    for ring, x in zip(EYES, (90, 166), strict=True):
        points[list(ring)] = np.stack([x + 17 * np.cos(angles), 118 + 6 * np.sin(angles)], 1)
    return points


def test_eyes_are_cut_level_and_at_any_size():
    random = np.random.default_rng(0)
    face = cv2.GaussianBlur(random.uniform(0, 1, (256, 256, 3)).astype(np.float32), (0, 0), 5)
    as_it_is = eye_pictures(torch.from_numpy(face).permute(2, 0, 1)[None], mesh_of(looking()))
    assert as_it_is.shape == (1, 2, HEIGHT, WIDTH)
    assert float(as_it_is.mean()) == pytest.approx(0, abs=1e-5)
    large = torch.from_numpy(cv2.resize(face, (512, 512))).permute(2, 0, 1)[None]
    points = (looking() + 0.5) * 2 - 0.5
    assert torch.allclose(eye_pictures(large, mesh_of(points)), as_it_is, atol=0.05)
    # A mirrored face has the same eyes, the other one first.
    mirrored = torch.from_numpy(face[:, ::-1].copy()).permute(2, 0, 1)[None]
    points = looking() * [-1, 1] + [255, 0]
    swapped = points.copy()
    for one, other in (EYES, EYES[::-1]):
        swapped[list(one)] = points[list(other)]
        swapped[[one[0], one[8]]] = points[[other[8], other[0]]]
    theirs = eye_pictures(mirrored, mesh_of(swapped))
    assert torch.allclose(theirs.flip(1), as_it_is, atol=0.02)


def mesh_of(points):
    return torch.from_numpy(np.asarray(points, np.float32))[None]


def test_weights_come_back_and_damage_is_a_sentence(tmp_path):
    path = tmp_path / "lids.safetensors"
    save_lids(network(), path)
    eyes = torch.rand(3, 2, HEIGHT, WIDTH)
    assert torch.allclose(load_lids(path).network(eyes), network()(eyes), atol=1e-2)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match=r"lids\.safetensors"):
        load_lids(path)


def test_what_is_as_far_shut_is_preferred():
    shut = np.array([1, 0, 1, 0.25], np.float32)
    shown = np.array([[0, 1], [0, 1], [0, 0], [0, 1]], np.float32)
    losses, missing = unlike(shut, shown)
    assert losses.tolist() == [[APART, 0], [0, APART], [0, 0], [0, APART / 2]]
    assert missing.tolist() == [0, 0, 1, 0.25]


SHUT, OPEN = 100, 140
"""Frames of a clip of a woman who was not learnt from."""


@pytest.mark.shared
@pytest.mark.parametrize("size", [256, 64])
def test_shut_eyes_are_told_from_open_ones(shared, size):
    lids = load_lids(LITE / "lids.safetensors")
    models = load_face_models(load_face_pack(RuntimeSettings(threads=1)))
    said = []
    with VideoReader(shared / "data/clips/LivePortrait__assets_examples_driving_d7.mp4") as film:
        pictures = {one.index: display_rgb(one) for one in film if one.index in (SHUT, OPEN)}
    for index in (SHUT, OPEN):
        picture = pictures[index]
        faces = models.describe(picture, models.detector.detect([picture], [0]), embed=False)
        matrix = similarity(faces.keypoints[:1], FFHQ_TEMPLATE)
        face = crops(picture, matrix, 512)[0]
        small = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
        shown = torch.from_numpy(cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC))
        mesh = transform(matrix, faces.landmarks[:1])
        said.append(float(lids.shut(shown.permute(2, 0, 1)[None].float() / 255, mesh)[0]))
    assert said == [1, 0]


def banked(count):
    random = np.random.default_rng(0)
    return ReferenceBank.from_references(
        [
            Reference(
                image=random.integers(0, 256, (512, 512, 3), dtype=np.uint8),
                landmarks=looking() * 2,
                embedding=np.eye(512, dtype=np.float32)[row],
                pose=np.zeros(3, np.float32),
                sharpness=1.0,
                quality=1.0,
                native_size=400.0,
                source=f"{row}",
            )
            for row in range(count)
        ]
    )


def test_a_bank_is_asked_once():
    class Counting(Lids):
        asked = 0

        def probability(self, faces, landmarks):
            self.asked += 1
            return super().probability(faces, landmarks)

    own = banked(3)
    lids = Counting(network())
    assert lids.shown(own).shape == (3,)
    assert set(lids.shown(own).tolist()) <= {0.0, 1.0}
    assert lids.asked == 3


@pytest.mark.parametrize(
    ("read", "shut"),
    [
        ((0.02, 0.05, 0.01), [0, 1, 1]),  # as it was trained
        ((0.55, 0.62, 0.58), [0, 0, 1]),  # turned away: half is what open eyes look like
        ((0.55, 0.62, 0.97), [0, 1, 1]),  # shut ones are among them, and not read as half
        ((), [0, 1, 1]),
    ],
)
def test_eyes_that_look_as_a_persons_open_ones_are_open(read, shut):
    said = [np.float32([one]) for one in read] + [np.float32([0.1, 0.6, 0.95])] * 2

    class Told(Lids):
        def probability(self, faces, landmarks):
            return said.pop(0)

    own, frames, meshes = banked(len(read)), torch.zeros(3, 3, 8, 8), np.zeros((3, 468, 2))
    lids = Told(network())
    lids.shown(own)
    assert np.round(lids.shut(frames, meshes, [own] * 3)).tolist() == shut
    assert np.round(lids.shut(frames, meshes)).tolist() == [0, 1, 1]
