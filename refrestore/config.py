"""Settings: frozen pydantic models, validated once, passed in; nothing global.

Field descriptions are the help texts of the command line.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_data_path
from pydantic import Field, field_serializer, model_validator

from refrestore.errors import UsageError
from refrestore.moment import Moment, parse_moment
from refrestore.typed_settings import INSIDE, Settings, Typed

Device = Literal["auto", "cpu", "cuda"]
PackName = Literal["lite", "full", "teachers"]
EngineName = Literal["local", "ray"]
Deinterlace = Literal["auto", "off", "frame", "field"]
Denoise = Literal["off", "light", "strong"]
PipeFormat = Literal["y4m", "nut"]
Container = Literal["mkv", "mp4", "m4v", "mov", "webm", "mxf"]
"""As `media.containers.FORMATS` has them."""

_RATE_SUFFIXES = {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}

_MOST_FPS = 1000

_NTSC_SLACK = Fraction(1, 200)
"""How far 23.976 and 29.97, as people write them, are from what they mean."""

INSIGHTFACE_PACK = "~/.insightface/models/buffalo_l"
"""insightface's own place (model_zoo.get_model, app.FaceAnalysis)."""

MODELS_VARIABLE = "REFRESTORE_MODELS"
PROFILES_VARIABLE = "REFRESTORE_PROFILES"


NO_STAGE = "none"
"""Names no second stage."""

STAGE_SUFFIXES = (".pth", ".ckpt", ".safetensors", ".onnx")
"""Of a second stage's file; anything else is a name of the catalogue."""


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


