"""A project's film, opened as its scan opened it."""

from __future__ import annotations

from pathlib import Path

from refrestore.media.probe import VideoInfo, probe
from refrestore.media.sequences import is_pattern, sequence_path
from refrestore.media.source import treated
from refrestore.media.treatment import UNTREATED

from .project import Project


def probed_film(project: Project, video: Path | None = None) -> VideoInfo:
    """Return a project's film, as its file says.

    Parameters
    ----------
    video
        Where it is, if it is not where the project saw it.

    Raises
    ------
    MediaError
        It cannot be read.
    ProjectError
        It is another video.
    """
    known = project.video
    path = sequence_path(video or known.path)
    info = probe(path, known.stream, known.rate if is_pattern(path) else None)
    project.check_video(info.fingerprint, info.path)
    return info


def as_scanned(project: Project, info: VideoInfo) -> VideoInfo:
    """Return a project's film, as it was probed, to be read as the current scan read it."""
    scan = project.scan_info()
    return treated(info, UNTREATED if scan is None else scan.treatment)


def project_film(project: Project, video: Path | None = None) -> VideoInfo:
    """Return a project's film, to be read as its scan read it; as `probed_film`."""
    return as_scanned(project, probed_film(project, video))
