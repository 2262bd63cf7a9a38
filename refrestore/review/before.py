"""A moment of the film as it is, to be looked at while it is being restored."""

from __future__ import annotations

import threading
from fractions import Fraction

from refrestore.media.entries import Entries
from refrestore.media.pixels import display_rgb
from refrestore.media.probe import VideoInfo
from refrestore.media.reader import VideoReader
from refrestore.storage.images import encode_jpeg

from .refusals import NotFoundError

MOST_HEIGHT = 1080

_ONE_AT_A_TIME = threading.Lock()


def moment_jpeg(info: VideoInfo, entries: Entries, at: Fraction) -> bytes:
    """Return the frame shown at a time, as a JPEG of at most 1080 pixels' height.

    Parameters
    ----------
    info
        The film.
    entries
        Its known frames: decoding begins at a key frame before the last of them.
    at
        Seconds from the film's first frame.

    Raises
    ------
    NotFoundError
        When the film is over by then.
    """
    time = info.start + at
    with _ONE_AT_A_TIME, VideoReader(info.path, info=info, enter=entries.until(time)) as reader:
        for frame in reader:
            if frame.time >= time:
                height = min(MOST_HEIGHT, frame.geometry.display_size[1])
                return encode_jpeg(display_rgb(frame, height=height))
    raise NotFoundError(f"The film is over at {float(at):g} s.")
