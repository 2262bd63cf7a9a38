"""Where the videos of a run go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from refrestore.config import Container
from refrestore.errors import UsageError
from refrestore.media.containers import FORMATS
from refrestore.media.sequences import is_pattern

PROJECT_SUFFIX = ".refrestore"
"""A run's project folder is the output's name with this suffix, beside the output."""


@dataclass(frozen=True)
class Plan:
    """Where one video goes."""

    video: Path
    output: Path
    project: Path


def plan_outputs(
    videos: Sequence[Path],
    output: Path,
    project: Path | None = None,
    container: Container | None = None,
) -> list[Plan]:
    """Say which video is written where.

    Parameters
    ----------
    output
        A file for one video, or the pattern of numbered pictures, of which the plan has the folder;
        for several, or if it is a folder, a folder: names are kept, but for
        containers that are not written (AVI, MPEG): those films become Matroska.
    project
        Project folder of the only video; by default beside its output.
    container
        Suffix of all that is written into a folder.

    Raises
    ------
    UsageError
        If two outputs would have one name, or one project was named for several videos.
    """
    pictures = is_pattern(output)
    if len(videos) == 1 and (pictures or not output.is_dir()):
        outputs = [output.parent if pictures else output]
    else:
        if output.suffix and not output.is_dir():
            raise UsageError(
                f"{output} must be a folder for {len(videos)} videos; name one that may be made."
            )
        outputs = [output / output_name(video, container) for video in videos]
    if len(set(outputs)) < len(outputs):
        raise UsageError(
            "Two of the videos would have the same name there; restore them into two folders."
        )
    if project is not None and len(videos) > 1:
        raise UsageError("--project is for one video; with several each gets its own.")
    return [
        Plan(video, file, project or file.with_name(file.name + PROJECT_SUFFIX))
        for video, file in zip(videos, outputs, strict=True)
    ]


def output_name(video: Path, container: Container | None = None) -> str:
    """Return what the restored video is called in a folder."""
    stem = video.parent.name if is_pattern(video) else video.stem
    if container is not None:
        return f"{stem}.{container}"
    return video.name if video.suffix.lower() in FORMATS else f"{stem}.mkv"
