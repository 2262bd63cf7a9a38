"""Options that several commands share, as annotated types."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refrestore.config import (
    MODELS_VARIABLE,
    PROFILES_VARIABLE,
    Device,
    PackName,
    RuntimeSettings,
    profiles_directory,
)

from .progress import ProgressMode

if TYPE_CHECKING:
    from refrestore.project import Profile, Project

ProjectFolder = Annotated[
    Path, typer.Option("--project", "-p", help="Project folder (made by `refrestore scan`).")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where networks run.")]
PackOption = Annotated[
    PackName,
    typer.Option(
        "--pack",
        help="Models: lite (no download), full (official), or teachers (what lite learnt from: "
        "SCRFD 2.5G and EdgeFace-XS, files of yours).",
    ),
]
ModelsDir = Annotated[
    Path | None,
    typer.Option("--models-dir", help=f"Folder with model files [env: {MODELS_VARIABLE}]."),
]
ProfilesDir = Annotated[
    Path | None,
    typer.Option("--profiles-dir", help=f"Folder with profiles [env: {PROFILES_VARIABLE}]."),
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="CPU threads; default all cores.")
]
Progress = Annotated[
    ProgressMode, typer.Option("--progress", help="Progress on stderr: auto, rich, jsonl or none.")
]


def runtime_settings(
    device: Device = "auto",
    pack: PackName = "lite",
    models_dir: Path | None = None,
    profiles_dir: Path | None = None,
    threads: int | None = None,
) -> RuntimeSettings:
    """Return the validated settings of the shared options."""
    return RuntimeSettings(
        device=device,
        pack=pack,
        models_dir=models_dir,
        profiles_dir=profiles_dir,
        threads=threads,
    )


def load_profiles(settings: RuntimeSettings, names: Sequence[str]) -> list[Profile]:
    """Return the named profiles.

    Raises
    ------
    ProfileError
        If one is missing or damaged.
    """
    from refrestore.project import ProfileStore

    store = ProfileStore(profiles_directory(settings))
    return [store.load(name) for name in names]


def linked_profiles(settings: RuntimeSettings, project: Project) -> list[Profile]:
    """Return the profiles that the project's people are linked to.

    Raises
    ------
    ProfileError
        If one is missing or damaged.
    """
    linked = {identity.profile for identity in project.identities() if identity.profile}
    return load_profiles(settings, sorted(linked))
