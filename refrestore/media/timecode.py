"""Timecodes: the number of a film's first picture, as editing tools write it."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from refrestore.media.probe import VideoInfo

TAG = "timecode"
"""Metadata key by which libav reads and writes it; Matroska's is in capitals."""

_WRITTEN = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)")
_HOURS = 24


def timecode_of(source: Any, info: VideoInfo) -> str | None:
    """Return the timecode of a source's first picture: the film's, a timecode track's, the file's.

    None if there is none that libav could write again.
    """
    film = source.streams[info.stream]
    others = [stream for stream in source.streams if stream.type == "data"]
    for metadata in (film.metadata, *(other.metadata for other in others), source.metadata):
        for key, value in metadata.items():
            if key.lower() == TAG and _WRITTEN.fullmatch(value):
                return str(value)
    return None


def is_timecode_track(stream: Any) -> bool:
    """Return whether a stream is a timecode track, which muxers make themselves from the tag."""
    return stream.type == "data" and any(key.lower() == TAG for key in stream.metadata)


def without_timecode(metadata: Any) -> dict[str, str]:
    """Return metadata without the tag."""
    return {key: value for key, value in metadata.items() if key.lower() != TAG}


def advanced(timecode: str, frames: int, rate: Fraction) -> str:
    """Return the timecode so many pictures later.

    Drop-frame codes (after a semicolon or point) leave out the first numbers of each minute but
    every tenth, as SMPTE ST 12-1 says.
    """
    found = _WRITTEN.fullmatch(timecode)
    if found is None:
        raise ValueError(f"{timecode!r} is not a timecode")
    hours, minutes, seconds, number = (int(found[place]) for place in (1, 2, 3, 5))
    base = max(1, round(rate))
    dropped = 0 if found[4] == ":" else 2 * max(1, base // 30)
    passed = 60 * hours + minutes
    count = base * (60 * passed + seconds) + number - dropped * (passed - passed // 10) + frames
    ten = base * 600 - 9 * dropped
    count %= ten * 6 * _HOURS
    if dropped:
        tens, rest = divmod(count, ten)
        count += 9 * dropped * tens
        if rest >= base * 60:  # the first of each ten minutes drops none
            count += dropped * (1 + (rest - base * 60) // (base * 60 - dropped))
    total, number = divmod(count, base)
    hours, rest = divmod(total, 3600)
    return f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}{found[4]}{number:02d}"
