"""What may stand in a project's tables: every value that is read comes through here.

Nothing a damaged file holds is trusted: types, sizes of blobs, ranges, names of files. What the
tables say of each other is checked by those who read them together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from refrestore.types import DENSE_LANDMARKS, EMBEDDING_SIZE, FloatArray

from . import columns
from .damage import DamageError
from .scan_settings import unpack_settings
from .treated import unpack_treatment
from .values import finite, fraction, number_in, optional, text, whole

Check = Callable[[Any], Any]
"""Returns the value as it is used, or raises `DamageError`."""

MOST_FRAMES = 2**31 - 1
"""Frame indices are stored in 32 bits."""

MOST_SCANS = 2**31 - 1
MOST_IDS = 2**53
"""Whole numbers that a script's JSON reader takes exactly."""

CROP_FILE = re.compile(r"references/[0-9]{6,}\.png")
"""A close-up's picture, in the folder of its scan and nowhere else."""

SHORT, LONG = 300, 20_000
"""Longest texts: of networks and times, and of places that pictures are from."""


def _vector(kind: str, *shape: int) -> Check:
    length = int(np.prod(shape)) * np.dtype(kind).itemsize

    def check(value: Any) -> FloatArray:
        if not isinstance(value, bytes) or len(value) != length:
            raise DamageError(f"it has not the {length} bytes it should have")
        numbers = np.frombuffer(value, kind).astype(np.float32)
        if not np.isfinite(numbers).all():
            raise DamageError("it holds what is no number")
        return numbers.reshape(shape)

    return check


def _embedding(value: Any) -> FloatArray:
    """Return a unit vector; rounding took it off the sphere by 1e-3."""
    vector: FloatArray = _vector("<f2", EMBEDDING_SIZE)(value)
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 0 else vector


def _crop_file(value: Any) -> str:
    name = text(SHORT)(value)
    if not CROP_FILE.fullmatch(name):
        raise DamageError("it is no name of a close-up's picture")
    return name


def _flag(value: Any) -> bool:
    return bool(whole(0, 1)(value))


_SCAN = whole(1, MOST_SCANS)
_FRAME, _STOP = whole(0, MOST_FRAMES - 1), whole(1, MOST_FRAMES)
_ID = whole(0, MOST_IDS)
_SHARE = finite(-1e6, 1e6)
"""Qualities, weights, sizes: whatever it is, a number that can be reckoned with."""

TABLES: Mapping[str, Mapping[str, Check]] = MappingProxyType(
    {
        "meta": {"key": text(SHORT), "value": text(10 * LONG)},
        "scans": {
            "id": _SCAN,
            "settings": unpack_settings,
            "recogniser": text(SHORT),
            "started": text(SHORT),
            "frames": optional(whole(0, MOST_FRAMES)),
            "recogniser_digest": text(SHORT),
            "treatment": unpack_treatment,
        },
        "shots": {
            "scan": _SCAN,
            "number": _ID,
            "first": _FRAME,
            "stop": _STOP,
            "start": fraction,
        },
        "tracks": {
            "scan": _SCAN,
            "id": _ID,
            "shot": _ID,
            "first": _FRAME,
            "stop": _STOP,
            "faces": whole(1, MOST_FRAMES),
            "embedding": optional(_embedding),
            "embedding_weight": _SHARE,
            "quality": _SHARE,
            "size": finite(0, 1e6),
            "weak": _flag,
            "identity": optional(whole(1, MOST_IDS)),
        },
        "chunks": {
            "scan": _SCAN,
            "track": _ID,
            "first": _FRAME,
            "stop": _STOP,
            "frame": columns.unpack_frames,
            **{name: columns.unpacker(name) for name in columns.PLAIN},
            "landmarks": columns.unpack_landmark_steps,
        },
        "reference_crops": {
            "id": _ID,
            "scan": _SCAN,
            "track": _ID,
            "file": _crop_file,
            "frame": optional(_FRAME),
            "landmarks": _vector("<f4", DENSE_LANDMARKS, 2),
            "embedding": _embedding,
            "pose": _vector("<f4", 3),
            "sharpness": _SHARE,
            "quality": _SHARE,
            "native_size": finite(0, 1e6),
            "source": text(LONG),
        },
        "log": {
            "id": whole(1, MOST_IDS),
            "scan": whole(0, MOST_SCANS),
            "time": text(SHORT),
            "action": text(SHORT),
            "payload": text(math.inf),
        },
    }
)
"""Columns of each table and what reads their values."""

KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "meta": ("key",),
        "scans": ("id",),
        "shots": ("number",),
        "tracks": ("id",),
        "chunks": ("track", "first"),
        "reference_crops": ("id",),
        "log": ("id",),
    }
)
"""What names a row of a table to people."""


def read_row(table: str, names: Sequence[str], values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the values of a row's columns as they are used.

    Raises
    ------
    DamageError
        When one of them cannot be right; names the table, the row and the column.
    """
    checks = TABLES[table]
    name = names[0]
    row: dict[str, Any] = {}
    try:
        for name, value in zip(names, values, strict=True):
            row[name] = checks[name](value)
    except DamageError as error:
        where = _label(table, names, values)
        raise DamageError(f"{table}{where}, {name}: {error}") from error
    try:
        if "first" in row and "stop" in row and row["first"] >= row["stop"]:
            raise DamageError("it ends before it begins")
        if table == "chunks":
            columns.check_chunk(row)
    except DamageError as error:
        raise DamageError(f"{table}{_label(table, names, values)}: {error}") from error
    return tuple(row.values())


def meta_number(key: str, value: Any) -> int:
    """Return a setting of the file that is a whole number: a scan, or the next identity.

    Raises
    ------
    DamageError
        When it is none.
    """
    try:
        if key == "scan":
            return number_in(value, 0, MOST_SCANS)
        return number_in(value, 1, MOST_IDS)
    except DamageError as error:
        raise DamageError(f"meta, {key}: {error}") from error


def _label(table: str, names: Sequence[str], values: Sequence[Any]) -> str:
    row = dict(zip(names, values, strict=True))
    known = [
        f"{name} {row[name]}" for name in KEYS[table] if isinstance(row.get(name), int | float)
    ]
    return f" ({', '.join(known)})" if known else ""
