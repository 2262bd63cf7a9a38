"""The restorer's batch on a GPU that is only pretended: devices never mix, and nothing waits."""

from typing import Any

import numpy as np
import pytest
import torch

from refrestore.restore import bank as banks
from refrestore.restore import restorer
from refrestore.restore.bank import ReferenceBank
from refrestore.restore.fusion import FusionNetwork
from refrestore.restore.fusion_types import FusionConfig
from refrestore.restore.restorer import Restorer
from refrestore.restore.sides import SIDES
from refrestore.types import Reference

SMALL = FusionConfig(
    channels=8,
    context=8,
    width=8,
    encoder_blocks=1,
    trunk_blocks=1,
    decoder_blocks=1,
    sides=SIDES,
)


def mesh(seed: int, side: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.uniform(0.25, 0.75, (468, 2)) * side).astype(np.float32)


def bank() -> ReferenceBank:
    random = np.random.default_rng(0)
    return ReferenceBank.from_references(
        [
            Reference(
                image=random.integers(0, 256, (512, 512, 3), dtype=np.uint8),
                landmarks=mesh(number, 512),
                embedding=np.eye(512, dtype=np.float32)[number],
                pose=np.zeros(3, np.float32),
                sharpness=1.0,
                quality=1.0,
                native_size=200.0,
                source=str(number),
            )
            for number in range(3)
        ]
    )


class KnownLids:
    """Of three references the last has shut eyes, or none."""

    def __init__(self, last: float) -> None:
        self.last = last

    def shown(self, bank: ReferenceBank) -> np.ndarray:
        return np.array([0, 0, self.last], np.float32)


@pytest.mark.parametrize("lids", [None, KnownLids(1), KnownLids(0)])
@pytest.mark.parametrize("side", [128, 256, 512])
def test_a_batch_is_restored_without_a_wait(
    side: int, lids: Any, fake_cuda: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But one: the light of the faces, by which their references are chosen on the host."""
    asked = []

    def light_of(images: torch.Tensor) -> np.ndarray:
        asked.append(images.device.type)
        return np.zeros((len(images), 64), np.float32)

    for place in (banks, restorer):
        monkeypatch.setattr(place, "light_of", light_of)
    # Parameters that were made by the pretence cannot be swapped for others.
    monkeypatch.setattr(FusionNetwork, "to", lambda self, *_, **__: self)
    person = bank()
    person._lowered.update({1: bank(), 2: bank()})  # pictures that are pretended cannot be drawn on
    with torch.device("cuda"):
        network = FusionNetwork(SMALL)
    faces = torch.empty((5, 3, side, side), device="cuda")
    landmarks = np.stack([mesh(number, side) for number in range(5)])
    made = Restorer(network, device="cuda", lids=lids).restore(
        faces,
        landmarks,
        [person, person, None, person, None],
        references=3,
        shut=np.linspace(0, 1, 5).astype(np.float32),
    )
    assert made.images.device.type == made.masks.device.type == "cuda"
    assert made.images.shape == faces.shape
    assert [len(used) for used in made.used] == [3, 3, 0, 3, 0]
    assert asked == ["cpu", "cpu", "cpu", "cuda"]  # of the references, once a bank; of the faces
    assert fake_cuda.fetched == []
