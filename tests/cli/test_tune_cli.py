"""`profile tune` on the command line: what it refuses, and taking an adapter out again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from refrestore.cli.profile import app
from refrestore.config import PROFILES_VARIABLE
from refrestore.errors import ProfileError
from refrestore.profiles import Profile, ProfileStore
from refrestore.restore.adapter import Tuning
from refrestore.restore.fusion import FusionNetwork
from refrestore.restore.fusion_types import FusionConfig
from refrestore.types import Reference


def reference(seed: int) -> Reference:
    return Reference(
        image=np.full((512, 512, 3), seed, np.uint8),
        landmarks=np.zeros((468, 2), np.float32),
        embedding=np.eye(512, dtype=np.float32)[0],
        pose=np.zeros(3, np.float32),
        sharpness=0.5,
        quality=0.5,
        native_size=200.0,
        source=f"{seed}",
    )


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProfileStore:
    monkeypatch.setenv(PROFILES_VARIABLE, str(tmp_path))
    made = ProfileStore(tmp_path)
    network = FusionNetwork(FusionConfig(channels=16, width=16, trunk_blocks=1))
    content = Tuning(network, "f" * 64).adapter().content
    references = tuple(reference(seed) for seed in range(5))
    made.save(Profile("Anna", references, "recogniser", adapter=content))
    return made


def test_too_few_close_ups(store: ProfileStore) -> None:
    result = CliRunner().invoke(app, ["tune", "Anna"])
    assert isinstance(result.exception, ProfileError)
    assert "has 5 close-ups, and tuning needs at least 6" in str(result.exception)
    result = CliRunner().invoke(app, ["tune", "Bert"])
    assert isinstance(result.exception, ProfileError)
    assert "no profile 'Bert'" in str(result.exception)
    assert store.load("Anna").adapter is not None


def test_an_adapter_is_shown_and_forgotten(store: ProfileStore) -> None:
    assert ", tuned" in CliRunner().invoke(app, ["show", "Anna"]).stdout
    result = CliRunner().invoke(app, ["tune", "Anna", "--forget", "--json"])
    assert json.loads(result.stdout) == {"name": "Anna", "tuned": False}
    assert store.load("Anna").adapter is None
    shown = json.loads(CliRunner().invoke(app, ["show", "Anna", "--json"]).stdout)
    assert shown["profile"]["tuned"] is False


def test_minutes_have_limits(store: ProfileStore) -> None:
    result = CliRunner().invoke(app, ["tune", "Anna", "--minutes", "0"])
    assert result.exit_code == 2
