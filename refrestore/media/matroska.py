"""Sample aspect ratio and HDR10 metadata of Matroska files.

libav's muxer writes a display size, a mastering display and light levels only from fields of
AVStream that PyAV cannot set, so they are put into the finished header here. Room for them comes
from a placeholder in the track's name. Element ids: RFC 9559.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from refrestore.media.hdr import HdrMetadata
from refrestore.types import Geometry

PLACEHOLDER = "\x7f" * 200
"""Appended to the film track's name when the header is written, taken out again below."""

_SEGMENT, _TRACKS, _CRC, _VOID = 0x18538067, 0x1654AE6B, 0xBF, 0xEC
_TRACK_ENTRY, _NAME, _VIDEO = 0xAE, 0x536E, 0xE0
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
_ASPECT_RATIO_UNIT = 3
_COLOUR, _MASTERING, _MAX_LIGHT, _AVERAGE_LIGHT = 0x55B0, 0x55D0, 0x55BC, 0x55BD
_FIRST_CHROMATICITY, _MOST_LUMINANCE, _LEAST_LUMINANCE = 0x55D1, 0x55D9, 0x55DA
_HEADER_BYTES = 1 << 24
"""Tracks lie at the start of a file; attachments come after them."""


def write_sample_aspect(path: Path, geometry: Geometry) -> None:
    """Set the display size of the track whose name ends in `PLACEHOLDER`, exactly.

    Raises
    ------
    ValueError
        The file has no such track.
    """
    _rewrite(path, lambda video: _with_display_size(video, geometry))


def write_hdr(path: Path, hdr: HdrMetadata) -> None:
    """Add HDR10 metadata to the track whose name ends in `PLACEHOLDER`.

    Raises
    ------
    ValueError
        The file has no such track.
    """
    _rewrite(path, lambda video: _with_hdr(video, hdr))


_Change = Callable[[bytes], bytes]
"""Gives another content of a track's video element."""


def _rewrite(path: Path, change: _Change) -> None:
    with path.open("r+b") as file:
        data = file.read(_HEADER_BYTES)
        for ident, start, stop in _walk(data, 0, len(data)):
            if ident != _SEGMENT:
                continue
            for child, first, last in _walk(data, start, stop):
                if child == _TRACKS:
                    file.seek(first)
                    file.write(_rewritten(data[first:last], change))
                    return
    raise ValueError(f"{path} has no tracks")


def _rewritten(tracks: bytes, change: _Change) -> bytes:
    entries = b""
    checked = found = False
    for ident, start, stop in _walk(tracks, 0, len(tracks)):
        content = tracks[start:stop]
        if ident == _CRC:
            checked = True
            continue
        if ident == _TRACK_ENTRY:
            entry = _entry(content, change)
            found |= entry != content
            content = entry
        if ident != _VOID:
            entries += _element(ident, content)
    spare = len(tracks) - len(entries) - (6 if checked else 0)
    if not found or spare < 2:
        raise ValueError("no track with room for more")
    # An eight-byte size field, or a one-byte one where there is no room for it.
    header = 9 if spare >= 9 else 2
    entries += _element(_VOID, bytes(spare - header), size_bytes=header - 1)
    if checked:
        entries = _element(_CRC, zlib.crc32(entries).to_bytes(4, "little")) + entries
    return entries


def _entry(content: bytes, change: _Change) -> bytes:
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
            result += _element(ident, change(part))
        else:
            result += _element(ident, part)
    return result


def _with_display_size(content: bytes, geometry: Geometry) -> bytes:
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


def _with_hdr(content: bytes, hdr: HdrMetadata) -> bytes:
    result, colour = b"", b""
    for ident, start, stop in _walk(content, 0, len(content)):
        if ident == _COLOUR:
            colour = content[start:stop]
        else:
            result += _element(ident, content[start:stop])
    if hdr.light is not None:
        colour += _number(_MAX_LIGHT, hdr.light[0]) + _number(_AVERAGE_LIGHT, hdr.light[1])
    mastering = b""
    for place, value in enumerate(hdr.primaries or ()):  # in the order of the elements' ids
        mastering += _float(_FIRST_CHROMATICITY + place, value)
    if hdr.luminance is not None:
        least, most = hdr.luminance
        mastering += _float(_MOST_LUMINANCE, most) + _float(_LEAST_LUMINANCE, least)
    if mastering:
        colour += _element(_MASTERING, mastering)
    return result + _element(_COLOUR, colour)


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


def _float(ident: int, value: Fraction) -> bytes:
    return _element(ident, struct.pack(">d", float(value)))
