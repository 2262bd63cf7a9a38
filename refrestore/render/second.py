"""The second stage that a render's settings name: found, its licence checked, opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from refrestore.config import NO_STAGE, RenderSettings, RuntimeSettings
from refrestore.errors import ModelError, UsageError
from refrestore.models import ModelStore
from refrestore.models.catalogue import file_digest
from refrestore.models.stages import kind_of, stages
from refrestore.restore.second.kind import Asked
from refrestore.restore.second.registry import open_stage
from refrestore.restore.second.stage import SecondStage


@dataclass(frozen=True, eq=False)
class Second:
    """An opened second stage.

    Parameters
    ----------
    stage
        The network.
    file, digest
        Name and SHA-256 of its file.
    fidelity
        What it was told, if it was.
    """

    stage: SecondStage
    file: str
    digest: str
    fidelity: float | None = None

    def description(self) -> dict[str, Any]:
        """Return what decides the numbers that come out, and what the report says."""
        about = self.stage.descriptor
        return {
            "name": about.name,
            "title": about.title,
            "file": self.file,
            "sha256": self.digest,
            "side": about.side,
            "precision": str(self.stage.dtype).removeprefix("torch."),
            "licence": about.licence,
            "fidelity": self.fidelity,
            **({"beside": about.beside} if about.beside else {}),
        }


def open_second(
    settings: RenderSettings, runtime: RuntimeSettings, device: torch.device, dtype: torch.dtype
) -> Second | None:
    """Open the second stage that the settings name; None if they want none.

    Raises
    ------
    ModelError
        It is not here, damaged, no restorer of faces, or needs a package.
    UsageError
        There is none of this name, its licence is not accepted, or it takes no fidelity.
    """
    named = settings.second_stage
    if named is None or named == NO_STAGE:
        return None
    path = _of_file(named, runtime) if isinstance(named, Path) else _located(named, runtime)
    accepted = (settings.accept_licence or "").split(",")
    return opened(path, Asked(device, dtype, settings.fidelity), [one.strip() for one in accepted])


def opened(path: Path, asked: Asked, accepted: Sequence[str] | None = None) -> Second:
    """Open a file; see `registry.open_stage`."""
    stage = open_stage(path, asked, accepted)
    return Second(stage, path.name, file_digest(path), asked.fidelity)


def _of_file(path: Path, runtime: RuntimeSettings) -> Path:
    """Return the file itself, or the catalogue's where only that has the name."""
    store = ModelStore(runtime)
    known = any(one.name == str(path) for one in stages(store))
    return store.locate(path.name) if known and not path.exists() else path


def _located(name: str, runtime: RuntimeSettings) -> Path:
    """Return the first file of a name that is here."""
    store = ModelStore(runtime)
    files = stages(store, name)
    if not files:
        known = sorted({kind_of(one) for one in stages(store)})
        raise UsageError(
            f"There is no second stage {name!r}; there are {', '.join(known)}, {NO_STAGE}, or name "
            "a file of yours (.pth, .ckpt, .safetensors, .onnx)."
        )
    for file in files:
        if store.find(file.name) is not None:
            return store.locate(file.name)
    raise ModelError(
        f"No file of the second stage {name} is here ({', '.join(one.name for one in files)}); "
        f"run: refrestore models fetch {name}, or name a file of yours."
    )
