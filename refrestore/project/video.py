"""What a project remembers of its video."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from refrestore.media.sequences import is_film
from refrestore.types import Geometry

from .damage import DamageError
from .values import field, fraction, json_object, optional, positive_fraction, text, whole

_LONGEST_PATH = 32_768
"""Windows' limit, the longest of all."""

_MOST_STREAMS = 2**16
"""Eight times as many as a transport stream can number."""

_LARGEST_SIDE = 2**20
"""No codec knows larger pictures."""


@dataclass(frozen=True, slots=True)
class VideoSource:
    """The video a project is about.

    Parameters
    ----------
    path
        Where it is; an opened project looks first beside itself, then where it was.
    fingerprint
        Identifies the content (`media.probe.VideoInfo.fingerprint`).
    geometry
        How its storage grid is shown.
    start
        Presentation time of the first frame, seconds.
    rate
        Average pictures per second in the file.
    frames
        Number of its pictures, None until counted.
    duration
        Seconds, None if the container does not say.
    stream
        Index of the film in its file, None where it is the one that is taken unasked.
    """

    path: Path
    fingerprint: str
    geometry: Geometry
    start: Fraction
    rate: Fraction
    frames: int | None = None
    duration: Fraction | None = None
    stream: int | None = None


def pack_video(video: VideoSource, folder: Path) -> str:
    """Return the video as JSON, with its path relative to the project too."""
    path = video.path.resolve()
    try:
        relative: str | None = Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # another drive
        relative = None
    geometry = video.geometry
    return json.dumps(
        {
            "path": str(path),
            "relative": relative,
            "fingerprint": video.fingerprint,
            "width": geometry.width,
            "height": geometry.height,
            "sample_aspect": str(geometry.sample_aspect),
            "rotation": geometry.rotation,
            "start": str(video.start),
            "rate": str(video.rate),
            "frames": video.frames,
            "duration": None if video.duration is None else str(video.duration),
            "stream": video.stream,
        },
        ensure_ascii=False,
    )


def unpack_video(value: object, folder: Path) -> VideoSource:
    """Return the video of a project that is at `folder` now.

    Raises
    ------
    DamageError
        When the entry cannot be right.
    """
    try:
        return _unpack(json_object(value), folder)
    except DamageError as error:
        raise DamageError(f"meta, video: {error}") from error


def _unpack(said: dict[str, Any], folder: Path) -> VideoSource:
    path = Path(field(said, "path", text(_LONGEST_PATH)))
    relative = field(said, "relative", optional(text(_LONGEST_PATH)))
    if relative is not None:
        beside = os.path.normpath(folder / relative)
        path = Path(beside) if is_film(Path(beside)) else path
    fingerprint = field(said, "fingerprint", text(_LONGEST_PATH))
    try:
        geometry = Geometry(
            field(said, "width", whole(1, _LARGEST_SIDE)),
            field(said, "height", whole(1, _LARGEST_SIDE)),
            field(said, "sample_aspect", positive_fraction),
            field(said, "rotation", whole(0, 270)),  # type: ignore[arg-type]
        )
    except DamageError:
        raise
    except ValueError as error:
        raise DamageError(str(error)) from error
    return VideoSource(
        path=path,
        fingerprint=fingerprint,
        geometry=geometry,
        start=field(said, "start", fraction),
        rate=field(said, "rate", fraction),
        frames=field(said, "frames", optional(whole(0, 2**31))),
        duration=field(said, "duration", optional(fraction)),
        stream=field(said, "stream", optional(whole(0, _MOST_STREAMS))),
    )
