"""Close-ups on their way to becoming references: on disk until it is known whose they are."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from refrestore.scan.samples import Candidate, Closeup
from refrestore.types import Reference


@dataclass(frozen=True, eq=False)
class Spooled:
    """A candidate whose crop waits on disk until it is known who it is.

    Parameters
    ----------
    track
        Id of its track.
    time
        Presentation time in seconds.
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
        self._directory = tempfile.TemporaryDirectory(prefix=".candidates-", dir=folder)
        self._count = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._directory.cleanup()

    def put(self, track: int, time: Fraction, candidate: Candidate) -> Spooled:
        """Write a candidate's crop to disk and return what stays in memory."""
        assert candidate.closeup is not None
        self._count += 1
        file = Path(self._directory.name) / f"{self._count:07d}.npz"
        # A fast lossless PNG: half the bytes of the plain array.
        done, png = cv2.imencode(
            ".png", candidate.closeup.image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1]
        )
        assert done
        np.savez(file, png=png, landmarks=candidate.closeup.landmarks)
        return Spooled(track, time, replace(candidate, closeup=None), file)

    @staticmethod
    def get(spooled: Spooled) -> Closeup:
        """Read a candidate's crop."""
        with np.load(spooled.file, allow_pickle=False) as content:
            picture = cv2.imdecode(content["png"], cv2.IMREAD_COLOR)
            assert picture is not None
            return Closeup(np.ascontiguousarray(picture[..., ::-1]), content["landmarks"])


def to_reference(spooled: Spooled, source: str) -> Reference:
    """Return a spooled candidate as a reference; `source` names the video."""
    face, closeup = spooled.candidate, Spool.get(spooled)
    fused = f" (fused from {face.frames} frames)" if face.frames > 1 else ""
    return Reference(
        image=closeup.image,
        landmarks=closeup.landmarks,
        embedding=face.embedding,
        pose=face.pose,
        sharpness=face.sharpness,
        quality=face.quality,
        native_size=face.native_size,
        source=f"{source} at {float(spooled.time):.3f} s{fused}",
        frame=face.frame,
    )
