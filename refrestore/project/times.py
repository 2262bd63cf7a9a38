"""When every frame of a film is shown, as its scan saw it: a small file beside a scan's pictures.

Frame indices are certain only where the whole film was read, and that was the scan. A film whose
file is not there, of a scan made by an older version, can be entered at its cuts.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from refrestore.media.entries import Entries
from refrestore.plain_file import read_plain
from refrestore.types import IntArray, Shot

TIMES = "times"
"""The file's name in the folder of a scan."""

MOST_FRAMES = 1 << 24
"""Of a film whose times are read, 150 hours: a damaged file is not unpacked without end."""

_UNIT = struct.Struct("<qq")
"""Seconds of a tick, as a fraction; after it come the ticks' differences, int64, deflated."""


def pack_times(ticks: IntArray, unit: Fraction) -> bytes:
    """Return the file of presentation times (N,) in units: constant rates take hardly any room."""
    steps = np.diff(ticks, prepend=0).astype("<i8")
    return _UNIT.pack(unit.numerator, unit.denominator) + zlib.compress(steps.tobytes())


def read_entries(path: Path, shots: Sequence[Shot]) -> Entries:
    """Return all frames of a scan's film or, where its file is missing or wrong, its cuts alone."""
    cuts = Entries.of_shots(shots)
    count = shots[-1].stop if shots else 0
    try:
        if not 0 < count <= MOST_FRAMES:
            return cuts
        stored = read_plain(path, _UNIT.size + 16 * count + 1024)
        numerator, denominator = _UNIT.unpack_from(stored)
        content = zlib.decompressobj().decompress(stored[_UNIT.size :], 8 * count + 1)
        if len(content) != 8 * count or numerator <= 0 or denominator <= 0:
            return cuts
    except (OSError, ValueError, struct.error, zlib.error):
        return cuts
    ticks: IntArray = np.cumsum(np.frombuffer(content, "<i8"), dtype=np.int64)
    every = Entries.of_all(ticks, Fraction(numerator, denominator))
    ascending = bool(np.all(np.diff(ticks) > 0))
    agreed = all(every.before(shot.first) == (shot.first, shot.start) for shot in shots)
    return every if ascending and agreed else cuts
