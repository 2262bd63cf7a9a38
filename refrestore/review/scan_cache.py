"""What a scan found, kept in memory for as long as it is the current one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from refrestore.faces.network_id import NetworkId
from refrestore.project import Project, Timeline
from refrestore.project.scan_folder import scan_folder
from refrestore.types import FloatArray, Shot, Track

Poses = tuple[NDArray[np.int64], FloatArray]
"""Frames (N,) and yaw, pitch, roll (N, 3) in degrees."""


@dataclass(frozen=True, eq=False)
class CloseUpFile:
    """Where a close-up's picture is."""

    track: int
    file: str


class ScanCache:
    """A scan, to which only drawn faces are ever added. Read inside one transaction of the project.

    Parameters
    ----------
    project
        A project; its current scan is read.
    """

    def __init__(self, project: Project) -> None:
        info = project.scan_info()
        self.project = project
        self.scan = 0 if info is None else info.id
        self.info = info
        self.network = NetworkId() if info is None else info.network
        self.timeline: Timeline = project.timeline()
        self.shots: list[Shot] = project.shots()
        self.entries = project.entries()
        self.tracks: dict[int, Track] = {track.id: track for track in project.tracks()}
        self.counts: dict[int, int] = dict(
            project.database.read("tracks", "id, faces", "WHERE scan = ?", (self.scan,))
        )
        self.folder = scan_folder(project.folder, self.scan)
        ids = list(self.tracks)
        first = np.array([self.tracks[i].first for i in ids], np.int64)
        stop = np.array([self.tracks[i].stop for i in ids], np.int64)
        self._spans = dict(
            zip(
                ids,
                zip(
                    self.timeline.seconds_of(first).tolist(),
                    self.timeline.seconds_of(stop).tolist(),
                    strict=True,
                ),
                strict=True,
            )
        )

    def span(self, track: int) -> tuple[float, float]:
        """Return when a track begins and ends, seconds."""
        return self._spans[track]

    @cached_property
    def thumbnails(self) -> frozenset[int]:
        """Tracks that have a picture."""
        folder = self.folder / "thumbnails"
        names = [path.stem for path in folder.glob("*.jpg")] if folder.is_dir() else []
        return frozenset(int(name) for name in names if name.isdigit())

    @cached_property
    def close_up_files(self) -> dict[int, CloseUpFile]:
        """Pictures of close-ups by their id."""
        rows = self.project.database.read(
            "reference_crops", "id, track, file", "WHERE scan = ?", (self.scan,)
        )
        return {number: CloseUpFile(track, file) for number, track, file in rows}

    @cached_property
    def poses(self) -> dict[int, Poses]:
        """Frames and poses of each track's faces, as far as they are known."""
        parts: dict[int, list[Poses]] = {}
        for track, frame, pose in self.project.database.read(
            "chunks",
            "track, frame, pose",
            "WHERE scan = ? AND pose IS NOT NULL ORDER BY track, first",
            (self.scan,),
        ):
            known = np.isfinite(pose).all(1)
            parts.setdefault(track, []).append((frame[known], pose[known]))
        return {
            track: (np.concatenate([f for f, _ in own]), np.concatenate([p for _, p in own]))
            for track, own in parts.items()
        }
