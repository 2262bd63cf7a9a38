"""Options that several commands share, as annotated types."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refrestore.config import (
    MODELS_VARIABLE,
    PROFILES_VARIABLE,
    Container,
    Deinterlace,
    Denoise,
    Device,
    EngineName,
    EngineSettings,
    PackName,
    RuntimeSettings,
    profiles_directory,
)

from .parse import parse_batch, parse_bitrate, parse_time
from .progress import ProgressMode

if TYPE_CHECKING:
    from refrestore.profiles import Profile
    from refrestore.project import Project

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


def _take_preset(context: typer.Context, name: str | None) -> str | None:
    """Let a preset's values be the defaults of this command's options, as if they were typed."""
    if name is None or context.resilient_parsing:
        return name
    from refrestore.presets import load_preset

    own = {option: param.name for param in context.command.params for option in param.opts}
    context.default_map = {
        own[f"--{option}"]: _as_typed(value)
        for option, value in load_preset(name).values.items()
        if f"--{option}" in own
    }
    return name


def _as_typed(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _instead_of_bitrate(context: typer.Context, crf: float | None) -> float | None:
    _overrule(context, "crf", "bitrate")
    return crf


def _instead_of_crf(context: typer.Context, bitrate: int | None) -> int | None:
    _overrule(context, "bitrate", "crf")
    return bitrate


def _overrule(context: typer.Context, option: str, other: str) -> None:
    """Forget what a preset says of one option where another was typed that contradicts it.

    What was typed is looked at before what was not.
    """
    if context.default_map and is_typed(context, option):
        context.default_map.pop(other, None)


def is_typed(context: typer.Context, option: str) -> bool:
    """Return whether an option was typed; by its name in the command's function."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def given(context: typer.Context) -> dict[str, Any]:
    """Return what was typed or is a preset's, of the options that a preset can have."""
    from refrestore.presets import PLACES

    own = {option: param.name for param in context.command.params for option in param.opts}
    found = {}
    for option in PLACES:
        name = own[f"--{option}"]
        source = context.get_parameter_source(name)
        value = context.params[name]
        if source is not None and source.name != "DEFAULT" and value is not None:
            if isinstance(value, Path):
                value = value.absolute()
            found[option] = value if isinstance(value, bool | int | float) else str(value)
    return found


PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="FILE|NAME",
        is_eager=True,
        callback=_take_preset,
        help="Options from a TOML file, or by a name that `refrestore presets` lists; those typed "
        "beside it count more.",
    ),
]
Scale = Annotated[int, typer.Option("--scale", help="Enlarge the picture 1, 2 or 4 times.")]
Strength = Annotated[
    float, typer.Option("--strength", min=0, max=1, help="Upper limit of restoration, 0 to 1.")
]
References = Annotated[
    int, typer.Option("--references", min=0, max=8, help="Close-ups used per face; 0 for none.")
]
Unfocused = Annotated[
    bool, typer.Option("--unfocused", help="Restore faces out of focus behind nearer ones too.")
]
Codec = Annotated[
    str | None,
    typer.Option(
        "--codec",
        help="h264 (default), h265, av1, vp9, prores, dnxhr, ffv1, or libav's name of an encoder.",
    ),
]
Crf = Annotated[
    float | None,
    typer.Option(
        "--crf", min=0, callback=_instead_of_bitrate, help="Constant quality; lower is better."
    ),
]
Bitrate = Annotated[
    int | None,
    typer.Option(
        "--bitrate",
        parser=parse_bitrate,
        callback=_instead_of_crf,
        metavar="RATE",
        help="Such as 8M; not with --crf.",
    ),
]
EncoderPreset = Annotated[
    str | None,
    typer.Option("--encoder-preset", help="The encoder's own preset: slow, 6, hq and so on."),
]
PixFmt = Annotated[
    str | None, typer.Option("--pix-fmt", help="Output pixel format; default the source's.")
]
Start = Annotated[
    # Typer takes no union; what is meant is Moment | None.
    Any,
    typer.Option(
        "--start",
        parser=parse_time,
        metavar="TIME",
        help="From the first frame on: seconds, h:mm:ss, a frame's number (123f, the first is 0f), "
        "or the film's own timecode (10:00:03:12).",
    ),
]
End = Annotated[
    Any,
    typer.Option("--end", parser=parse_time, metavar="TIME", help="Stop before this time."),
]
Batch = Annotated[
    Any,
    typer.Option(
        "--batch",
        parser=parse_batch,
        metavar="N|auto",
        help="Faces restored at a time; auto by the device's memory.",
    ),
]
Background = Annotated[
    Path | None,
    typer.Option(
        "--background",
        metavar="MODEL",
        help="With --scale 2 or 4: enlarge the rest of the frame by this Real-ESRGAN-type network "
        "(.pth, .safetensors; needs spandrel). Costs 10 to 40 times the faces, repaints walls.",
    ),
]
ContainerOption = Annotated[
    Container | None,
    typer.Option(
        "--container", help="Suffix of the outputs in a folder; default each video's own."
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
    from refrestore.profiles import ProfileStore

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
