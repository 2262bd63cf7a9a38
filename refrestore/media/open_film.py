"""A film's file opened for reading, and the stream in it that is the film."""

from __future__ import annotations

import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from refrestore.errors import MediaError
from refrestore.media.files import check_file, libav_url
from refrestore.media.sequences import libav_input, read_sequence
from refrestore.media.streams import is_cover

MAX_PIXELS = 35_651_584
"""Largest picture decoded: the most that the highest levels of H.264 (6.2), HEVC (6.2) and AV1
(6.3) allow, 8192 x 4352. A damaged header claims more, and each of the dozens of pictures that a
decoder and its readers hold would take its size."""


def open_film(path: Path, fps: Fraction | None = None) -> av.container.InputContainer:
    """Open a file for reading its film, with no other times than the file itself tells.

    Times before 0 in Matroska libav leaves out, or fills in by guesses: rounded, or from 0 on.
    Parameters as for `open_input`.

    Raises
    ------
    MediaError
        As `open_input`.
    """
    container = open_input(path, fps=fps)
    if "matroska" in container.format.name:
        starts = [each.start_time for each in container.streams.video if not is_cover(each)]
        if any(start is None or start < 0 for start in starts):
            container.close()
            return open_input(path, {"fflags": "+nofillin"})
    return container


def open_input(
    path: Path, options: dict[str, str] | None = None, *, fps: Fraction | None = None
) -> av.container.InputContainer:
    """Open a file for reading, with options of libavformat's.

    Parameters
    ----------
    fps
        Frames per second of numbered pictures; None for a file.

    Raises
    ------
    MediaError
        It is missing, a folder, empty, or nothing that libav can read.
    """
    url, demuxer = libav_url(path), None
    if fps is not None:
        url, options = libav_input(read_sequence(path), fps)
        demuxer = "image2"
    elif check_file(path).st_size == 0:
        raise MediaError(f"{path} is empty (0 bytes).")
    try:
        return av.open(
            url, "r", format=demuxer, metadata_errors="replace", container_options=options
        )
    except PermissionError as error:
        raise MediaError(f"{path} may not be read: permission denied.") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        if zipfile.is_zipfile(path):
            raise MediaError(f"{path} is a zip archive, not a video: unpack it first.") from error
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(
            f"{path} is not a video that can be read ({reason}); it may be damaged or truncated."
        ) from error


def film_stream(
    container: av.container.InputContainer, path: Path, index: int | None = None
) -> av.VideoStream:
    """Return the stream that is the film: of an index, or libav's best one that is not a cover.

    Raises
    ------
    MediaError
        There is none, not that one, or none that this build of libav can decode.
    """
    films, film = films_in(container, path)
    if index is not None:
        numbers = [each.index for each in films]
        if index not in numbers:
            raise MediaError(
                f"{path} has no video stream {index}: --video-stream takes "
                f"{', '.join(map(str, numbers))}."
            )
        film = films[numbers.index(index)]
    # Stub modules type this as never None, but libav has no decoder for some codecs.
    context: Any = film.codec_context
    if context is None:
        raise MediaError(f"{path} has a video stream of a codec that cannot be decoded here.")
    if film.width * film.height > MAX_PIXELS:
        raise MediaError(
            f"{path} says that its pictures are {film.width}x{film.height}, more than "
            f"{MAX_PIXELS // 1_000_000} megapixels; it is damaged, or must be made smaller first."
        )
    # What the container says need not be what the pictures say.
    context.options = {**context.options, "max_pixels": str(MAX_PIXELS)}
    return film


def films_in(
    container: av.container.InputContainer, path: Path
) -> tuple[list[av.VideoStream], av.VideoStream]:
    """Return the streams that may be the film, and the one that is where nobody chooses.

    Raises
    ------
    MediaError
        There is none.
    """
    films = [each for each in container.streams.video if not is_cover(each)]
    if not films:
        raise MediaError(f"{path} has no video stream.")
    best = container.streams.best("video")
    return films, best if isinstance(best, av.VideoStream) and best in films else films[0]
