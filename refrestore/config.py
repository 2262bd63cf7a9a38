"""Settings: frozen pydantic models, validated once, passed in; nothing global.

Field descriptions are the help texts of the command line.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)

from refrestore.errors import UsageError
from refrestore.moment import Moment, parse_moment

Device = Literal["auto", "cpu", "cuda"]
PackName = Literal["lite", "full", "teachers"]
EngineName = Literal["local", "ray"]
Deinterlace = Literal["auto", "off", "frame"]
Denoise = Literal["off", "light", "strong"]
Container = Literal["mkv", "mp4", "m4v", "mov", "webm", "mxf"]
"""As `media.containers.FORMATS` has them."""

_RATE_SUFFIXES = {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}

INSIGHTFACE_PACK = "~/.insightface/models/buffalo_l"
"""insightface's own place (model_zoo.get_model, app.FaceAnalysis)."""

MODELS_VARIABLE = "REFRESTORE_MODELS"
PROFILES_VARIABLE = "REFRESTORE_PROFILES"


class Settings(BaseModel):
    """Base: frozen, and a misspelt field is an error."""

    # Validators are built when one is first needed: importing the settings of all costs nothing.
    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, defer_build=True
    )


class RuntimeSettings(Settings):
    """Where to compute and with which models."""

    device: Device = Field("auto", description="Where networks run.")
    pack: PackName = Field(
        "lite", description="Set of models: lite (embedded), full (official) or teachers."
    )
    models_dir: Path | None = Field(
        None, description=f"Folder with model files [env: {MODELS_VARIABLE}]."
    )
    profiles_dir: Path | None = Field(
        None, description=f"Folder with profiles [env: {PROFILES_VARIABLE}]."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; default all cores.")


class EngineSettings(Settings):
    """On how many machines."""

    name: EngineName = Field(
        "local", description="Who works: this process (local), or workers of a Ray cluster (ray)."
    )
    address: str | None = Field(
        None,
        description="Ray cluster (HOST:PORT, or auto for the one of this machine); by default "
        "workers are started on this machine for as long as they are needed.",
    )
    workers: int | None = Field(
        None, ge=1, description="Workers at most; default one a GPU, or one for two CPU cores."
    )

    @model_validator(mode="after")
    def _is_for_ray(self) -> EngineSettings:
        if self.name != "ray" and (self.address is not None or self.workers is not None):
            raise UsageError("--ray-address and --workers are for --engine ray.")
        return self


class ScanSettings(Settings):
    """Pass 1."""

    detect_size: int = Field(
        640, ge=128, description="Longer side of the picture the detector sees."
    )
    detect_every: int = Field(
        5, ge=1, description="Detect on every n-th frame of a shot; faces are tracked between."
    )
    min_score: float = Field(0.5, ge=0, le=1, description="Detections below this are dropped.")
    min_face: float = Field(16, ge=4, description="Smallest face to follow, display pixels.")
    identity_threshold: float = Field(
        0.40, gt=0, lt=1, description="Cosine similarity above which two tracks may be one person."
    )
    max_references: int = Field(24, ge=1, description="References kept per person.")
    deinterlace: Deinterlace = Field(
        "auto",
        description="Make one picture of two fields: never, always (frame: one for each picture), "
        "or where the film is measured to be interlaced.",
    )
    denoise: Denoise = Field("off", description="Take noise from the whole frame.")
    video_stream: int | None = Field(
        None, ge=0, description="Index of the film in a file that holds several."
    )


class EncoderSettings(Settings):
    """How the output is encoded."""

    codec: str = Field("libx264", description="Encoder as libav or people name it.")
    crf: float | None = Field(None, ge=0, le=63, description="Constant quality; lower is better.")
    bitrate: int | None = Field(None, ge=1, description="Bits per second, instead of --crf.")
    preset: str | None = Field(None, description="Encoder preset.")
    pixel_format: str | None = Field(None, description="Output pixel format; default the source's.")

    @field_validator("bitrate", mode="before")
    @classmethod
    def _as_typed(cls, value: object) -> object:
        return bits_per_second(value) if isinstance(value, str) else value


class RenderSettings(Settings):
    """Pass 2."""

    scale: Literal[1, 2, 4] = Field(1, description="Enlarge the picture by this factor.")
    strength: float = Field(1.0, ge=0, le=1, description="Upper limit of restoration strength.")
    min_face: float = Field(16, ge=4, description="Smaller faces (display pixels) are left alone.")
    unfocused: bool = Field(False, description="Restore faces out of focus in the background too.")
    references: int = Field(5, ge=0, le=8, description="References used per face; 0 for none.")
    batch: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="Faces restored at a time; auto by the device's memory."
    )
    start: Moment | None = Field(
        None, description="Where to begin; seconds count from the first frame."
    )
    end: Moment | None = Field(None, description="Where to stop before, counted in the same way.")
    segment_seconds: float = Field(
        10, gt=0, description="Longest segment between resumable points; cuts end one earlier."
    )
    background: Path | None = Field(
        None, description="Network (.pth, .safetensors) that enlarges the rest of the frame."
    )

    @model_validator(mode="after")
    def _background_enlarges(self) -> RenderSettings:
        if self.background is not None and self.scale == 1:
            raise UsageError("--background enlarges the rest of the frame: give --scale 2 or 4.")
        return self

    @field_validator("start", "end", mode="before")
    @classmethod
    def _as_typed(cls, value: object) -> object:
        return parse_moment(value) if isinstance(value, str) else value

    @field_serializer("start", "end")
    def _as_text(self, moment: Moment | None) -> str | None:
        return None if moment is None else str(moment)

    @field_serializer("background")
    def _name_only(self, background: Path | None) -> str | None:
        return None if background is None else background.name  # reports name no folders


