"""Sample aspect ratio of Matroska files.

libav's muxer writes a display size only from a field of AVStream that PyAV cannot set, so it is
put into the finished header here. Room for it comes from a placeholder in the track's name. Element
ids: RFC 9559.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from refrestore.types import Geometry

PLACEHOLDER = "\x7f" * 48
"""Appended to the film track's name when the header is written, taken out again below."""

_SEGMENT, _TRACKS, _CRC, _VOID = 0x18538067, 0x1654AE6B, 0xBF, 0xEC
_TRACK_ENTRY, _NAME, _VIDEO = 0xAE, 0x536E, 0xE0
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
_ASPECT_RATIO_UNIT = 3
_HEADER_BYTES = 1 << 24
"""Tracks lie at the start of a file; attachments come after them."""


def write_sample_aspect(path: Path, geometry: Geometry) -> None:
    """Set the display size of the track whose name ends in `PLACEHOLDER`, exactly.

    Raises
    ------
    ValueError
        The file has no such track.
    """
    with path.open("r+b") as file:
        data = file.read(_HEADER_BYTES)
        for ident, start, stop in _walk(data, 0, len(data)):
            if ident != _SEGMENT:
                continue
            for child, first, last in _walk(data, start, stop):
                if child == _TRACKS:
                    file.seek(first)
                    file.write(_rewritten(data[first:last], geometry))
                    return
    raise ValueError(f"{path} has no tracks")


def _rewritten(tracks: bytes, geometry: Geometry) -> bytes:
    entries = b""
    checked = found = False
    for ident, start, stop in _walk(tracks, 0, len(tracks)):
        content = tracks[start:stop]
        if ident == _CRC:
            checked = True
            continue
        if ident == _TRACK_ENTRY:
            entry = _entry(content, geometry)
            found |= entry != content
            content = entry
        if ident != _VOID:
            entries += _element(ident, content)
    spare = len(tracks) - len(entries) - (6 if checked else 0)
    if not found or spare < 2:
        raise ValueError("no track to write the display size into")
    # An eight-byte size field, or a one-byte one where there is no room for it.
    header = 9 if spare >= 9 else 2
    entries += _element(_VOID, bytes(spare - header), size_bytes=header - 1)
    if checked:
        entries = _element(_CRC, zlib.crc32(entries).to_bytes(4, "little")) + entries
    return entries


def _entry(content: bytes, geometry: Geometry) -> bytes:
    parts = [(ident, content[start:stop]) for ident, start, stop in _walk(content, 0, len(content))]
    placeholder = PLACEHOLDER.encode()
    if not any(ident == _NAME and part.endswith(placeholder) for ident, part in parts):
        return content
    result = b""
    for ident, part in parts:
        if ident == _NAME:
            name = part.removesuffix(placeholder)
            result += _element(ident, name) if name else b""
        elif ident == _VIDEO:
            result += _element(ident, _video(part, geometry))
        else:
            result += _element(ident, part)
    return result


def _video(content: bytes, geometry: Geometry) -> bytes:
    drop = {_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT}
    kept = b"".join(
        _element(ident, content[start:stop])
        for ident, start, stop in _walk(content, 0, len(content))
        if ident not in drop
    )
    wide = geometry.width * geometry.sample_aspect
    if wide.denominator == 1:
        return kept + _number(_DISPLAY_WIDTH, int(wide)) + _number(_DISPLAY_HEIGHT, geometry.height)
    ratio = Fraction(wide, geometry.height)
    return (
        kept
        + _number(_DISPLAY_WIDTH, ratio.numerator)
        + _number(_DISPLAY_HEIGHT, ratio.denominator)
        + _number(_DISPLAY_UNIT, _ASPECT_RATIO_UNIT)
    )


def _walk(data: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield id, start and end of the content of each element."""
    while position < end:
        id_bytes = _length(data[position])
        ident = int.from_bytes(data[position : position + id_bytes], "big")
        position += id_bytes
        size_bytes = _length(data[position])
        mask = (1 << (7 * size_bytes)) - 1
        size = int.from_bytes(data[position : position + size_bytes], "big") & mask
        position += size_bytes
        stop = end if size == mask else min(end, position + size)  # all ones: size unknown
        yield ident, position, stop
        position = stop


def _length(first: int) -> int:
    if not first:
        raise ValueError("not an EBML file")
    return 9 - first.bit_length()


def _element(ident: int, content: bytes, *, size_bytes: int | None = None) -> bytes:
    if size_bytes is None:
        # All ones would mean "unknown", hence +1.
        size_bytes = -(-(len(content) + 1).bit_length() // 7)
    size = len(content) | 1 << (7 * size_bytes)
    head = ident.to_bytes((ident.bit_length() + 7) // 8, "big")
    return head + size.to_bytes(size_bytes, "big") + content


def _number(ident: int, value: int) -> bytes:
    return _element(ident, value.to_bytes((value.bit_length() + 7) // 8, "big"))