def frames_per_second(text: str) -> Fraction:
    """Return a frame rate: "25", "24000/1001", or "23.976", which means the same.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        rate = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= _MOST_FPS:
        raise ValueError(f"{text!r} is no frame rate; write 25, 23.976 or 24000/1001")
    ntsc = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    return ntsc if rate.denominator > 1 and abs(rate - ntsc) < _NTSC_SLACK else rate


def faces_at_a_time(text: str) -> int | Literal["auto"]:
    """Return a number of faces, or "auto".

    Raises
    ------
    ValueError
        If it is neither.
    """
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is no number of faces; write 1 or more, or auto")
    return int(text)


def stage_named(text: str) -> Path | str:
    """Return the file of a second stage, or its name in the catalogue."""
    return Path(text) if Path(text).suffix.lower() in STAGE_SUFFIXES else text


class RuntimeSettings(Settings):
    """Where to compute and with which models."""

    device: Device = Field("auto", description="Where networks run.")
    pack: PackName = Field(
        "lite",
        description="Models: lite (no download), full (official), or teachers (what lite learnt "
        "from: SCRFD 2.5G and EdgeFace-XS, files of yours).",
    )
    models_dir: Path | None = Field(
        None, description=f"Folder with model files; default that of {MODELS_VARIABLE}."
    )
    profiles_dir: Path | None = Field(
        None, description=f"Folder with profiles; default that of {PROFILES_VARIABLE}."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; default all cores.")


class EngineSettings(Settings):
    """On how many machines."""

    name: Annotated[EngineName, Typed("engine")] = Field(
        "local", description="Who works: this process (local), or workers of a Ray cluster (ray)."
    )
    address: Annotated[str | None, Typed("ray-address", metavar="HOST:PORT|auto")] = Field(
        None,
        description="The cluster; default workers on this machine, for as long as they are needed.",
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

    detect_size: Annotated[int, INSIDE] = Field(
        640, ge=128, description="Longer side of the picture the detector sees."
    )
    detect_every: int = Field(5, ge=1, description="Look for new faces every n-th frame.")
    min_score: Annotated[float, INSIDE] = Field(
        0.5, ge=0, le=1, description="Detections below this are dropped."
    )
    min_face: float = Field(16, ge=4, description="Smaller faces (pixels) are left alone.")
    identity_threshold: Annotated[float, INSIDE] = Field(
        0.40, gt=0, lt=1, description="Cosine similarity above which two tracks may be one person."
    )
    max_references: Annotated[int, INSIDE] = Field(
        24, ge=1, description="References kept per person."
    )
    deinterlace: Deinterlace = Field(
        "auto",
        description="Whole pictures of fields (bwdif): auto, one of two fields where the film is "
        "measured to be interlaced; frame, always; field, one of each, at twice the rate; off.",
    )
    denoise: Denoise = Field(
        "off",
        description="Take noise from whole frames: off, light (bilateral) or strong (non-local "
        "means; 8-bit film only, slow).",
    )
    video_stream: Annotated[int | None, Typed(metavar="N")] = Field(
        None,
        ge=0,
        description="Which video stream, in a file that holds several (a multiplex).",
    )
    fps: Annotated[Fraction | None, Typed(metavar="RATE", parse=frames_per_second)] = Field(
        None,
        description="Frames per second of numbered pictures (frames/%06d.png): 25 (default), "
        "23.976.",
    )

    @field_serializer("fps")
    def _rate_as_text(self, fps: Fraction | None) -> str | None:
        return None if fps is None else str(fps)


class EncoderSettings(Settings):
    """How the output is encoded."""

    codec: str = Field(
        "libx264",
        description="h264, h265, av1, vp9, prores, dnxhr, ffv1, or libav's name of an encoder.",
    )
    crf: float | None = Field(None, ge=0, le=63, description="Constant quality; lower is better.")
    bitrate: Annotated[int | None, Typed(metavar="RATE", parse=bits_per_second)] = Field(
        None, ge=1, description="Such as 8M; not with --crf."
    )
    preset: Annotated[str | None, Typed("encoder-preset")] = Field(
        None, description="The encoder's own preset: slow, 6, hq and so on."
    )
    pixel_format: Annotated[str | None, Typed("pix-fmt")] = Field(
        None, description="Output pixel format; default the source's."
    )
    pictures: Annotated[str | None, INSIDE] = Field(
        None, description="Names of numbered pictures to write in place of a film: %06d.png."
    )


class RenderSettings(Settings):
    """Pass 2."""

    scale: Literal[1, 2, 4] = Field(1, description="Enlarge the picture so many times.")
    strength: float = Field(1.0, ge=0, le=1, description="Upper limit of restoration, 0 to 1.")
    references: int = Field(5, ge=0, le=8, description="Close-ups used per face; 0 for none.")
    min_face: float = Field(16, ge=4, description="Smaller faces (pixels) are left alone.")
    unfocused: bool = Field(False, description="Restore faces out of focus behind nearer ones too.")
    layer: bool = Field(
        False,
        description="Write the restored faces alone, with alpha, to be laid over the film: ProRes "
        "4444 in .mov, FFV1 in .mkv, or pictures (layer/%06d.png).",
    )
    start: Annotated[Moment | None, Typed(metavar="TIME", parse=parse_moment)] = Field(
        None,
        description="From the first frame on: seconds, h:mm:ss, a frame's number (123f, the first "
        "is 0f), or the film's own timecode (10:00:03:12).",
    )
    end: Annotated[Moment | None, Typed(metavar="TIME", parse=parse_moment)] = Field(
        None, description="Stop before this time."
    )
    batch: Annotated[
        Annotated[int, Field(ge=1)] | Literal["auto"],
        Typed(metavar="N|auto", parse=faces_at_a_time),
    ] = Field("auto", description="Faces restored at a time; auto by the device's memory.")
    background: Annotated[Path | None, Typed(metavar="MODEL")] = Field(
        None,
        description="With --scale 2 or 4: enlarge the rest of the frame by this Real-ESRGAN-type "
        "network (.pth, .safetensors; needs spandrel). Costs 10 to 40 times the faces, repaints "
        "walls.",
    )
    second_stage: Annotated[
        Path | str | None, Typed(metavar="NAME|FILE|none", parse=stage_named)
    ] = Field(
        None,
        description="Restorer of faces behind the references, for what none of them shows: gfpgan, "
        "codeformer, restoreformer, gpen, or a file of these, of DFDNet (.pth, .safetensors) or of "
        "another (.onnx); default the pack's.",
    )
    fidelity: float | None = Field(
        None, ge=0, le=1, description="Of CodeFormer: 0 draws freely, 1 stays near the input."
    )
    accept_licence: Annotated[str | None, Typed(metavar="NAME")] = Field(
        None,
        exclude=True,
        description="You keep to the licence of this second stage (a,b: several).",
    )
    provenance: bool = Field(
        True,
        description="Say in the output's comment (a picture's XMP) when faces were restored.",
    )
    name_people: bool = Field(False, description="Say there whose faces they are, too.")
    c2pa_key: Annotated[Path | None, Typed(metavar="PEM")] = Field(
        None,
        description="Sign the output (C2PA) with this key and the certificates in the same file.",
    )
    segment_seconds: Annotated[float, INSIDE] = Field(
        10, gt=0, description="Longest segment between resumable points; cuts end one earlier."
    )

    @model_validator(mode="after")
    def _background_enlarges(self) -> RenderSettings:
        if self.background is not None and self.layer:
            raise UsageError("--background repaints the whole frame, of which a --layer has none.")
        if self.background is not None and self.scale == 1:
            raise UsageError("--background enlarges the rest of the frame: give --scale 2 or 4.")
        return self

    @field_serializer("start", "end")
    def _as_text(self, moment: Moment | None) -> str | None:
        return None if moment is None else str(moment)

    @model_validator(mode="after")
    def _nothing_is_said(self) -> RenderSettings:
        if not self.provenance and (self.name_people or self.c2pa_key is not None):
            other = "--name-people" if self.name_people else "--c2pa-key"
            raise UsageError(f"--no-provenance says nothing, so {other} cannot be with it.")
        return self

    @field_serializer("background", "second_stage", "c2pa_key")
    def _name_only(self, file: Path | str | None) -> str | None:
        return file.name if isinstance(file, Path) else file  # reports name no folders


class FilmSettings(Settings):
    """All that can be asked for one film: what presets and the films of a queue have."""

    container: Container | None = Field(
        None, description="Suffix of the outputs in a folder; default each video's own."
    )
    render: RenderSettings = Field(RenderSettings(), description="Pass 2.")
    encoder: EncoderSettings = Field(EncoderSettings(), description="How the output is encoded.")
    scan: ScanSettings = Field(ScanSettings(), description="Pass 1.")


class ExportSettings(Settings):
    """Faces written as pictures, for people to look at."""

    folder: Annotated[Path, Typed("export-faces", metavar="DIR")] = Field(
        description="Write faces as pictures, by person and time: cropped, restored, compare."
    )
    every: Annotated[int, Typed("export-every")] = Field(
        25,
        ge=1,
        description="Export every n-th frame, of each appearance one face at least, of each person "
        "at most 200.",
    )

    @model_validator(mode="before")
    @classmethod
    def _says_where(cls, asked: Any) -> Any:
        if isinstance(asked, dict) and "folder" not in asked:
            raise UsageError("--export-every says which faces to write; give --export-faces DIR.")
        return asked


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
