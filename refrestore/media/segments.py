"""Segments: files of one closed GOP or more, each encoded on its own, exact in time.

docs/decisions/001-media-segments.md says why they are what they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av

from refrestore.errors import MediaError
from refrestore.media.encoder import Encoder
from refrestore.media.failures import reason, writing
from refrestore.media.files import libav_url, publish
from refrestore.media.matroska import PLACEHOLDER, write_hdr

SEGMENT_FORMAT = "matroska"
"""Holds every codec but one; its ticks are milliseconds, which are used as the source's ticks."""

OTHER_FORMATS = {"dnxhd": "mov", "png": "mov", "tiff": "mov"}
"""Encoders that Matroska has no name for, and what holds them; their pictures are all key ones."""

SEGMENT_TICK = Fraction(1, 1000)
"""Matroska's default time base."""

FIRST_KEY = "REFRESTORE_FIRST"
"""Metadata key: the presentation timestamp of the segment's first picture in source ticks."""

MARGIN = 1024
"""Ticks before the first picture: no picture is decoded that much earlier than it is shown."""


class SegmentWriter:
    """Encodes pictures to one segment; it appears under its name only when complete.

    A context manager: leaving it closes the segment, or aborts it on an exception.

    Parameters
    ----------
    path
        Of the finished segment; its folder must exist.
    encoder
        From `resolve_encoder`; a fresh instance of it is opened, so the segment depends on no
        other.

    Raises
    ------
    DiskError, MediaError
        The segment cannot be written.
    """

    def __init__(self, path: str | Path, encoder: Encoder) -> None:
        self.path = Path(path)
        self.frames = 0
        self._encoder = encoder
        self._temporary = self.path.with_name(f".{self.path.name}.partial")
        self._ticks: list[int] = []
        self._packets = 0
        with self._guarded():
            self._format = OTHER_FORMATS.get(encoder.codec, SEGMENT_FORMAT)
            options = {"fflags": "+bitexact"}  # no random identifiers: the same bytes every time
            if self._format == "mov":
                options["movflags"] = "use_metadata_tags"
            self._container = av.open(
                libav_url(self._temporary), "w", format=self._format, container_options=options
            )
            self._stream = encoder.add_stream(self._container)
            self._stream.time_base = SEGMENT_TICK
            self._says_hdr = encoder.hdr is not None and self._format == SEGMENT_FORMAT
            if self._says_hdr:
                self._stream.metadata["title"] = PLACEHOLDER

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def write(self, picture: av.VideoFrame, time: Fraction) -> None:
        """Encode a picture.

        Parameters
        ----------
        picture
            Of the encoder's size; converted to its pixel format if need be. Left as it was.
        time
            Presentation time in seconds, a multiple of the source's time base, after the last.
        """
        ticks = time / self._encoder.time_base
        if ticks.denominator != 1:
            raise ValueError(f"time {time} is no multiple of {self._encoder.time_base}")
        if self._ticks and ticks <= self._ticks[-1]:
            raise ValueError(f"time {time} is not after the previous picture's")
        if not self._ticks:
            self._container.metadata[FIRST_KEY] = str(int(ticks))
        self._ticks.append(int(ticks))
        fitted = self._encoder.fit(picture)
        kept = fitted.pts, fitted.time_base, fitted.pict_type
        fitted.pts, fitted.time_base = self.frames, 1 / self._encoder.rate
        fitted.pict_type = 0  # the source's picture types are not to be forced on this encoder
        try:
            self._encode(fitted)
        finally:
            fitted.pts, fitted.pict_type = kept[0], kept[2]
            if kept[1] is not None:
                fitted.time_base = kept[1]
        self.frames += 1

    def close(self) -> None:
        """Finish the segment and give it its name; raises ValueError if it has no picture."""
        if not self.frames:
            self.abort()
            raise ValueError(f"segment {self.path} has no picture")
        self._encode(None)
        with self._guarded():
            self._container.close()
            if self._says_hdr and self._encoder.hdr is not None:
                write_hdr(self._temporary, self._encoder.hdr)
            publish(self._temporary, self.path)

    def abort(self) -> None:
        """Throw away what was written."""
        with suppress(Exception):  # closing writes a trailer, for which there may be no room
            self._container.close()
        self._temporary.unlink(missing_ok=True)

    def _encode(self, picture: av.VideoFrame | None) -> None:
        try:
            packets = self._stream.encode(picture)
        except (av.FFmpegError, OSError, ValueError) as error:
            self.abort()
            raise MediaError(
                f"Encoder {self._encoder.codec} failed on picture {self.frames} of "
                f"{self.path} ({reason(error)})."
            ) from error
        with self._guarded():
            for packet in packets:
                self._mux(packet)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            with writing(self.path):
                yield
        except BaseException:
            if hasattr(self, "_container"):
                self.abort()
            raise

    def _mux(self, packet: av.Packet[av.VideoStream]) -> None:
        assert packet.pts is not None
        base = (packet.time_base or 1 / self._encoder.rate) * self._encoder.rate
        shown = round(packet.pts * base)
        packet.pts = self._ticks[shown] - self._ticks[0] + MARGIN
        # Counted here: x265 makes up those of a segment of one picture or two, and Matroska
        # wants them in order only, never after their picture, and does not keep them.
        packet.dts = self._packets if self._format == SEGMENT_FORMAT else packet.pts
        self._packets += 1
        packet.duration = 1
        packet.time_base = SEGMENT_TICK
        packet.stream = self._stream
        self._container.mux(packet)


@dataclass(frozen=True, slots=True)
class SegmentIndex:
    """Presentation timestamps (source ticks, in decoding order) and codec set-up of a segment."""

    path: Path
    timestamps: tuple[int, ...]
    extradata: bytes

    @classmethod
    def read(cls, path: Path) -> SegmentIndex:
        """Read a segment's timestamps."""
        with open_segment(path) as (container, stream):
            ticks = tuple(ticks for ticks, _ in segment_packets(container, stream))
            return cls(path, ticks, stream.codec_context.extradata or b"")


@contextmanager
def open_segment(
    path: Path,
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a segment.

    Raises
    ------
    MediaError
        It is missing or damaged.
    """
    with _readable(path):
        container = av.open(libav_url(path), "r")
    with container:
        if FIRST_KEY not in container.metadata or len(container.streams) != 1:
            raise MediaError(f"{path} is not a segment; remove it and render again.")
        yield container, container.streams.video[0]


def segment_packets(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[tuple[int, av.Packet[av.VideoStream]]]:
    """Yield source timestamp and packet, in decoding order."""
    offset = int(container.metadata[FIRST_KEY]) - MARGIN
    packets = container.demux(stream)
    while True:
        with _readable(Path(container.name.removeprefix(libav_url("")))):
            packet = next(packets, None)
        if packet is None:
            return
        if packet.size:
            assert packet.pts is not None
            yield (
                round(packet.pts * (packet.time_base or SEGMENT_TICK) / SEGMENT_TICK) + offset,
                packet,
            )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise MediaError(
            f"Segment {path} is missing or damaged; remove it and render again."
        ) from error
