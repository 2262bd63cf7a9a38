"""Frames of a video in presentation order, decoded ahead in a thread."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av

from refrestore.errors import MediaError
from refrestore.media.colour import FULL
from refrestore.media.filtering import Timed, treat
from refrestore.media.open_film import film_stream, open_film
from refrestore.media.probe import VideoInfo, probe
from refrestore.media.treatment import second_moment
from refrestore.types import Frame, Geometry

MAX_READ_ERRORS = 100
"""Read errors in a row, without a packet between them, after which a file is at its end."""

POLL_SECONDS = 0.1
"""How often a full queue looks whether its consumer has gone."""

SEEK_MARGINS = (Fraction(1), Fraction(12), Fraction(60))
"""Seconds before a frame at which a key frame is looked for. The first is for containers that have
an index, of decoding times; the others for those that have none (MPEG-TS), where a seek ends
anywhere between two key frames: 250 pictures, the encoders' custom, are 10.4 s of film."""

QUEUE_FRAMES, QUEUE_BYTES = 8, 100_000_000
"""Frames decoded ahead at most, and what they may take: 4K at 8 bits are 12 MB each."""


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
        Frames decoded ahead at most; by default as many as `queue_size` says.
    info
        What `probe` said, if it was asked already.
    enter
        Index and exact time of a frame from which on frames are wanted, from an earlier reading:
        decoding starts at a key frame before it, and that frame is the first given. A file in which
        it is not found at that time, or whose pictures come out damaged, is read from its
        beginning: then the first given is frame 0. Pictures are treated as they are when read from
        the beginning (`VideoInfo.treatment`).

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
        queue: int | None = None,
        info: VideoInfo | None = None,
        enter: tuple[int, Fraction] | None = None,
    ) -> None:
        if queue is not None and queue < 1:
            raise ValueError(f"queue must be 1 or more, got {queue}")
        self.info = info or probe(path)
        self.decode_failures = 0
        self._path = Path(path)
        self._start, self._end, self._enter = start, end, enter
        self._size = queue or queue_size(self.info.geometry, self.info.bit_depth)
        self._wanted = 0
        self._queue: _Queue | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._finished = False

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *raised: object) -> None:
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
        given = False
        for index, time, picture in treat(self.info.treatment, self._timed(), self.info.longest):
            given = True
            if index < self._wanted:
                continue  # read for what comes after it
            if self._end is not None and time >= self._end:
                return
            if self._start is None or time >= self._start:
                yield Frame(index, time, picture, self.info.geometry)
        if not given:
            raise MediaError(f"{self._path} has a video stream, but no frame of it can be decoded.")

    def _timed(self) -> Iterator[Timed]:
        clock = FrameClock(self.info)
        first, pictures = self._entered()
        for index, picture in enumerate(pictures, first):
            if self.info.fps is not None and not picture.color_range:
                picture.color_range = FULL  # TIFF's gray does not say it
            yield index, clock.time_of(picture), picture

    def _entered(self) -> tuple[int, Iterator[av.VideoFrame]]:
        """Return the number of the first picture that is read, and the pictures from it on.

        A treatment looks back: so many pictures before the one that was entered at are read too.
        """
        if self._enter is None or self._enter[0] <= 0:
            return 0, self._pictures()
        index, time = self._enter
        reach = self.info.treatment.reach
        number, later = divmod(index, self.info.treatment.frames)
        if number <= reach:
            self._wanted = index
            return 0, self._pictures()
        for margin in SEEK_MARGINS:
            since = time - margin
            if self.info.fps is not None:
                since = max(since, self.info.start)  # image2 knows no time before
            pictures = self._pictures(seek=since, until=time)
            failures = self.decode_failures
            if (found := self._found(pictures, time, reach, later > 0)) is not None:
                self._wanted = index
                return number - reach, chain(found, pictures)
            pictures.close()
            self.decode_failures = failures
            if time - margin <= self.info.start:
                break
        return 0, self._pictures()

    def _found(
        self, pictures: Iterator[av.VideoFrame], time: Fraction, reach: int, later: bool
    ) -> list[av.VideoFrame] | None:
        """Return the picture of exactly that time and so many before it, if all come out whole.

        They do behind a key frame. Where the time is that of its `later` field the next one, which
        tells it, comes with them.
        """
        failures, count = self.decode_failures, reach + 1 + later
        whole = deque[av.VideoFrame](maxlen=count)
        before: Fraction | None = None
        for picture in pictures:
            if whole or picture.key_frame:
                whole.append(picture)
            exact = None if picture.pts is None else picture.pts * self.info.file_tick
            if exact is None or self.decode_failures > failures:
                return None
            if not later:
                known = exact == time
            else:
                known = before is not None and time == second_moment(
                    before, exact, self.info.longest
                )
            if known:
                return list(whole) if len(whole) == count else None
            if exact > time:
                return None
            before = exact
        if before is not None and later and len(whole) > reach:  # the film's last picture's
            last = second_moment(before, None, self.info.longest) == time
            return list(whole)[-reach - 1 :] if last else None
        return None

    def _pictures(
        self, seek: Fraction | None = None, until: Fraction | None = None
    ) -> Generator[av.VideoFrame, None, None]:
        """Yield pictures from the beginning, or from the first key frame that a seek leads to.

        Nothing comes where that is later than `until`.
        """
        with open_film(self._path, self.info.fps) as container:
            stream = film_stream(container, self._path, self.info.stream)
            stream.thread_type = "AUTO"
            time_base = self.info.file_tick
            if seek is not None:
                try:
                    container.seek(int(seek / time_base), stream=stream, backward=True)
                except av.FFmpegError:
                    return
            begun = seek is None
            for packet in chain(read_packets(container, [stream], self._read_failed), [None]):
                if self._stop.is_set():
                    return
                if not begun:
                    if packet is None or _is_after(packet, until, time_base):
                        return
                    begun = packet.is_keyframe
                    if not begun:
                        continue
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


