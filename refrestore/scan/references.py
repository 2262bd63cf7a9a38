"""Close-ups on their way to becoming references: on disk until it is known whose they are."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from refrestore.errors import ProjectError, RefrestoreError
from refrestore.media.files import disk_error
from refrestore.project.folder import SPOOL
from refrestore.scan.fuse import packed
from refrestore.scan.samples import Candidate, PackedCloseUp
from refrestore.types import Reference


@dataclass(frozen=True, eq=False)
class Spooled:
    """A candidate whose crop waits on disk until it is known who it is.

    Parameters
    ----------
    track
        Id of its track.
    time
        Seconds from the film's first frame.
    candidate
        All but the crop.
    file
        Where the crop is.
    """

    track: int
    time: Fraction
    candidate: Candidate
    file: Path


class Spool:
    """Crops of candidates on disk, gone when the context ends; memory stays flat."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        try:
            self._directory = tempfile.TemporaryDirectory(
                prefix=SPOOL, dir=folder, ignore_cleanup_errors=True
            )
        except OSError as error:
            raise disk_error(folder, error) from error

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *raised: object) -> None:
        self._directory.cleanup()

    def put(self, track: int, time: Fraction, candidate: Candidate) -> Spooled:
        """Write a candidate's crop to disk and return what stays in memory.

        Raises
        ------
        DiskError
            When there is no room for it.
        ProjectError
            When the project is not there any more.
        """
        candidate = packed(candidate)
        assert isinstance(candidate.close_up, PackedCloseUp)
        self._count += 1
        file = Path(self._directory.name) / f"{self._count:07d}.npz"
        png, landmarks = candidate.close_up
        content = io.BytesIO()
        np.savez(content, png=np.frombuffer(png, np.uint8), landmarks=landmarks)
        try:
            file.write_bytes(content.getbuffer())
        except OSError as error:
            raise self._lost(file, error) from error
        return Spooled(track, time, replace(candidate, close_up=None), file)

    @staticmethod
    def get(spooled: Spooled) -> PackedCloseUp:
        """Read a candidate's crop.

        Raises
        ------
        ProjectError
            When it is not there any more.
        """
        try:
            with np.load(spooled.file, allow_pickle=False) as content:
                return PackedCloseUp(content["png"].tobytes(), content["landmarks"])
        except OSError as error:
            raise _gone(spooled.file.parent.parent) from error

    def candidate(self, spooled: Spooled) -> Candidate:
        """Return a candidate with its crop; errors as `get`."""
        return replace(spooled.candidate, close_up=self.get(spooled))

    def _lost(self, file: Path, error: OSError) -> RefrestoreError:
        return disk_error(file, error) if self._folder.exists() else _gone(self._folder)


def _gone(folder: Path) -> ProjectError:
    return ProjectError(
        f"The project {folder} was deleted or moved while it was scanned: leave it in its place "
        "and scan again."
    )


def to_reference(spooled: Spooled, crop: PackedCloseUp, source: str) -> Reference:
    """Return a spooled candidate with its crop as a reference; `source` names the video."""
    face, close_up = spooled.candidate, crop.unpacked()
    fused = f" (fused from {face.frames} frames)" if face.frames > 1 else ""
    return Reference(
        image=close_up.image,
        landmarks=close_up.landmarks,
        embedding=face.embedding,
        pose=face.pose,
        sharpness=face.sharpness,
        quality=face.quality,
        native_size=face.native_size,
        source=f"{source} at {float(spooled.time):.3f} s{fused}",
        frame=face.frame,
    )
