"""The `Faces` table as compact blobs: a chunk of rows of one track, one blob a column.

A film of two hours has some hundred thousand faces. A row each would be slow, so rows are kept in
chunks of `CHUNK` frames: a frame range is read by decoding only the chunks it touches.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refrestore.types import DENSE_LANDMARKS, EMBEDDING_SIZE, KEYPOINTS, Faces, FloatArray

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

LANDMARK_RANGE = 4.0
"""Landmarks are stored as offsets from the box centre, in face sizes, within +-this."""

LANDMARK_STEPS = 32767
"""int16: the rounding is 6e-5 of the face size, 0.06 px on a face of 1,000 px."""

ZLIB_LEVEL = 1
"""Level 6 saves 4 % more on landmarks and takes three times as long."""

_PLAIN: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
    "box": (np.dtype("<f4"), (4,)),
    "keypoints": (np.dtype("<f4"), (KEYPOINTS, 2)),
    "score": (np.dtype("<f4"), ()),
    "embedding": (np.dtype("<f2"), (EMBEDDING_SIZE,)),
    "quality": (np.dtype("<f4"), ()),
    "sharpness": (np.dtype("<f4"), ()),
    "pose": (np.dtype("<f4"), (3,)),
}


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
    for name, (kind, _) in _PLAIN.items():
        column = getattr(faces, name)
        blobs[name] = None if column is None else _deflate(column.astype(kind).tobytes())
    blobs["landmarks"] = None
    if faces.landmarks is not None:
        blobs["landmarks"] = _pack_steps(_quantise(faces.landmarks, faces.box))
    return blobs


def decode(blobs: Mapping[str, bytes | None], track: int) -> Faces:
    """Return the table whose columns `encode` packed.

    Raises
    ------
    ValueError
        When a blob is damaged.
    """
    try:
        return _decode(blobs, track)
    except zlib.error as error:
        raise ValueError(f"damaged column: {error}") from error


def decode_boxes(frame: bytes, box: bytes) -> tuple[NDArray[np.int64], FloatArray]:
    """Return frames (N,) and boxes (N, 4) of one chunk, without its other columns."""
    frames = _unpack_steps(frame, "<i4", 1)[:, 0].astype(np.int64)
    return frames, np.frombuffer(zlib.decompress(box), "<f4").reshape(-1, 4)


def decode_poses(frame: bytes, pose: bytes) -> tuple[NDArray[np.int64], FloatArray]:
    """Return frames (N,) and poses (N, 3) of one chunk, without its other columns."""
    frames = _unpack_steps(frame, "<i4", 1)[:, 0].astype(np.int64)
    return frames, np.frombuffer(zlib.decompress(pose), "<f4").reshape(-1, 3)


def pack_vector(vector: FloatArray | None) -> bytes | None:
    """Return an embedding as a float16 blob."""
    return None if vector is None else vector.astype("<f2").tobytes()


def unpack_embedding(blob: bytes | None) -> FloatArray | None:
    """Return the unit embedding in a float16 blob; rounding took it off the sphere by 1e-3."""
    if blob is None:
        return None
    vector = np.frombuffer(blob, "<f2").astype(np.float32)
    length = float(np.linalg.norm(vector))
    unit: FloatArray = vector / np.float32(length) if length > 0 else vector
    return unit


def _decode(blobs: Mapping[str, bytes | None], track: int) -> Faces:
    packed = blobs["frame"]
    if packed is None:
        raise ValueError("a chunk without frames")
    frame = _unpack_steps(packed, "<i4", 1)[:, 0].astype(np.int64)
    columns: dict[str, FloatArray | None] = {}
    for name, (kind, tail) in _PLAIN.items():
        blob = blobs[name]
        columns[name] = (
            None
            if blob is None
            else np.frombuffer(zlib.decompress(blob), kind)
            .reshape(len(frame), *tail)
            .astype(np.float32)
        )
    box, landmarks = columns["box"], blobs["landmarks"]
    if landmarks is not None and box is not None:
        steps = _unpack_steps(landmarks, "<i2", DENSE_LANDMARKS * 2)
        columns["landmarks"] = _restore(steps.reshape(len(frame), DENSE_LANDMARKS, 2), box)
    return Faces(frame=frame, track=np.full(len(frame), track, np.int64), **columns)  # type: ignore[arg-type]


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


def _unpack_steps(blob: bytes, kind: str, width: int) -> NDArray[np.signedinteger]:
    content = zlib.decompress(blob)
    item = np.dtype(kind).itemsize
    planes = np.frombuffer(content, np.uint8).reshape(item, -1)
    change = np.ascontiguousarray(planes.T).view(kind).reshape(-1, width)
    rows: NDArray[np.signedinteger] = np.cumsum(change, axis=0, dtype=kind)
    return rows


def _deflate(content: bytes) -> bytes:
    return zlib.compress(content, ZLIB_LEVEL)
