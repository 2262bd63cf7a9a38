"""A stretch of a film as a file of its own: packets as they are, times as they are.

For a machine that does not see the film. What is read from the piece where the film is entered at
one of its frames is what is read from the film.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from refrestore.errors import MediaError
from refrestore.media.entries import Entries
from refrestore.media.failures import reason
from refrestore.media.open_film import film_stream, open_film
from refrestore.media.probe import VideoInfo, fingerprint
from refrestore.media.reader import SEEK_MARGINS, read_packets

FORMATS = {"matroska": "matroska", "mov": "mov", "mpegts": "mpegts"}
"""What a piece is written in, by a word in libav's name of the film's format."""

OTHER_FORMAT = "nut"
"""For all others: it keeps any time, if in a finer unit."""

AFTER = Fraction(1)
"""Seconds of packets behind the last frame: of pictures that come in another order."""

_COLOURS = ("color_primaries", "color_trc", "colorspace", "color_range")


def cut_piece(info: VideoInfo, entries: Entries, first: int, stop: int) -> bytes:
    """Return the packets from which frames `first <= frame < stop` can be read, as a file.

    Parameters
    ----------
    info
        The film.
    entries
        Its known frames.

    Raises
    ------
    MediaError
        The film cannot be read, or no file of its packets keeps what they say.
    """
    reach = info.treatment.reach * info.treatment.frames
    entry = entries.before(max(0, first - reach))
    begins = None if entry is None or entry[0] <= reach else entry[1]
    last = entries.before(stop - 1 + reach)
    known = entries.complete or (last is not None and last[0] >= stop - 1)
    ends = last[1] + AFTER if known and last is not None else None
    for margin in (None,) if begins is None else (*SEEK_MARGINS, None):
        since = None if begins is None or margin is None else max(begins - margin, info.start)
        piece = _piece(info, since, begins, ends)
        if piece is not None:
            return piece
    raise MediaError(f"{info.path} cannot be cut into pieces: it has no key frame.")


def open_piece(info: VideoInfo, path: Path) -> VideoInfo:
    """Return a film as it is to be read from a piece of it that lies in a file.

    Its times are the same, and their unit may be a finer one.
    """
    with open_film(path) as piece:
        unit = film_stream(piece, path).time_base or info.file_tick
    digest = fingerprint(path)
    own = unit / info.treatment.frames
    return replace(info, path=path, stream=0, time_base=own, fingerprint=digest, fps=None)


def _piece(
    info: VideoInfo, since: Fraction | None, begins: Fraction | None, ends: Fraction | None
) -> bytes | None:
    """Return the packets from the key frame on that a seek leads to; None if it is too late."""
    file = io.BytesIO()
    name = next((one for word, one in FORMATS.items() if word in info.container), OTHER_FORMAT)
    given: list[tuple[Any, ...]] = []
    try:
        with open_film(info.path, info.fps) as source:
            stream = film_stream(source, info.path, info.stream)
            assert stream.time_base is not None
            if since is not None:
                source.seek(int(since / stream.time_base), stream=stream, backward=True)
            options = {"fflags": "+bitexact", "avoid_negative_ts": "disabled"}
            if name == "mov":
                # Edit lists count in it: no start is rounded.
                options["movie_timescale"] = str(stream.time_base.denominator)
            with av.open(file, "w", format=name, container_options=options) as target:
                copy = target.add_stream_from_template(stream)
                copy.time_base = stream.time_base
                for packet in _packets(source, stream, ends):
                    if not given and begins is not None:
                        if not packet.is_keyframe:
                            continue
                        if packet.pts is None or packet.pts * stream.time_base > begins:
                            return None
                    given.append(_facts(packet))
                    packet.stream = copy
                    target.mux(packet)
            _check(info, file, stream, given)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            f"{info.path} cannot be sent in pieces ({reason(error)}): put it where every worker "
            "sees it under the same path."
        ) from error
    return file.getvalue() if given else None


def _packets(source: Any, stream: Any, ends: Fraction | None) -> Iterator[Any]:
    for packet in read_packets(source, [stream]):
        if not packet.size:
            continue
        if ends is not None and packet.dts is not None and packet.dts * stream.time_base > ends:
            return
        yield packet


def _facts(packet: Any) -> tuple[Any, ...]:
    time = None if packet.pts is None else packet.pts * packet.time_base
    return packet.size, time, packet.is_keyframe


def _check(info: VideoInfo, file: io.BytesIO, stream: Any, given: list[tuple[Any, ...]]) -> None:
    """Refuse a piece that does not say what the film says."""
    with closing(av.open(io.BytesIO(file.getvalue()), "r")) as piece:
        copy: Any = piece.streams.video[0]
        here, there = copy.codec_context, stream.codec_context
        same = here.extradata == there.extradata
        same &= all(getattr(here, name) == getattr(there, name) for name in _COLOURS)
        packets = [packet for packet in read_packets(piece, [copy]) if packet.size]
    if not same or [_facts(packet) for packet in packets] != given:
        raise ValueError("its packets do not keep their times there")
