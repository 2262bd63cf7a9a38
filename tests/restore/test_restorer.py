"""The restorer: batches of several people, missing references, the generator behind."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from refrestore.restore.bank import ReferenceBank
from refrestore.restore.fusion import FusionNetwork
from refrestore.restore.fusion_types import FusionConfig
from refrestore.restore.hull_mask import around_lips, cells, eye_masks, hull_cells
from refrestore.restore.light import luma_of
from refrestore.restore.mask import LearntMask, MaskNetwork
from refrestore.restore.restorer import UNREFERENCED, Restorer
from refrestore.restore.second.combined import combine
from refrestore.restore.second.stage import Descriptor
from refrestore.types import Reference

SMALL = FusionConfig(channels=16, width=16, encoder_blocks=1, trunk_blocks=1, decoder_blocks=1)


def mesh(seed=0):
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 468)
    radius = np.sqrt(np.random.default_rng(1).uniform(0, 1, 468))
    points = np.stack([np.cos(angles) * 120, np.sin(angles) * 160], 1) * radius[:, None] + 256
    return (points + np.random.default_rng(seed).normal(0, 1, (468, 2))).astype(np.float32)


def bank(count, seed=0):
    random = np.random.default_rng(seed)
    return ReferenceBank.from_references(
        [
            Reference(
                image=random.integers(0, 256, (512, 512, 3), dtype=np.uint8),
                landmarks=mesh(index),
                embedding=np.eye(512, dtype=np.float32)[index],
                pose=np.zeros(3, np.float32),
                sharpness=1.0,
                quality=1.0,
                native_size=400.0,
                source=f"{index}",
                frame=index,
            )
            for index in range(count)
        ]
    )


def network():
    torch.manual_seed(0)
    made = FusionNetwork(SMALL)
    for value in made.parameters():
        value.data += 0.02 * torch.randn_like(value)
    return made


@pytest.fixture
def faces():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, 3, 512, 512, generator=generator), np.stack([mesh(i) for i in range(3)])


def test_a_batch_of_several_people_equals_one_at_a_time(faces):
    crops, landmarks = faces
    restorer = Restorer(network())
    banks = [bank(3), None, bank(1, seed=1)]
    together = restorer.restore(crops, landmarks, banks, references=2)
    assert [len(used) for used in together.used] == [2, 0, 1]
    assert together.images.shape == (3, 3, 512, 512)
    assert float(together.images.min()) >= 0
    assert float(together.images.max()) <= 1
    assert float(together.confidence[1].max()) == 0
    for row in range(3):
        alone = restorer.restore(
            crops[row : row + 1], landmarks[row : row + 1], [banks[row]], references=2
        )
        assert torch.equal(alone.images[0], together.images[row])
        assert torch.equal(alone.masks[0], together.masks[row])


def test_excluded_rows_are_not_used(faces):
    crops, landmarks = faces
    person = bank(3)
    result = Restorer(network()).restore(
        crops[:1], landmarks[:1], [person], exclude=[person.rows_of_frame(0)], references=5
    )
    assert sorted(result.used[0]) == [1, 2]


def test_bytes_and_floats_agree(faces):
    crops, landmarks = faces
    restorer = Restorer(network())
    octets = (crops[:1] * 255).round().byte()
    first = restorer.restore(octets, landmarks[:1], [None]).images
    second = restorer.restore(octets.float() / 255, landmarks[:1], [None]).images
    assert torch.equal(first, second)


def test_bfloat16_is_near_float32(faces):
    crops, landmarks = faces
    banks = [bank(2)]
    exact = Restorer(network()).restore(crops[:1], landmarks[:1], banks).images
    fast = Restorer(network(), dtype=torch.bfloat16).restore(crops[:1], landmarks[:1], banks).images
    assert float((exact - fast).abs().mean()) < 0.01


def test_lengths_that_differ_are_an_error(faces):
    crops, landmarks = faces
    with pytest.raises(ValueError, match="3 crops"):
        Restorer(network()).restore(crops, landmarks, [None])


def test_no_faces_is_no_error():
    result = Restorer(network()).restore(
        torch.zeros(0, 3, 512, 512), np.zeros((0, 468, 2), np.float32), []
    )
    assert len(result.images) == 0


class KnownLids:
    """The last reference of a bank has shut eyes."""

    def __init__(self, shown):
        self.last = shown

    def shown(self, bank):
        return np.array([0] * (len(bank) - 1) + [self.last], np.float32)


@pytest.mark.parametrize("shown", [1, 0])
def test_shut_eyes_come_from_shut_ones_or_from_lids_drawn_down(faces, shown):
    crops, landmarks = (one[:1] for one in faces)
    crops = F.interpolate(F.avg_pool2d(crops, 16), scale_factor=16, mode="bilinear")
    restorer, person = Restorer(network(), lids=KnownLids(shown)), bank(3)

    def restored(bank, shut):
        wanted = np.full(1, shut, np.float32)
        return restorer.restore(crops, landmarks, [bank], references=3, shut=wanted)

    awake, asleep = restored(person, 0), restored(person, 1)
    assert not awake.lowered
    assert asleep.lowered == (frozenset() if shown else {0})
    eyes = eye_masks(torch.from_numpy(landmarks), 512)[0]
    assert (awake.images - asleep.images).abs()[0][:, eyes == 1].mean() > 1e-3
    if shown:
        assert asleep.used[0][-1] == 2
        return
    assert asleep.used == awake.used
    assert torch.equal(asleep.images, restored(person.lowered(1), 0).images)
    assert torch.equal(restored(person, 0.5).images, restored(person.lowered(0.5), 0).images)
    assert torch.equal(restored(person, 0.2).images, awake.images)


def test_open_eyes_among_shut_close_ups_are_the_frames(faces):
    crops, landmarks = (one[:1] for one in faces)
    crops = F.interpolate(F.avg_pool2d(crops, 16), scale_factor=16, mode="bilinear")
    restorer, count = Restorer(network(), lids=KnownLids(1)), {"references": 3}
    asleep = restorer.restore(crops, landmarks, [bank(1)], **count, shut=np.ones(1, np.float32))
    awake = restorer.restore(crops, landmarks, [bank(1)], **count, shut=np.zeros(1, np.float32))
    eyes = eye_masks(torch.from_numpy(landmarks), 512)[0]
    plain = Restorer(network()).restore(crops, landmarks, [None]).images[0]
    within = eyes == 1
    assert (awake.images[0] - plain).abs()[:, within].mean() < 1e-5
    assert (asleep.images[0] - plain).abs()[:, within].mean() > 1e-3
    assert torch.equal(asleep.images[0][:, eyes == 0], awake.images[0][:, eyes == 0])


def test_a_mouth_of_its_own_can_be_switched_off(faces):
    crops, landmarks = (one[:1] for one in faces)
    lips = cells(around_lips(torch.from_numpy(landmarks)), 512)[0, 0] > 0.9
    row, column = lips.nonzero().float().mean(0).int().tolist()
    open_ = (slice(8 * row - 16, 8 * row + 16), slice(8 * column - 24, 8 * column + 24))
    crops = F.interpolate(F.avg_pool2d(crops, 16), scale_factor=16, mode="bilinear")
    crops[(..., *open_)] = 0  # as it is on no reference
    restorer = Restorer(network())
    own = restorer.restore(crops, landmarks, [bank(3)])
    theirs = restorer.with_their_mouths().restore(crops, landmarks, [bank(3)])
    less = (theirs.confidence - own.confidence).reshape(512, 512)
    assert less[open_].mean() > 0.1
    assert less[: 8 * row - 120].abs().max() < 0.01


class Grey:
    """A second stage that draws flat grey."""

    descriptor = Descriptor("grey", "Grey", 512, "none")
    dtype = torch.float32

    def __call__(self, faces, landmarks, confidence):
        return torch.zeros_like(faces)


def test_the_second_stage_fills_where_no_reference_shows(faces):
    crops, landmarks = faces
    # Blurred: a sharp face would need neither references nor generator.
    crops = F.interpolate(F.avg_pool2d(crops, 16), scale_factor=16, mode="bilinear")
    plain = Restorer(network()).restore(crops[:2], landmarks[:2], [None, bank(2)])
    filled = Restorer(network(), Grey()).restore(crops[:2], landmarks[:2], [None, bank(2)])
    middle = (..., slice(200, 300), slice(200, 300))
    changed = (plain.images - filled.images).abs()[middle].mean((1, 2, 3))
    assert changed[0] > 2 * changed[1]  # references are trusted in the middle of the face


def test_combine_keeps_low_frequencies_of_the_input():
    faces = torch.full((1, 3, 64, 64), 0.7)
    generated = torch.rand(1, 3, 64, 64) * 0.2
    mixed = combine(faces, generated, torch.zeros(1, 1, 64, 64))
    assert mixed.mean() == pytest.approx(0.7, abs=0.02)
    kept = combine(faces, generated, torch.ones(1, 1, 64, 64))
    assert torch.allclose(kept, faces, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_a_pixel_changes_by_no_more_than_its_confidence_leaves(seed):
    """Whatever is drawn, and whatever confidence its neighbours have."""
    torch.manual_seed(seed)
    faces, generated = torch.rand(2, 1, 3, 64, 64)
    confidence = torch.rand(1, 1, 64, 64).round() * torch.rand(1, 1, 64, 64)
    confidence[torch.rand_like(confidence) < 0.3] = 1
    change = (combine(faces, generated, confidence) - faces).abs()
    assert float(change[:, :, confidence[0, 0] == 1].max()) == 0
    assert bool((change <= (1 - confidence) * 2 + 1e-6).all())


@pytest.mark.parametrize("noise", [0.1, 2])
def test_eyes_keep_their_colour(noise):
    """In black pupils and white glints too, whatever is drawn there."""
    torch.manual_seed(0)
    faces = torch.rand(1, 3, 64, 64) if noise > 1 else 0.3 + 0.4 * torch.rand(1, 3, 64, 64)
    generated = (faces + noise * torch.randn(1, 3, 64, 64)).clamp(0, 1)
    nothing = torch.zeros(1, 1, 64, 64)
    eyes = nothing.clone()
    eyes[..., 16:32, 16:48] = 1

    def colour(images):
        return images - luma_of(images)[:, None]

    made = combine(faces, generated, nothing, eyes)
    free = combine(faces, generated, nothing)
    kept = (colour(made) - colour(faces)).abs().amax(1, keepdim=True)
    assert float(kept[eyes == 1].max()) < 1e-5
    assert torch.equal(made[:, :, 40:], free[:, :, 40:])
    assert float((made - faces).abs()[..., 16:32, 16:48].max()) > 0.05  # yet they are drawn


def test_hull_cells_lie_where_the_mesh_is():
    cells = hull_cells(torch.from_numpy(mesh()[None]))[0, 0]
    assert cells.shape == (64, 64)
    assert cells[32, 32] == 1
    assert cells[0].max() == 0
    rows, columns = torch.nonzero(cells > 0.5, as_tuple=True)
    assert rows.float().mean() == pytest.approx(31.5, abs=1)
    assert columns.float().mean() == pytest.approx(31.5, abs=1)


class LeftHalf:
    """A face mask that lets nothing but the left half be repaired."""

    def visible(self, faces, landmarks):
        seen = torch.zeros(len(faces), *faces.shape[2:])
        seen[..., : faces.shape[-1] // 2] = 1
        return seen


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_in_front_of_a_face_is_not_pasted_over(faces, workers):
    crops, landmarks = faces
    banks = [None, bank(1), None]
    free = Restorer(network()).restore(crops, landmarks, banks)
    behind = Restorer(network(), mask=LeftHalf(), workers=workers).restore(crops, landmarks, banks)
    assert torch.equal(behind.images, free.images)
    assert torch.equal(behind.masks[..., :256], free.masks[..., :256])
    assert float(behind.masks[..., 256:].max()) == 0


def test_the_learnt_mask_does_not_depend_on_the_batch(faces):
    crops, landmarks = faces
    torch.manual_seed(1)
    restorer = Restorer(network(), mask=LearntMask(MaskNetwork((8, 8, 8, 8))), workers=2)
    together = restorer.restore(crops, landmarks, [None] * 3).masks
    for row in range(3):
        alone = restorer.restore(crops[row : row + 1], landmarks[row : row + 1], [None]).masks
        assert torch.equal(alone[0], together[row])


def test_of_a_face_drawn_from_its_frames_the_network_redraws_half(faces):
    crops, meshes = (part[:2] for part in faces)
    restorer = Restorer(network())
    whole = restorer.restore(crops, meshes, [None, None]).images
    both = restorer.restore(crops, meshes, [None, None], drawn=np.float32([0, 1])).images
    assert torch.equal(both[0], whole[0])
    half = crops[1] + UNREFERENCED * (whole[1] - crops[1])
    assert torch.allclose(both[1], half, atol=1e-5)
    assert float((both[1] - whole[1]).abs().max()) > 1e-3


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_done_side_by_side_comes_in_order_and_may_be_in_parts(workers):
    restorer = Restorer(network(), workers=workers)

    def parts(number):
        return restorer.alone.each(lambda part: number * part, range(3))

    assert restorer.each(parts, range(9)) == [[0, number, 2 * number] for number in range(9)]