class ExportSettings(Settings):
    """Faces written as pictures, for people to look at."""

    folder: Path = Field(description="New or empty folder.")
    every: int = Field(
        25, ge=1, description="Every n-th frame; of each appearance one face at least."
    )


def bits_per_second(text: str) -> int:
    """Return bits per second of "2500k", "8M" or "8000000".

    Raises
    ------
    ValueError
        If it is no bit rate.
    """
    number, factor = text.strip(), 1
    if number and number[-1].lower() in _RATE_SUFFIXES:
        number, factor = number[:-1], _RATE_SUFFIXES[number[-1].lower()]
    try:
        bits = int(Fraction(number) * factor)
    except (ValueError, ZeroDivisionError):
        bits = 0
    if bits < 1:
        raise ValueError(f"{text!r} is no bit rate; write 8M, 2500k or bits per second")
    return bits


def models_directories(settings: RuntimeSettings) -> list[Path]:
    """Return the folders searched for model files, first match wins.

    The folder asked for, the environment variable's, the working tree's `models/`, the user's
    data folder, and where insightface keeps the pack that `full` takes two files from.
    """
    wanted = settings.models_dir or os.environ.get(MODELS_VARIABLE)
    folders = [Path(wanted)] if wanted else []
    own = user_data_path("refrestore") / "models"
    return [*folders, tree_directory("models"), own, Path(os.path.expanduser(INSIGHTFACE_PACK))]


def profiles_directory(settings: RuntimeSettings) -> Path:
    """Return the folder that holds profiles: asked for, environment, working tree, user data."""
    wanted = settings.profiles_dir or os.environ.get(PROFILES_VARIABLE)
    if wanted:
        return Path(wanted)
    tree = tree_directory("profiles")
    return tree if tree.is_dir() else user_data_path("refrestore") / "profiles"


def tree_directory(name: str) -> Path:
    """Return a top-level folder of the working tree or, installed, of the package's data."""
    package = Path(__file__).resolve().parent
    tree = package.parent / name
    return tree if (package.parent / "pyproject.toml").is_file() else package / "_data" / name
