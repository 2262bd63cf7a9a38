"""What a project remembers of its video."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from refrestore.types import Geometry


@dataclass(frozen=True, slots=True)
class VideoSource:
    """The video a project is about.

    Parameters
    ----------
    path
        Where it is; an opened project looks first beside itself, then where it was.
    fingerprint
        Identifies the content (`media.VideoInfo.fingerprint`).
    geometry
        How its storage grid is shown.
    start
        Presentation time of the first frame, seconds.
    rate
        Average frames per second.
    frames
        Number of frames, None until counted.
    duration
        Seconds, None if the container does not say.
    """

    path: Path
    fingerprint: str
    geometry: Geometry
    start: Fraction
    rate: Fraction
    frames: int | None = None
    duration: Fraction | None = None


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
        },
        ensure_ascii=False,
    )


def unpack_video(text: str, folder: Path) -> VideoSource:
    """Return the video of a project that is at `folder` now."""
    said = json.loads(text)
    path = Path(said["path"])
    if said["relative"] is not None:
        beside = folder / said["relative"]
        path = Path(os.path.normpath(beside)) if beside.exists() else path
    return VideoSource(
        path=path,
        fingerprint=said["fingerprint"],
        geometry=Geometry(
            said["width"], said["height"], Fraction(said["sample_aspect"]), said["rotation"]
        ),
        start=Fraction(said["start"]),
        rate=Fraction(said["rate"]),
        frames=said["frames"],
        duration=None if said["duration"] is None else Fraction(said["duration"]),
    )
