"""Parts of a scan that are done wherever the film, or a piece of it, is at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from refrestore.config import ScanSettings
from refrestore.errors import MediaError
from refrestore.faces.analyser import FaceModels
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import VideoReader
from refrestore.scan.read_again import OpenAt
from refrestore.types import Frame


@dataclass(frozen=True, eq=False)
class Here:
    """Where work is done, and with what.

    Parameters
    ----------
    info
        The film as it is read here.
    models, settings
        The networks, and the scan's settings.
    told
        Is told how many frames of the work are done.
    entire
        Whether all of the film is here, or a piece of it.
    """

    info: VideoInfo
    models: FaceModels
    settings: ScanSettings
    told: Callable[[int], None] = lambda frames: None
    entire: bool = True

    @contextmanager
    def entered(self, frame: int, time: Fraction) -> Iterator[Iterator[Frame]]:
        """Give the frames from one on that is shown at a time.

        A film that cannot be entered is given from its beginning; a piece is not.

        Raises
        ------
        MediaError
            The film cannot be read, or a piece not entered.
        """
        with VideoReader(self.info.path, info=self.info, enter=(frame, time)) as reader:
            yield self._checked(reader, frame)

    def open_at(self, times: Mapping[int, Fraction]) -> OpenAt:
        """Return what enters the film at frames whose times are known (`read_again.frames_of`)."""
        return lambda frame: self.entered(frame, times[frame])

    def _checked(self, frames: Iterator[Frame], first: int) -> Iterator[Frame]:
        for frame in frames:
            if frame.index < first and not self.entire:
                raise MediaError(f"{self.info.path.name} cannot be entered in its middle.")
            yield frame


class Work(Protocol):
    """A part of a scan, picklable."""

    def __call__(self, here: Here) -> Any:
        """Do it; what comes out is picklable."""
