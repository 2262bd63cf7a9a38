"""How a track and a close-up of it stand in a project's tables."""

from __future__ import annotations

from refrestore.types import Faces, Reference, Track

from . import columns
from .database import Database


def store_track(database: Database, scan: int, track: Track, faces: Faces) -> None:
    """Write a track of a scan with its faces, one row a frame, frames ascending."""
    with database.transaction(write=True):
        database.execute(
            "INSERT INTO tracks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (
                scan,
                int(track.id),
                int(track.shot),
                int(track.first),
                int(track.stop),
                len(faces),
                columns.pack_vector(track.embedding),
                float(track.embedding_weight),
                float(track.quality),
                float(track.size),
                int(track.weak),
            ),
        )
        for chunk in columns.chunks(faces):
            blobs = columns.encode(chunk)
            names = ", ".join(blobs)
            database.execute(
                f"INSERT INTO chunks (scan, track, first, stop, {names}) "
                f"VALUES ({', '.join('?' * (len(blobs) + 4))})",
                (
                    scan,
                    int(track.id),
                    int(chunk.frame[0]),
                    int(chunk.frame[-1]) + 1,
                    *blobs.values(),
                ),
            )


_COPIED = "frame, landmarks, embedding, pose, sharpness, quality, native_size, source"


def store_reference(
    database: Database, scan: int, track: int, file: str, reference: Reference
) -> None:
    """Write a close-up of a scan's track, whose picture is in a file of the scan's folder."""
    database.execute(
        f"INSERT INTO reference_crops (scan, track, file, {_COPIED}) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            scan,
            int(track),
            file,
            None if reference.frame is None else int(reference.frame),
            reference.landmarks.astype("<f4").tobytes(),
            columns.pack_vector(reference.embedding),
            reference.pose.astype("<f4").tobytes(),
            float(reference.sharpness),
            float(reference.quality),
            float(reference.native_size),
            reference.source,
        ),
    )


def copy_reference(database: Database, number: int, scan: int, track: int, file: str) -> None:
    """Write a close-up once more, as one of another scan's track."""
    database.execute(
        f"INSERT INTO reference_crops (scan, track, file, {_COPIED}) "
        f"SELECT ?, ?, ?, {_COPIED} FROM reference_crops WHERE id = ?",
        (scan, track, file, number),
    )
