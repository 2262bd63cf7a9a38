"""Adapters: files, what they fit, and people with and without one in one batch."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from refrestore.errors import ProfileError
from refrestore.restore.adapter import DOWN, UP, Adapter, Tuning, read_adapter, usable
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.fusion import FusionNetwork
from refrestore.restore.fusion_types import FusionConfig
from refrestore.restore.restorer import Restorer
from refrestore.types import Reference

SMALL = FusionConfig(channels=16, width=48, encoder_blocks=1, trunk_blocks=1, decoder_blocks=1)


def network():
    torch.manual_seed(0)
    made = FusionNetwork(SMALL)
    for value in made.parameters():
        value.data += 0.02 * torch.randn_like(value)
    return made.requires_grad_(False)


def adapter(made, size=0.05):
    """An adapter as a tuning would leave it, with other numbers than zero."""
    tuning = Tuning(made, "f" * 64)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in tuning.parameters():
            value.add_(size * torch.randn(value.shape, generator=generator))
    return tuning.adapter()


def mesh(seed=0):
    points = np.random.default_rng(0).uniform(130, 380, (468, 2))
    return (points + np.random.default_rng(seed).normal(0, 1, (468, 2))).astype(np.float32)


def bank(seed):
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
            )
            for index in range(2)
        ]
    )


def test_a_file_gives_the_adapter_back():
    made = adapter(network())
    again = read_adapter(made.content)
    assert again.fusion == made.fusion
    assert again.content == made.content
    assert set(again.tensors) == set(made.tensors)
    assert all(torch.equal(again.tensors[name], one) for name, one in made.tensors.items())
    assert any(name.endswith(UP) for name in made.tensors)  # large weights are products


def test_a_new_tuning_changes_nothing():
    plain = network()
    same = Tuning(plain, "f" * 64).adapter().applied(plain)
    for name, value in plain.state_dict().items():
        assert torch.equal(same.state_dict()[name], value), name


def test_what_was_tuned_is_what_is_applied():
    plain = network()
    tuning = Tuning(plain, "f" * 64)
    with torch.no_grad():
        for value in tuning.parameters():
            value.add_(0.05 * torch.randn_like(value))
    given = (
        torch.rand(1, 3, 256, 256),
        torch.rand(1, 2, 3, 256, 256),
        torch.zeros(1, 2, 2, 64, 64),
        torch.ones(1, 2, dtype=torch.bool),
        torch.ones(1, 1, 32, 32),
    )
    wanted = tuning.network(*given).images
    found = tuning.adapter().applied(plain)(*given).images
    assert float((wanted - plain(*given).images).abs().max()) > 0.01
    assert torch.allclose(found, wanted, atol=2e-3)  # stored in half precision


def test_people_without_an_adapter_do_not_notice_one():
    plain = network()
    restorer = Restorer(plain)
    generator = torch.Generator().manual_seed(0)
    crops = torch.rand(3, 3, 512, 512, generator=generator)
    meshes = np.stack([mesh(5), mesh(6), mesh(7)])
    untuned, other = bank(1), bank(2)
    changed = adapter(plain)
    tuned = replace(other, adapter=changed)
    before = restorer.restore(crops, meshes, [untuned, other, None])
    after = restorer.restore(crops, meshes, [untuned, tuned, None])
    assert torch.equal(after.images[0], before.images[0])
    assert torch.equal(after.images[2], before.images[2])
    assert float((after.images[1] - before.images[1]).abs().max()) > 0.005
    alone = Restorer(changed.applied(plain)).restore(crops[1:2], meshes[1:2], [other])
    assert torch.equal(after.images[1], alone.images[0])
    assert torch.equal(after.confidence[1], alone.confidence[0])


@pytest.mark.parametrize("content", [b"", b"no adapter at all", b"\x08" + b"\0" * 7 + b'{"a": 1}'])
def test_what_is_no_adapter_is_refused(content):
    with pytest.raises(ProfileError, match="damaged"):
        read_adapter(content)


def test_an_adapter_of_another_shape_is_refused():
    plain = network()
    good = adapter(plain)
    name = next(one for one in good.tensors if one.endswith(UP))
    own = name.removesuffix(UP)
    small = next(one for one in good.tensors if not one.endswith((UP, DOWN)))
    wrong = [
        {name: good.tensors[name][:, :-1]},
        {small: good.tensors[small].flatten()[:-1]},
        {small: good.tensors[small] * float("nan")},
        {"see_face.0.bias": torch.zeros(16)},
        {"gone": torch.zeros(1)},
    ]
    for change in wrong:
        with pytest.raises(ProfileError, match="does not fit"):
            Adapter("f", {**good.tensors, **change}).applied(plain)
    half = {key: value for key, value in good.tensors.items() if key != own + DOWN}
    with pytest.raises(ProfileError, match="does not fit"):
        Adapter("f", half).applied(plain)


def test_an_adapter_for_other_weights_is_not_used():
    made = adapter(network())
    assert usable(None, "f" * 64, "Anna") == (None, None)
    used, note = usable(made.content, "f" * 64, "Anna")
    assert used is not None
    assert note is None
    used, note = usable(made.content, "e" * 64, "Anna")
    assert used is None
    assert "refrestore profile tune Anna" in note


@pytest.mark.skipif(sys.platform != "linux", reason="limits its memory")
def test_two_thin_matrices_are_not_multiplied_to_a_huge_one():
    """200,000 numbers that make ten thousand million: 40 GB, where the machine had them."""
    import resource

    plain = network()
    name = next(one for one in adapter(plain).tensors if one.endswith(UP)).removesuffix(UP)
    thin = {name + UP: torch.ones(100_000, 1).half(), name + DOWN: torch.ones(1, 100_000).half()}
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 30), limits[1]))
    try:
        with pytest.raises(ProfileError, match="does not fit"):
            Adapter("f", thin).applied(plain)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_a_damaged_adapter_is_named_by_its_profile():
    with pytest.raises(ProfileError, match="profile tune --forget Anna"):
        usable(b"no adapter", "f" * 64, "Anna")
