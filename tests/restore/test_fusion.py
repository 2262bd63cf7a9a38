"""The fusion network: what it equals untrained, and what it must never depend on."""

import pytest
import torch
from torch.nn import functional as F

from refrestore.errors import ModelError
from refrestore.restore.blocks import RAISED
from refrestore.restore.fusion import FusionNetwork, load_fusion, save_fusion
from refrestore.restore.fusion_bands import missing_octaves, strength_of, unshown
from refrestore.restore.fusion_types import FusionConfig
from refrestore.restore.light import collapse, enlarge, lit, pyramid, stretch
from refrestore.restore.sides import SIDES
from refrestore.restore.warp import warp

SMALL = FusionConfig(
    channels=16,
    context=16,
    width=16,
    encoder_blocks=1,
    trunk_blocks=1,
    decoder_blocks=1,
    sides=SIDES,
)
SIZE = 256


def network(*, trained=False):
    torch.manual_seed(0)
    made = FusionNetwork(SMALL)
    if trained:  # zero-initialised heads would hide what depends on what
        for value in made.parameters():
            value.data += 0.02 * torch.randn_like(value)
    return made.eval()


def inputs(batch=2, count=3, seed=1, side=SIZE):
    generator = torch.Generator().manual_seed(seed)
    faces = torch.rand(batch, 3, side, side, generator=generator)
    references = torch.rand(batch, count, 3, side, side, generator=generator)
    offsets = torch.randn(batch, count, 2, side // 4, side // 4, generator=generator)
    valid = torch.ones(batch, count, dtype=torch.bool)
    cells = side // 8
    return faces, references, offsets, valid, torch.ones(batch, 1, cells, cells)


def thought(model, faces, references, offsets, valid, hull):
    """What the network makes of the faces at the working resolution."""
    half = references.shape[-1] // 2
    little = F.avg_pool2d(references.flatten(0, 1), 2).reshape(*references.shape[:3], half, half)
    small = F.avg_pool2d(faces, 2)
    own, theirs = (
        one - enlarge(low) for one, low in ((faces, small), (references[:, 0], little[:, 0]))
    )
    edge = strength_of(own, theirs, hull)
    given = (small, little, offsets / 2, valid, hull)
    return model.think(*given, side=references.shape[-1], edge=edge)


@torch.no_grad()
@pytest.mark.parametrize("side", [256, 384])
def test_untrained_it_is_the_frequency_split(side):
    faces, references, offsets, valid, hull = inputs(count=5, side=side)
    plain = network()
    plain.raises = False
    inner = thought(plain, faces, references, offsets * 0, valid, hull)
    result = plain(faces, references, offsets * 0, valid, hull)
    field = inner.field.flatten(0, 1) * 2
    warped = warp(references.flatten(0, 1), field, size=faces.shape[-2:], cubic=True)
    matched = warped.reshape(references.shape) * lit(inner.light, side, side)
    small, little = F.avg_pool2d(faces, 2), F.avg_pool2d(matched.mean(1), 2)
    missing = missing_octaves(side)
    shares = inner.shares.mean((2, 3))[..., None, None, None].unbind(1)[max(0, missing - 1) :]
    finest = torch.lerp(faces - enlarge(small), matched.mean(1) - enlarge(little), shares[0])
    assert torch.allclose(result.images - enlarge(inner.images), finest, atol=1e-5)
    # The network warps at half the resolution, this test at the full one.
    assert F.l1_loss(inner.images, split(small, little, shares[missing:], missing)) < 0.02


@torch.no_grad()
@pytest.mark.parametrize("side", SIDES)
def test_the_finest_octave_is_looked_for_around_the_hull_alone(side):
    faces, references, offsets, valid, hull = inputs(count=3, side=side)
    hull[:] = 0
    hull[:, :, 9:21, 12:20] = torch.rand(2, 1, 12, 8, generator=torch.Generator().manual_seed(0))
    whole = network(trained=True)(faces, references, offsets, valid, hull)
    within = slice(64, 176), slice(88, 168)
    part = network(trained=True)(faces, references, offsets, valid, hull, within=within)
    apart = (part.images - whole.images).abs()
    assert float(apart.max()) < 0.015  # of what is drawn alike in cells, a window knows its own
    assert float(apart.mean()) < 2e-4
    assert torch.allclose(part.confidence, whole.confidence, atol=1e-6)


def split(faces, references, shares, missing):
    """The bands of the faces and the references, mixed."""
    own, rest = pyramid(faces, SMALL.bands - missing)
    theirs, _ = pyramid(references, SMALL.bands - missing)
    bands = [torch.lerp(b, t, s) for b, t, s in zip(own, theirs, shares, strict=True)]
    return collapse(bands, rest)


@torch.no_grad()
@pytest.mark.parametrize("side", [256, 512])
def test_texture_that_references_do_not_share_keeps_its_strength(side):
    faces, references, offsets, valid, hull = inputs(count=5, side=side)
    faces = F.avg_pool2d(faces, 32).repeat_interleave(32, -1).repeat_interleave(32, -2)
    model, given = network(), (faces, references, offsets * 0, valid, hull)
    lively = pyramid(model(*given).images, 2)[0]
    model.raises = False
    dull = pyramid(model(*given).images, 2)[0]
    theirs = pyramid(references.flatten(0, 1), 2)[0]
    for level, strength in enumerate(RAISED[missing_octaves(side) :][:2]):
        wanted, is_now, was = (one[level].std() for one in (theirs, lively, dull))
        assert was < 0.55 * wanted  # five that have nothing in common
        assert 0.85 * 2**strength * was < is_now < 1.1 * wanted


@torch.no_grad()
def test_what_a_face_still_has_stays_its_own():
    faces, references, offsets, valid, hull = inputs(batch=1)
    blurred = F.interpolate(F.avg_pool2d(faces, 16), size=SIZE, mode="bilinear")
    model = network()
    sharp = thought(model, faces, references, offsets, valid, hull).shares.mean((2, 3))
    lost = thought(model, blurred, references, offsets, valid, hull).shares.mean((2, 3))
    assert (lost[:, 1:3] > 0.9).all()
    assert (sharp[:, 1:3] < 0.8).all()


@torch.no_grad()
def test_untrained_without_references_it_is_the_input():
    faces, references, offsets, valid, hull = inputs(count=0)
    result = network()(faces, references, offsets, valid, hull)
    assert torch.allclose(result.images, faces, atol=1e-5)
    assert float(result.confidence.abs().max()) == 0


@torch.no_grad()
def test_an_invalid_reference_has_no_influence():
    model = network(trained=True)
    faces, references, offsets, valid, hull = inputs()
    valid[:, 2] = False
    first = model(faces, references, offsets, valid, hull).images
    references[:, 2] = 1 - references[:, 2]
    second = model(faces, references, offsets, valid, hull).images
    assert torch.equal(first, second)
    fewer = model(faces, references[:, :2], offsets[:, :2], valid[:, :2], hull).images
    assert torch.allclose(first, fewer, atol=1e-5)


@torch.no_grad()
def test_all_references_invalid_equals_none():
    model = network(trained=True)
    faces, references, offsets, valid, hull = inputs()
    some = model(faces, references, offsets, valid & False, hull).images
    none = model(faces, references[:, :0], offsets[:, :0], valid[:, :0], hull).images
    assert torch.allclose(some, none, atol=1e-5)


@torch.no_grad()
def test_order_of_references_does_not_matter():
    model = network(trained=True)
    faces, references, offsets, valid, hull = inputs()
    turned = [0, 2, 1]  # the first is the nearest: it says how sharp the face could be
    first = model(faces, references, offsets, valid, hull)
    second = model(faces, references[:, turned], offsets[:, turned], valid, hull)
    assert torch.allclose(first.images, second.images, atol=1e-5)


@torch.no_grad()
def test_faces_of_a_batch_do_not_see_each_other():
    model = network(trained=True)
    faces, references, offsets, valid, hull = inputs()
    both = model(faces, references, offsets, valid, hull).images
    alone = model(faces[1:], references[1:], offsets[1:], valid[1:], hull[1:]).images
    assert torch.allclose(both[1:], alone, atol=1e-5)


def test_gradients_reach_every_parameter():
    model = network(trained=True)
    model(*inputs(side=256)).images.square().mean().backward()
    without = [name for name, value in model.named_parameters() if value.grad is None]
    assert without == []


def test_confidence_is_the_share_of_references():
    faces, references, offsets, valid, hull = inputs()
    hull[..., :16] = 0
    faces = F.interpolate(F.avg_pool2d(faces, 16), size=SIZE, mode="bilinear")
    with torch.no_grad():
        result = network()(faces, references, offsets, valid, hull)
        inner = thought(network(), faces, references, offsets, valid, hull)
    inside, outside = result.confidence[..., 160:], result.confidence[..., :96]
    assert inside.min() > 0.25 > 0.05 > outside.max()
    assert torch.allclose(inner.attention.sum(1), torch.ones(()), atol=1e-5)


@torch.no_grad()
def test_all_references_together_cannot_sink_against_none():
    """Their logits rank: adding the same to all of them changes nothing."""
    model = network(trained=True)
    faces, references, offsets, valid, hull = inputs()
    before = thought(model, faces, references, offsets, valid, hull)
    model.rank_out.bias.data -= 5
    after = thought(model, faces, references, offsets, valid, hull)
    assert torch.allclose(before.shares, after.shares, atol=1e-6)
    assert torch.allclose(before.attention, after.attention, atol=1e-6)


@pytest.mark.parametrize("side", SIDES)
def test_a_mouth_is_looked_at_in_crops_of_every_side(side):
    faces, references, offsets, valid, hull = inputs(side=side)
    mouth = torch.zeros_like(hull)
    mouth[..., side // 12 : side // 10, side // 20 : side // 12] = 1
    open_ = stretch(mouth, side, side) > 0.5
    faces, references = faces.masked_fill(open_, 0), references.masked_fill(open_[:, None], 1)
    model = network(trained=True)
    with torch.no_grad():
        shown, kept = (
            model(faces, references, offsets, valid, hull, mouth=given).confidence
            for given in (None, mouth)
        )
    assert kept.shape == shown.shape
    assert (kept <= shown + 1e-6).all()
    assert (kept < shown).any()


def test_a_mouth_counts_as_the_frames_own_only_where_no_reference_shows_it():
    generator = torch.Generator().manual_seed(4)
    closed = stretch(torch.rand(1, 3, 8, 8, generator=generator) * 0.2 + 0.4, 128, 128)[0]
    opened = closed.clone()
    opened[:, 80:96, 52:76] = 0.05
    noise = 0.02 * torch.randn(2, 3, 3, 128, 128, generator=generator)
    faces = torch.stack([opened, opened])
    references = torch.stack([torch.stack([closed] * 3), torch.stack([closed, opened, closed])])
    hull = torch.ones(2, 1, 32, 32)
    mouth = torch.zeros(2, 1, 32, 32)
    mouth[:, :, 18:26, 10:22] = 1
    valid = torch.ones(2, 3)

    def gain(valid: torch.Tensor) -> torch.Tensor:
        return unshown(faces, references + noise, valid, hull, mouth)

    shut, shown = gain(valid)
    assert shut[0, 20:24, 13:19].min() > 8
    assert shut[0, :18].max() == 0
    assert shown.max() < 0.5 * shut.max()
    valid[1, 1] = 0  # the one that shows it is not there
    assert gain(valid)[1].max() > 8
    assert not gain(torch.zeros(2, 3)).any()


def test_stretch_is_bilinear_interpolation():
    maps = torch.rand(2, 3, 5, 7)
    wanted = F.interpolate(maps, size=(40, 28), mode="bilinear", align_corners=False)
    assert torch.allclose(stretch(maps, 40, 28), wanted, atol=1e-6)


def test_weights_file_round_trip(tmp_path):
    path = tmp_path / "fusion.safetensors"
    save_fusion(network(trained=True), path)
    loaded = load_fusion(path)
    assert loaded.config == SMALL
    with torch.no_grad():
        faces, references, offsets, valid, hull = inputs()
        first = network(trained=True)(faces, references, offsets, valid, hull).images
        second = loaded(faces, references, offsets, valid, hull).images
    assert F.l1_loss(first, second) < 2e-3  # half precision on disk


@pytest.mark.parametrize("content", [None, b"", b"\x00" * 100])
def test_unusable_weights_are_one_sentence(tmp_path, content):
    path = tmp_path / "fusion.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="fusion weights"):
        load_fusion(path)


def test_another_networks_weights_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "fusion.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ModelError):
        load_fusion(path)
