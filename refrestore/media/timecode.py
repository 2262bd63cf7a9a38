"""The timecode of a film's first picture, as files carry it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refrestore.moment import Timecode

TAG = "timecode"
"""Metadata key by which libav reads and writes it; Matroska's is in capitals."""


def timecode_in(metadata: Mapping[str, str]) -> Timecode | None:
    """Return the timecode that metadata tells, or None."""
    for key, value in metadata.items():
        if key.lower() == TAG:
            try:
                return Timecode.parse(value.replace(".", ";"))  # either marks dropped numbers
            except ValueError:
                return None
    return None


def is_timecode_track(stream: Any) -> bool:
    """Return whether a stream is a timecode track, which muxers make themselves from the tag."""
    return stream.type == "data" and any(key.lower() == TAG for key in stream.metadata)


def without_timecode(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata without the tag."""
    return {key: value for key, value in metadata.items() if key.lower() != TAG}
