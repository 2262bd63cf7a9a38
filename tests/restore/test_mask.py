"""The face mask: shapes, independence of the batch, its file, and what it does to real faces."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.data import astronaut
from torch._subclasses.fake_tensor import FakeTensorMode

from refrestore.errors import ModelError
from refrestore.faces.align import FFHQ_TEMPLATE, crops, similarity
from refrestore.faces.hull import hull_polygon
from refrestore.faces.landmarker import Landmarker
from refrestore.restore.mask import (
    COVERED,
    LEAST_SEED,
    MASK_SIZE,
    PLAINLY,
    LearntMask,
    MaskNetwork,
    certain,
    hull_input,
    load_mask,
    save_mask,
    without_doubts,
)

LITE = Path(__file__).resolve().parents[2] / "models/lite"

# SCRFD-2.5g's answer on scikit-image's portrait, pixels.
KEYPOINTS = np.array(
    [[204.6, 101.2], [247.7, 103.5], [224.5, 128.0], [203.4, 140.6], [245.6, 142.8]], np.float32
)


def network(seed=0):
    torch.manual_seed(seed)
    return MaskNetwork((8, 8, 8, 8))


def meshes(count, size=512):
    random = np.random.default_rng(3)
    return torch.from_numpy(random.uniform(0.25, 0.75, (count, 468, 2)) * size).float()


@torch.inference_mode()
@pytest.mark.parametrize("size", [512, 128, 192])
def test_the_mask_has_the_faces_size_and_range(size):
    faces = torch.rand(2, 3, size, size)
    seen = LearntMask(network()).visible(faces, meshes(2, size))
    assert seen.shape == (2, size, size)
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 1


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_faces_do_not_see_each_other(dtype):
    mask, faces, mesh = LearntMask(network(), dtype=dtype), torch.rand(3, 3, 512, 512), meshes(3)
    together = mask.visible(faces, mesh)
    others = mask.visible(faces[:1].expand(3, -1, -1, -1), mesh[[0, 0, 0]])
    alone = mask.visible(faces[:1], mesh[:1])
    assert torch.allclose(together[0], others[0], atol=1e-5)
    assert torch.allclose(together[0], alone[0], atol=1e-5 if dtype == torch.float32 else 0.05)
    assert torch.equal(alone, mask.visible(faces[:1], mesh[:1]))


def test_the_hull_is_seen_where_it_lies():
    mesh = meshes(1)
    small = hull_input(mesh, 512)[0, 0].numpy()
    large = hull_polygon(mesh.numpy(), 512)[0]
    shrunk = cv2.resize(large, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA) > 127
    assert ((small > 0) == shrunk).mean() > 0.99


def parts_by_scipy(probability, hull):
    """The same by labelling connected parts."""
    covered = (probability < COVERED)[0, 0].numpy()
    plainly = ((probability < PLAINLY) & (hull > COVERED))[0, 0].numpy()
    parts, count = ndimage.label(covered)
    seeds = np.bincount(parts[plainly], minlength=count + 1)
    seeds[0] = 0
    kept = ndimage.binary_dilation((seeds >= LEAST_SEED)[parts], iterations=2)
    return torch.where(torch.from_numpy(kept), probability, 1.0)


def blobs(random, count=5):
    """Things in front of a face, most of them doubtful, over a background that is no face."""
    line = torch.arange(128) + 0.5
    radius = ((line - 64).square() + (line[:, None] - 64).square()).sqrt()
    probability = torch.where(radius > 45, 0.2, 0.9)
    for _ in range(count):
        x, y, one, other = random.uniform((30, 30, 3, 3), (98, 98, 14, 14))
        inside = ((line - x) / one).square() + ((line[:, None] - y) / other).square() < 1
        depth = float(random.choice([0.3, 0.3, 0.02]))
        probability = torch.where(inside, depth, probability)
    specks = torch.from_numpy(random.random((128, 128)) < 0.002)
    return torch.where(specks, 0.01, probability)[None, None]


@pytest.mark.parametrize("seed", range(8))
def test_parts_that_are_nowhere_plain_are_doubts(seed):
    random = np.random.default_rng(seed)
    probability = torch.cat([blobs(random) for _ in range(3)])
    hull = hull_input(meshes(3), 512)
    made = without_doubts(probability, hull)
    for face in range(3):
        one = slice(face, face + 1)
        assert torch.equal(made[one], parts_by_scipy(probability[one], hull[one]))
    assert float(made.min()) < PLAINLY
    assert bool(((probability < COVERED) & (made == 1)).any())


def test_a_part_is_kept_for_what_is_plain_at_its_other_end():
    probability = torch.full((1, 1, 128, 128), 0.9)
    probability[..., 20:108, 20:108] = 0.3
    probability[..., 40:88, 40:88] = 0.9  # a frame
    hull = torch.ones_like(probability)
    assert bool((without_doubts(probability, hull)[probability < COVERED] == 1).all())
    probability[..., 20, 20 : 20 + LEAST_SEED - 1] = 0.01
    assert bool((without_doubts(probability, hull)[probability < COVERED] == 1).all())
    probability[..., 20, 20 : 20 + LEAST_SEED] = 0.01
    kept = without_doubts(probability, hull)
    assert torch.equal(kept[probability < COVERED], probability[probability < COVERED])
    assert kept[0, 0, 64, 42] == 1
    assert kept[0, 0, 64, 41] == probability[0, 0, 64, 41]  # two pixels beyond its rim


def test_nothing_waits_for_the_device():
    mask = LearntMask(network())
    with FakeTensorMode():
        mask.device = torch.device("cuda")
        with mask.device:
            mask.network = MaskNetwork((8, 8, 8, 8))
        for size in (128, 512):
            faces = torch.zeros(3, 3, size, size, device="cuda")
            with torch.no_grad():
                seen = mask.visible(faces, torch.zeros(3, 468, 2, device="cuda"))
            assert seen.shape == (3, size, size)
            assert seen.device.type == "cuda"


def test_only_doubt_is_soft():
    stretched = certain(torch.tensor([0.0, 0.2, 0.5, 0.8, 1.0]))
    assert stretched.tolist() == pytest.approx([0, 0, 0.5, 1, 1])


@torch.inference_mode()
def test_a_file_gives_the_network_back(tmp_path):
    path, faces = tmp_path / "mask.safetensors", torch.rand(1, 3, 256, 256)
    first = network()
    for value in first.parameters():
        value.copy_(value.half())
    save_mask(first, path)
    again = load_mask(path)
    mesh = meshes(1, 256)
    assert torch.equal(LearntMask(first).visible(faces, mesh), again.visible(faces, mesh))


@pytest.mark.parametrize("content", [b"", b"nonsense" * 40])
def test_a_damaged_file_is_one_sentence(tmp_path, content):
    path = tmp_path / "mask.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="face mask weights"):
        load_mask(path)
    with pytest.raises(ModelError, match="face mask weights"):
        load_mask(tmp_path / "none.safetensors")


def test_another_network_is_refused():
    with pytest.raises(ModelError, match="face mask weights"):
        load_mask(LITE / "fusion.safetensors")


@pytest.fixture(scope="module")
def portrait():
    """A real face, 512 px, and its mesh hull."""
    face = crops(astronaut(), similarity(KEYPOINTS[None], FFHQ_TEMPLATE), 512)[0]
    mesh, _ = Landmarker(LITE / "landmarks.onnx", "cpu", 1).dense(face[None])
    return face, mesh, hull_polygon(mesh, 512)[0] > 0


def seen(face, mesh):
    picture = torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1)))[None].float() / 255
    with torch.inference_mode():
        return (
            load_mask(LITE / "mask.safetensors").visible(picture, torch.from_numpy(mesh))[0].numpy()
        )


def small(face, side):
    shrunk = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (512, 512), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("side", [512, 64, 24])
def test_a_free_face_is_repaired_whole(portrait, side):
    face, mesh, hull = portrait
    assert seen(small(face, side), mesh)[hull].mean() > 0.9


@pytest.mark.parametrize("side", [512, 64])
def test_a_microphone_keeps_its_pixels(portrait, side):
    face, mesh, hull = portrait
    thing = np.zeros((512, 512), np.uint8)
    cv2.line(thing, (250, 400), (170, 700), 1, 50)
    cv2.circle(thing, (256, 370), 55, 1, -1)
    covered = face.copy()
    covered[thing > 0] = (28, 28, 30)
    mask = seen(small(covered, side), mesh)
    inside, free = hull & (thing > 0), hull & (cv2.dilate(thing, np.ones((25, 25))) == 0)
    assert mask[inside].mean() < 0.15
    assert mask[free].mean() > 0.9