def queue_size(geometry: Geometry, bit_depth: int) -> int:
    """Return how many frames of a size may wait in a queue, at least 2."""
    return max(2, min(QUEUE_FRAMES, QUEUE_BYTES // frame_bytes(geometry, bit_depth)))


def frame_bytes(geometry: Geometry, bit_depth: int) -> int:
    """Return what a decoded picture takes, as 4:2:0."""
    return geometry.width * geometry.height * 3 // 2 * (2 if bit_depth > 8 else 1)


def _is_after(packet: Any, time: Fraction | None, time_base: Fraction) -> bool:
    """Say whether a packet is decoded after a time: it cannot lead to what is shown then."""
    return time is not None and packet.dts is not None and packet.dts * time_base > time


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


class FrameClock:
    """Gives every picture its time, each after the one before.

    Pictures without a timestamp follow the last that has one at the frame rate; before the first
    that has one they follow `VideoInfo.start`, which was counted back from it.
    """

    def __init__(self, info: VideoInfo) -> None:
        self._unit = info.file_tick
        self._ticks = 1 / (info.file_rate * info.file_tick)
        self._known = info.start
        self._untimed = 0
        self._previous: Fraction | None = None

    def time_of(self, picture: av.VideoFrame) -> Fraction:
        """Return the picture's time; where a file tells none or goes back, the next possible."""
        if picture.pts is None:
            time = self._known + round(self._untimed * self._ticks) * self._unit
        else:
            time = picture.pts * (picture.time_base or self._unit)
        if self._previous is not None and time <= self._previous:
            time = self._previous + self._unit
        if picture.pts is not None:
            self._known, self._untimed = time, 0
        self._untimed += 1
        self._previous = time
        return time


_Queue = queue.Queue[Frame | _End]
