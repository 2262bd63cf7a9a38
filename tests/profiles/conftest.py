from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from refrestore.profiles import Profile, ProfileStore
from refrestore.profiles.profile import Calibration, Memory
from tests.making import Make, make, project  # noqa: F401 (fixtures)


@pytest.fixture
def store(tmp_path):
    return ProfileStore(tmp_path / "profiles")


@pytest.fixture
def anna():
    rng = np.random.default_rng(0)
    base = Make.reference(0).embedding
    references = []
    for seed in range(3):
        noisy = base + 0.02 * rng.normal(size=512).astype(np.float32)
        embedding = noisy / np.linalg.norm(noisy)
        references.append(replace(Make.reference(seed, frame=seed), embedding=embedding))
    memory = Memory().with_references([replace(references[0], image=Make.reference(8).image)])
    return Profile(
        "Anna Müller",
        tuple(references),
        recogniser="edgeface_xs",
        threshold=0.42,
        calibration=Calibration(misses=0.03, strangers=0.001, profiles=4),
        memory=memory,
    )
