"""Options that several commands share, as annotated types."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refrestore.config import (
    MODELS_VARIABLE,
    PROFILES_VARIABLE,
    Deinterlace,
    Denoise,
    Device,
    EngineName,
    EngineSettings,
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
Engine = Annotated[
    EngineName,
    typer.Option(
        "--engine", help="Who works: this process (local), or workers of a Ray cluster (ray)."
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="HOST:PORT|auto",
        help="The cluster; default workers on this machine, for as long as they are needed.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Workers at most; default one a GPU, or one for two CPU cores."
    ),
]
Progress = Annotated[
    ProgressMode, typer.Option("--progress", help="Progress on stderr: auto, rich, jsonl or none.")
]
Profiles = Annotated[
    list[str] | None, typer.Option("--profile", help="Person who may be in it (repeatable).")
]
MinFace = Annotated[
    float, typer.Option("--min-face", min=4, help="Smaller faces (pixels) are left alone.")
]
DetectEvery = Annotated[
    int, typer.Option("--detect-every", min=1, help="Look for new faces every n-th frame.")
]
Deinterlacing = Annotated[
    Deinterlace,
    typer.Option(
        "--deinterlace",
        help="One picture of two fields (bwdif), for the whole frame: auto, where the film is "
        "measured to be interlaced; frame, always; off.",
    ),
]
Denoising = Annotated[
    Denoise,
    typer.Option(
        "--denoise",
        help="Take noise from whole frames: off, light (bilateral) or strong (non-local means; "
        "8-bit film only, slow).",
    ),
]
VideoStream = Annotated[
    int | None,
    typer.Option(
        "--video-stream",
        min=0,
        metavar="N",
        help="Which video stream, in a file that holds several (a multiplex).",
    ),
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


def engine_settings(
    engine: EngineName, ray_address: str | None, workers: int | None
) -> EngineSettings:
    """Return the validated settings of who works."""
    return EngineSettings(name=engine, address=ray_address, workers=workers)


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
