"""A whole scan: the film read here, or by the workers of a cluster."""

from __future__ import annotations

from pathlib import Path

from refrestore.config import EngineSettings, RuntimeSettings, ScanSettings
from refrestore.engine.crew import Crew, crew_of
from refrestore.engine.task import Heard
from refrestore.media.probe import VideoInfo
from refrestore.scan.scan import Progress, ScanSummary
from refrestore.scan.scan import scan as scan_film
from refrestore.types import Announce


def scan(
    video: Path,
    project_folder: Path,
    *,
    settings: ScanSettings,
    runtime: RuntimeSettings,
    progress: Progress | None = None,
    announce: Announce | None = None,
    info: VideoInfo | None = None,
    engine: EngineSettings | Crew | None = None,
    heard: Heard | None = None,
) -> ScanSummary:
    """Find shots, faces, tracks, identities and references of a video.

    Parameters
    ----------
    engine
        Who reads the film and follows the faces: by default this process. A crew is used and stays.
    heard
        Is told how far each worker of a cluster is.
    others
        As for `refrestore.scan.scan.scan`.

    Raises
    ------
    RefrestoreError
        One of its kinds, with one sentence.
    """
    with crew_of(engine, runtime, announce=announce, heard=heard) as crew:
        reading_of = None
        if crew is not None:
            from refrestore.engine.read_there import reading_on

            reading_of = reading_on(crew, runtime, announce or (lambda note: None))
        try:
            return scan_film(
                video,
                project_folder,
                settings=settings,
                runtime=runtime,
                progress=progress,
                announce=announce,
                info=info,
                reading_of=reading_of,
            )
        except BaseException:
            if crew is not None:
                crew.stop()
            raise
