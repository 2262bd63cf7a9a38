"""The `Faces` table as compact blobs: a chunk of rows of one track, one blob a column.

A film of two hours has some hundred thousand faces. A row each would be slow, so rows are kept in
chunks of `CHUNK` frames: a frame range is read by decoding only the chunks it touches.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refrestore.types import DENSE_LANDMARKS, EMBEDDING_SIZE, KEYPOINTS, Faces, FloatArray

from .damage import DamageError

CHUNK = 128
"""Frames a chunk spans at most: four to five seconds, about 100 KiB with landmarks."""

COLUMNS = (
    "frame",
    "box",
    "keypoints",
    "score",
    "landmarks",
    "embedding",
    "quality",
    "sharpness",
    "pose",
)
"""Columns of the table that are stored; `track` is the key of the row."""

REQUIRED = ("frame", "box", "keypoints", "score")
"""Those that every table has."""

LANDMARK_RANGE = 4.0
"""Landmarks are stored as offsets from the box centre, in face sizes, within +-this."""

LANDMARK_STEPS = 32767
"""int16: the rounding is 6e-5 of the face size, 0.06 px on a face of 1,000 px."""

ZLIB_LEVEL = 1
"""Level 6 saves 4 % more on landmarks and takes three times as long."""

PLAIN: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
    "box": (np.dtype("<f4"), (4,)),
    "keypoints": (np.dtype("<f4"), (KEYPOINTS, 2)),
    "score": (np.dtype("<f4"), ()),
    "embedding": (np.dtype("<f2"), (EMBEDDING_SIZE,)),
    "quality": (np.dtype("<f4"), ()),
    "sharpness": (np.dtype("<f4"), ()),
    "pose": (np.dtype("<f4"), (3,)),
}
"""Type and shape of a row of the columns that are stored as they are."""

_UNKNOWN_ALLOWED = frozenset({"embedding", "quality", "sharpness", "pose"})
"""Columns with NaN where nothing was measured."""

_LARGEST = 1e6
"""No picture is as wide as this, nothing measured as large."""


def chunks(faces: Faces) -> Iterator[Faces]:
    """Yield the rows in stored portions; frames must ascend."""
    start = 0
    while start < len(faces):
        stop = int(np.searchsorted(faces.frame, faces.frame[start] + CHUNK))
        yield faces[start:stop]
        start = stop


def encode(faces: Faces) -> dict[str, bytes | None]:
    """Return one blob a column, None for a column the table does not have.

    Embeddings are rounded to float16 and landmarks to 6e-5 of the face size; everything else is
    kept exactly.
    """
    blobs: dict[str, bytes | None] = {"frame": _pack_steps(faces.frame[:, None].astype("<i4"))}
    for name, (kind, _) in PLAIN.items():
        column = getattr(faces, name)
        blobs[name] = None if column is None else _deflate(column.astype(kind).tobytes())
    blobs["landmarks"] = None
    if faces.landmarks is not None:
        blobs["landmarks"] = _pack_steps(_quantise(faces.landmarks, faces.box))
    return blobs


def unpack_frames(value: object) -> NDArray[np.int64]:
    """Return the frames (N,) of a chunk.

    Raises
    ------
    DamageError
        When they cannot be right, as all that follows.
    """
    frames = _unpack_steps(value, "<i4", 1)[:, 0].astype(np.int64)
    if not len(frames) or frames[0] < 0 or (np.diff(frames) <= 0).any():
        raise DamageError("its frames do not ascend")
    return frames


def unpacker(name: str) -> Callable[[object], FloatArray | None]:
    """Return what reads a column of `PLAIN`, (N, ...), or None where there is none."""
    kind, tail = PLAIN[name]

    def unpack(value: object) -> FloatArray | None:
        if value is None:
            return None
        row = kind.itemsize * math.prod(tail)
        rows = np.frombuffer(_inflate(value, row), kind).reshape(-1, *tail).astype(np.float32)
        known = rows[~np.isnan(rows)] if name in _UNKNOWN_ALLOWED else rows
        if not (np.abs(known) <= _LARGEST).all():
            raise DamageError("it holds what cannot be measured")
        return rows

    return unpack


def unpack_landmark_steps(value: object) -> NDArray[np.int16] | None:
    """Return landmarks (N, 468, 2) in steps of the face's size, or None where there are none."""
    if value is None:
        return None
    steps = _unpack_steps(value, "<i2", DENSE_LANDMARKS * 2)
    return steps.reshape(-1, DENSE_LANDMARKS, 2).astype(np.int16)


