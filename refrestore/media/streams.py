"""The streams of a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
from av.stream import Disposition

from refrestore.media.programmes import Programme, programmes

StreamKind = Literal["video", "audio", "subtitle", "data", "attachment", "unknown"]


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of a file.

    Parameters
    ----------
    index
        Position in the file, from 0.
    kind, codec
        As libav names them; codec "none" where it knows none.
    language, title
        As tagged, if tagged.
    cover
        A still picture attached to the file, not a film.
    chapters
        The text track by which QuickTime files carry their chapters.
    size
        Width and height of a video stream's pictures, storage pixels.
    programmes
        Those of a multiplex that it belongs to.
    """

    index: int
    kind: StreamKind
    codec: str
    language: str | None = None
    title: str | None = None
    cover: bool = False
    chapters: bool = False
    size: tuple[int, int] | None = None
    programmes: tuple[Programme, ...] = ()

    def __str__(self) -> str:
        return f"stream {self.index} ({self.kind}, {self.codec})"


def stream_infos(container: av.container.InputContainer, path: Path) -> tuple[StreamInfo, ...]:
    """Return what each stream of a file is."""
    known = programmes(path) if container.format.name == "mpegts" else []
    return tuple(_stream_info(each, container, known) for each in container.streams)


def _stream_info(
    stream: Any, container: av.container.InputContainer, known: Sequence[Programme]
) -> StreamInfo:
    context = getattr(stream, "codec_context", None)
    name = context.name if context is not None else getattr(stream, "name", None)
    quicktime = "mov" in container.format.name.split(",")
    return StreamInfo(
        index=stream.index,
        kind=stream.type,
        codec=name or "none",
        language=stream.metadata.get("language"),
        title=stream.metadata.get("title"),
        cover=is_cover(stream),
        chapters=quicktime
        and stream.type == "data"
        and name == "bin_data"
        and bool(chapters_of(container)),
        size=(stream.width, stream.height) if stream.type == "video" else None,
        programmes=tuple(each for each in known if stream.id in each.pids),
    )


def chapters_of(container: av.container.InputContainer) -> list[dict[str, Any]]:
    """Return the chapters as PyAV gives them; none where it is too old to read them (15.0)."""
    read: Callable[[], list[dict[str, Any]]] = getattr(container, "chapters", list)
    return read()


def is_cover(stream: Any) -> bool:
    """Return whether a stream is a still picture attached to the file."""
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)
