"""Frames of a video in presentation order, decoded ahead in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import av

from refrestore.errors import MediaError
from refrestore.media.probe import VideoInfo, film_stream, open_input, probe
from refrestore.types import Frame

MAX_READ_ERRORS = 100
"""Read errors in a row, without a packet between them, after which a file is at its end."""

POLL_SECONDS = 0.1
"""How often a full queue looks whether its consumer has gone."""


SEEK_MARGIN = Fraction(1)
"""Seconds before a frame at which a key frame is looked for: containers index decoding times."""


class _End:
    """Last thing in the queue: no error, or the one that ended decoding."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class VideoReader:
    """Sequential reader: a context manager and an iterator of `Frame`.

    Decoding starts at the beginning of the file and never seeks, so indices count frames of the
    whole video and the same file gives the same frames every time. Only `enter` starts later, and
    only where the file keeps what it says.

    Parameters
    ----------
    path
        The video.
    start, end
        Presentation times in seconds; frames with `start <= time < end` are given.
    queue
        Frames decoded ahead at most.
    info
        What `probe` said, if it was asked already.
    enter
        Index and exact time of a frame from which on frames are wanted, from an earlier reading:
        decoding starts at a key frame before it. A file in which that frame is not found at that
        time, or whose pictures come out damaged, is read from its beginning.

    Attributes
    ----------
    info : VideoInfo
        What the file holds.
    decode_failures : int
        Packets that could not be read or decoded, and pictures the decoder marked damaged, so
        far. They never end the reading; damaged pictures are given all the same.

    Raises
    ------
    MediaError
        As `probe`; and on iteration, if not one frame of the whole video can be decoded.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start: Fraction | None = None,
        end: Fraction | None = None,
        queue: int = 8,
        info: VideoInfo | None = None,
        enter: tuple[int, Fraction] | None = None,
    ) -> None:
        if queue < 1:
            raise ValueError(f"queue must be 1 or more, got {queue}")
        self.info = info or probe(path)
        self.decode_failures = 0
        self._path = Path(path)
        self._start, self._end, self._enter = start, end, enter
        self._size = queue
        self._skipped = 0
        self._queue: _Queue | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._finished = False

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        if self._finished:
            raise StopIteration
        if self._queue is None or self._thread is None:
            self._queue = queue.Queue(self._size)
            thread = threading.Thread(target=self._run, name="decode", daemon=True)
            thread.start()
            self._thread = thread  # only one that has started can be waited for
        item = self._queue.get()
        if isinstance(item, Frame):
            return item
        self.close()
        if item.error is not None:
            raise item.error
        raise StopIteration

    def close(self) -> None:
        """Stop decoding and wait until the thread is gone; harmless when repeated."""
        self._finished = True
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._queue = None

    def _run(self) -> None:
        assert self._queue is not None
        target = self._queue
        try:
            for frame in self._frames():
                if not self._put(target, frame):
                    return
        except BaseException as error:
            self._put(target, _End(error))
        else:
            self._put(target, _End())

    def _put(self, target: _Queue, item: Frame | _End) -> bool:
        while not self._stop.is_set():
            try:
                target.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def _frames(self) -> Iterator[Frame]:
        info = self.info
        previous: Fraction | None = None
        index = -1
        pictures = self._entered() or self._pictures()
        if self._skipped:
            index = self._skipped - 1
        for picture in pictures:
            index += 1
            time = _time_of(picture, info, previous)
            previous = time
            if self._end is not None and time >= self._end:
                return
            if self._start is None or time >= self._start:
                yield Frame(index, time, picture, info.geometry)
        if index < 0:
            raise MediaError(f"{self._path} has a video stream, but no frame of it can be decoded.")

    def _entered(self) -> Iterator[av.VideoFrame] | None:
        """Return the pictures from `enter` on, None if they must be read from the beginning."""
        if self._enter is None or self._enter[0] <= 0:
            return None
        index, time = self._enter
        failures = self.decode_failures
        pictures = self._pictures(seek=time - SEEK_MARGIN)
        whole = False
        for picture in pictures:
            whole |= bool(picture.key_frame)
            exact = None if picture.pts is None else picture.pts * self.info.time_base
            if exact is None or exact > time or self.decode_failures > failures:
                break
            if exact == time and whole:
                self._skipped = index
                return chain([picture], pictures)
        pictures.close()
        self.decode_failures = failures
        return None

    def _pictures(self, seek: Fraction | None = None) -> Generator[av.VideoFrame, None, None]:
        with open_input(self._path) as container:
            stream = film_stream(container, self._path)
            stream.thread_type = "AUTO"
            time_base = self.info.time_base
            if seek is not None:
                try:
                    container.seek(int(seek / time_base), stream=stream, backward=True)
                except av.FFmpegError:
                    return
            for packet in chain(read_packets(container, [stream], self._read_failed), [None]):
                if self._stop.is_set():
                    return
                if packet is not None and packet.is_corrupt:
                    self.decode_failures += 1
                try:
                    pictures = stream.decode(packet)
                except av.EOFError:
                    return
                except (av.FFmpegError, ValueError):
                    self.decode_failures += 1
                    continue
                for picture in pictures:
                    picture.time_base = time_base  # pictures of a flush come without
                    self.decode_failures += bool(picture.is_corrupt)
                    if picture.width != self.info.geometry.width or (
                        picture.height != self.info.geometry.height
                    ):
                        raise MediaError(
                            f"{self._path} changes its picture size from "
                            f"{self.info.geometry.width}x{self.info.geometry.height} to "
                            f"{picture.width}x{picture.height} on the way; cut it there first."
                        )
                    yield picture

    def _read_failed(self) -> None:
        self.decode_failures += 1


def read_packets(
    container: av.container.InputContainer,
    streams: Sequence[Any],
    failed: Callable[[], None] = lambda: None,
) -> Iterator[Any]:
    """Yield the packets of streams in file order, over read errors; `failed` is told of each run.

    A file that has nothing but errors any more is at its end.
    """
    errors = 0
    while errors < MAX_READ_ERRORS:
        try:
            for packet in container.demux(*streams):
                if packet.size == 0 and packet.pts is None:  # libav's own flush packet
                    continue
                errors = 0
                yield packet
            return
        except av.EOFError:
            return
        except av.FFmpegError:
            errors += 1
            if errors == 1:
                failed()


def _time_of(picture: av.VideoFrame, info: VideoInfo, previous: Fraction | None) -> Fraction:
    """Return the picture's time; where a file tells none or goes back, the next one possible."""
    time_base = picture.time_base or info.time_base
    if picture.pts is not None:
        time = picture.pts * time_base
        if previous is None or time > previous:
            return time
    if previous is None:
        return info.start
    ticks = max(1, round(1 / (info.average_rate * info.time_base)))
    return previous + (ticks if picture.pts is None else 1) * info.time_base


_Queue = queue.Queue[Frame | _End]
