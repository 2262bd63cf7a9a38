"""What a video holds, in a form that can be compared: frames, times and packets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av


@dataclass(frozen=True)
class Content:
    """A video: its film's decoded frames with their times, and all other streams' packets.

    Parameters
    ----------
    frames
        Time and SHA-256 of each decoded picture of the film, in the order of presentation.
    packets
        Stream, time and SHA-256 of each packet of each stream, in the order of the file.
    streams
        Kind, codec and language of each stream.
    """

    frames: tuple[tuple[Fraction | None, str], ...]
    packets: tuple[tuple[int, Fraction | None, str], ...]
    streams: tuple[tuple[str, str, str], ...]

    def times(self) -> list[Fraction | None]:
        """Return the presentation times of the frames."""
        return [time for time, _ in self.frames]

    def difference(self, other: Content) -> str | None:
        """Return what is different, None if nothing is."""
        for name in ("streams", "frames", "packets"):
            mine, its = getattr(self, name), getattr(other, name)
            if mine != its:
                same = sum(a == b for a, b in zip(mine, its, strict=False))
                return f"other {name}: {same} of {len(its)} are the same, and there are {len(mine)}"
        return None


def content(path: Path) -> Content:
    """Read a video with PyAV alone."""
    frames: list[tuple[Fraction | None, str]] = []
    packets: list[tuple[int, Fraction | None, str]] = []
    with av.open(str(path)) as file:
        film = file.streams.video[0]
        streams = tuple(_declared(stream) for stream in file.streams)
        for packet in file.demux():
            if packet.size:
                time = None if packet.pts is None else packet.pts * packet.time_base
                packets.append((packet.stream_index, time, _digest(bytes(packet))))
            if packet.stream is film:
                frames += [_frame(frame) for frame in film.codec_context.decode(packet)]
    return Content(tuple(frames), tuple(packets), streams)


def _declared(stream: av.stream.Stream) -> tuple[str, str, str]:
    context = getattr(stream, "codec_context", None)
    codec = "none" if context is None else context.name
    return stream.type, codec, stream.metadata.get("language", "und")


def _frame(frame: av.VideoFrame) -> tuple[Fraction | None, str]:
    time = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
    planes = b"".join(
        bytes(plane)[row * plane.line_size :][: plane.width * _pixel_bytes(frame, index)]
        for index, plane in enumerate(frame.planes)
        for row in range(plane.height)
    )
    return time, _digest(planes)


def _pixel_bytes(frame: av.VideoFrame, plane: int) -> int:
    """Bytes of a pixel in a plane: lines are padded, and what the padding holds is chance."""
    here = [part for part in frame.format.components if part.plane == plane]
    return max(1, sum(-(-part.bits // 8) for part in here))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