def check_chunk(chunk: Mapping[str, Any]) -> None:
    """Refuse a chunk whose columns, as far as they were read, do not belong together."""
    frame = chunk.get("frame")
    if frame is None:
        return
    for name in COLUMNS:
        column = chunk.get(name)
        if column is not None and len(column) != len(frame):
            raise DamageError(f"{name} is of {len(column)} faces, its frames of {len(frame)}")
    for name in REQUIRED:
        if name in chunk and chunk[name] is None:
            raise DamageError(f"{name} is missing")
    if "first" in chunk and (chunk["first"], chunk["stop"]) != (frame[0], frame[-1] + 1):
        raise DamageError("its frames are others than it says")


def table(chunk: Mapping[str, Any], track: int) -> Faces:
    """Return the table of a track's chunk that was read; columns that were not are None."""
    box, steps = chunk["box"], chunk.get("landmarks")
    known = {name: chunk.get(name) for name in PLAIN}
    return Faces(
        frame=chunk["frame"],
        track=np.full(len(chunk["frame"]), track, np.int64),
        landmarks=None if steps is None else _restore(steps, box),
        **known,  # type: ignore[arg-type]
    )


def pack_vector(vector: FloatArray | None) -> bytes | None:
    """Return an embedding as a float16 blob."""
    return None if vector is None else vector.astype("<f2").tobytes()


def _quantise(landmarks: FloatArray, box: FloatArray) -> NDArray[np.int16]:
    centre, size = _frame_of_reference(box)
    known = np.isfinite(landmarks.sum(axis=(1, 2)))
    offset = np.where(known[:, None, None], (landmarks - centre) / size, 0) / LANDMARK_RANGE
    steps = np.rint(np.clip(offset, -1, 1) * LANDMARK_STEPS).astype("<i2")
    steps[~known] = -LANDMARK_STEPS - 1
    return steps.reshape(len(landmarks), -1)


def _restore(steps: NDArray[np.int16], box: FloatArray) -> FloatArray:
    centre, size = _frame_of_reference(box)
    offset = steps.astype(np.float64) * (LANDMARK_RANGE / LANDMARK_STEPS)
    landmarks: FloatArray = (offset * size + centre).astype(np.float32)
    landmarks[(steps == -LANDMARK_STEPS - 1).all(axis=(1, 2))] = np.nan
    return landmarks


def _frame_of_reference(box: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    corners = box.astype(np.float64)
    centre = (corners[:, :2] + corners[:, 2:]) / 2
    size = np.maximum((corners[:, 2:] - corners[:, :2]).max(axis=1), 1.0)
    return centre[:, None, :], size[:, None, None]


def _pack_steps(rows: NDArray[np.signedinteger]) -> bytes:
    """Deflate whole numbers as differences in time: smooth motion leaves mostly small ones."""
    change = rows.copy()
    change[1:] -= rows[:-1]  # wraps around; so does the sum that undoes it
    # Equal bytes of all numbers side by side: high bytes are nearly all 0 or 255.
    planes = np.frombuffer(change.tobytes(), np.uint8).reshape(-1, rows.itemsize).T
    return _deflate(planes.tobytes())


def _unpack_steps(value: object, kind: str, width: int) -> NDArray[np.signedinteger]:
    item = np.dtype(kind).itemsize
    content = _inflate(value, item * width)
    planes = np.frombuffer(content, np.uint8).reshape(item, -1)
    change = np.ascontiguousarray(planes.T).view(kind).reshape(-1, width)
    rows: NDArray[np.signedinteger] = np.cumsum(change, axis=0, dtype=kind)
    return rows


def _inflate(value: object, row: int) -> bytes:
    """Return what `_deflate` packed: whole rows of so many bytes, no more than a chunk has."""
    if not isinstance(value, bytes):
        raise DamageError("it holds no packed column")
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(value, CHUNK * row + 1)
    except zlib.error as error:
        raise DamageError("it cannot be unpacked") from error
    if not unpacking.eof or not content or len(content) % row or len(content) > CHUNK * row:
        raise DamageError("it has another size than it should")
    return content


def _deflate(content: bytes) -> bytes:
    return zlib.compress(content, ZLIB_LEVEL)
