"""How long a render will take: from what this session has seen, else from a rule of thumb."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refrestore.config import RenderSettings
from refrestore.project import Project
from refrestore.project.columns import table
from refrestore.types import KEYPOINTS, Faces, Identity

FACE_CORE_SECONDS = 0.15
FRAME_CORE_SECONDS = 0.03
"""Of one core: a face, and a million pixels of output. From renders of the film of
`benchmarks/against.py` with the lite pack, on a processor with AVX2 alone."""

MOST_CORES = 8
"""More do not make it faster (`toolbox.MOST_WORKERS`)."""


class Measured:
    """How much slower or faster this machine is than the rule of thumb."""

    def __init__(self) -> None:
        self._seconds = self._expected = 0.0

    @property
    def factor(self) -> float | None:
        """Seconds needed over seconds expected so far, None before anything was made."""
        return self._seconds / self._expected if self._expected else None

    def note(self, frames: int, faces: int, seconds: float, pixels: int) -> None:
        """Remember what some work took."""
        self._seconds += seconds
        self._expected += expected(frames, faces, pixels)


def expected(frames: int, faces: int, pixels: int) -> float:
    """Return about how many seconds work takes, by the rule of thumb.

    Parameters
    ----------
    frames, faces
        How many.
    pixels
        Of one picture of the output.
    """
    from refrestore.models.runtime import available_cpus

    work = faces * FACE_CORE_SECONDS + frames * pixels / 1e6 * FRAME_CORE_SECONDS
    return work / min(available_cpus(), MOST_CORES)


@dataclass(frozen=True)
class Planned:
    """When faces are restored: seconds from the first frame, one a face, ascending."""

    times: np.ndarray[Any, np.dtype[np.float64]]

    def between(self, start: float | None, end: float | None) -> int:
        """Return how many there are in a part of the video."""
        low = 0 if start is None else int(np.searchsorted(self.times, start))
        high = len(self.times) if end is None else int(np.searchsorted(self.times, end))
        return max(0, high - low)


def _outlines(project: Project) -> dict[int, Faces]:
    """Return each track's faces with the columns that a plan looks at, and no others."""
    parts: dict[int, list[Faces]] = {}
    names = ("frame", "box", "sharpness", "pose")
    rows = project.database.read(
        "chunks",
        ", ".join(("track", *names)),
        "WHERE scan = ? ORDER BY track, first",
        (project.scan_id(),),
    )
    for track, *columns in rows:
        chunk = dict(zip(names, columns, strict=True))
        count = len(chunk["frame"])
        nothing = np.zeros(count, np.float32)
        points = np.zeros((count, KEYPOINTS, 2), np.float32)
        found = table({**chunk, "score": nothing, "keypoints": points}, track)
        parts.setdefault(track, []).append(found)
    project.check_counts({track: sum(map(len, own)) for track, own in parts.items()})
    return {track: Faces.concatenate(own) for track, own in parts.items()}


def _resolved(project: Project, identities: Sequence[Identity]) -> dict[int, float]:
    """Return what people's close-ups resolve; a linked profile is taken to show everything."""
    from refrestore.faces.quality import MOST_RESOLVED
    from refrestore.render.need import references_resolve

    used: dict[int, list[tuple[float, float]]] = {}
    for one in project.close_ups():
        if one.used and one.identity is not None:
            used.setdefault(one.identity, []).append((one.size, one.sharpness))
    resolved = {number: references_resolve(*zip(*own, strict=True)) for number, own in used.items()}
    linked = {one.id: MOST_RESOLVED for one in identities if one.profile is not None}
    return {**resolved, **linked}


class Planner:
    """Plans as a render would, once a version and scale."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._made: dict[tuple[str, int], Planned] = {}

    def planned(self, project: Project, version: str, scale: int) -> Planned:
        """Return the faces that a render would restore."""
        key = (version, scale)
        with self._mutex:
            if key not in self._made:
                self._made = {k: v for k, v in self._made.items() if k[0] == version}
                self._made[key] = _planned(project, scale)
            return self._made[key]


def _planned(project: Project, scale: int) -> Planned:
    from refrestore.render.plan import plan_tracks

    settings = RenderSettings.model_validate({"scale": scale})
    with project.database.transaction():
        faces, tracks, identities = _outlines(project), project.tracks(), project.identities()
        references = _resolved(project, identities)
    plans = plan_tracks(
        tracks,
        faces.__getitem__,
        identities,
        settings,
        references=references,
    )
    frames = [plan.faces.frame[plan.strength > 0] for plan in plans]
    every = np.concatenate([*frames, np.zeros(0, np.int64)])
    return Planned(np.sort(project.timeline().seconds_of(every)))
