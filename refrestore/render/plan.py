"""What each face gets, decided before the first frame is restored.

For every track and frame a strength in 0..1 from the face's size, sharpness and pose and from
what the user said, with hysteresis and fades in time so that nothing pops. A face that needs
nothing, or that would only be harmed, gets 0 and a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from refrestore.config import RenderSettings
from refrestore.restore.temporal import fade, hysteresis, smooth
from refrestore.types import DoubleArray, Faces, FloatArray, Identity, Track

Reason = Literal[
    "ignored",
    "not a face",
    "no identity",
    "too small",
    "sharp already",
    "out of focus",
    "turned away",
    "brief",
]
"""Why a face is left alone."""

SHARP_SIZE_FULL, SHARP_SIZE_NONE = 112.0, 208.0
"""A sharp face up to the first size (display pixels, at scale 1) is restored fully, above the
second not at all: its 512-px crop (about 1.7 face sizes wide) then holds over two thirds of the
detail a restored crop could, and a restorer would repaint what is already the person."""

BLURRED_SHARPNESS, CLEAR_SHARPNESS = 0.35, 0.70
"""Sharpness (faces.quality) below which a face of any size needs help, and above which its size
alone decides: a face enlarged twofold has about 0.65, one blurred by a sigma of 1 px 0.5."""

NEARER = 1.3
"""A face this many times larger is nearer to the camera."""

FOCUS_APART, FOCUS_FAR_APART = 0.4, 0.6
"""By how much a nearer face in the same picture must be sharper for the one behind to count as out
of focus. Both are measured at their own size, so a small face is not called blurred for being
small; in a film that is soft all over nobody is out of focus."""

FRONT_YAW, PROFILE_YAW = 60.0, 80.0
"""Degrees of yaw between which strength fades out: beyond, half of the mesh is a guess."""

ENTER, LEAVE = 0.15, 0.05
"""Hysteresis of the strength: a run must reach the first and ends below the second."""

FADE_FRAMES = 8
"""Frames over which a strength may go from 0 to 1; at 25 per second a third of a second."""

STRENGTH_SIGMA = 4.0
"""Smoothing of strengths over time, frames."""

NOBODY = -1
"""Identity of a track that belongs to none."""

SHORTEST_RUN = 4
"""Runs of fewer frames are left alone: a face that sharpens for an instant is a flash."""


@dataclass(frozen=True, eq=False)
class TrackPlan:
    """One track's treatment.

    Parameters
    ----------
    track, identity
        Ids in the project; identity `NOBODY` where the track belongs to nobody.
    faces : Faces
        Its T rows, ascending frames.
    strength : (T,) float32
        0..1, already limited by the settings.
    reason
        Why it is left alone, where `strength` is 0 throughout; else None.
    focused : (T,)
        0 where it is out of focus behind a nearer face, else up to 1.
    """

    track: int
    identity: int
    faces: Faces
    strength: FloatArray
    reason: Reason | None
    focused: DoubleArray

    @property
    def restored_frames(self) -> int:
        """How many of its frames get any restoration."""
        return int(np.count_nonzero(self.strength))


def plan_tracks(
    tracks: Sequence[Track],
    faces_of: Callable[[int], Faces],
    identities: Sequence[Identity],
    settings: RenderSettings,
    *,
    strengths: Mapping[int, float] | None = None,
) -> list[TrackPlan]:
    """Return the treatment of every track.

    Parameters
    ----------
    tracks, identities
        Of the project, after the user's edits.
    faces_of
        Gives a track's rows by its id, ascending frames. Embeddings and landmarks are not kept.
    settings
        Gates and the upper limit of strength.
    strengths
        Limits per identity id, 0..1, in the place of the identities' own.
    """
    owner = {track: identity for identity in identities for track in identity.tracks}
    limits = strengths or {}
    tables = [faces_of(track.id).with_columns(embedding=None, landmarks=None) for track in tracks]
    focus = [np.ones(len(table)) for table in tables] if settings.unfocused else _focus(tables)
    plans = []
    for track, own, focused in zip(tracks, tables, focus, strict=True):
        identity = owner.get(track.id)
        number = identity.id if identity else NOBODY
        own_limit = 1.0 if identity is None else identity.strength
        limit = settings.strength * limits.get(number, own_limit)
        strength, reason = _treat(own, identity, settings, limit, focused)
        plans.append(TrackPlan(track.id, number, own, strength, reason, focused))
    return plans


def _treat(
    faces: Faces,
    identity: Identity | None,
    settings: RenderSettings,
    limit: float,
    focused: DoubleArray,
) -> tuple[FloatArray, Reason | None]:
    nothing: FloatArray = np.zeros(len(faces), np.float32)
    if identity is None:
        return nothing, "no identity"
    if identity.state == "ignore" or limit == 0:
        return nothing, "ignored"
    if identity.state == "not_a_face":
        return nothing, "not a face"
    gates = _gates(faces, settings, focused)
    raw = np.prod([gate for _, gate in gates], axis=0) if len(faces) else nothing
    steady = np.clip(smooth(raw, faces.frame, sigma=STRENGTH_SIGMA), 0, 1)
    on = _long_runs(hysteresis(steady, enter=ENTER, leave=LEAVE), faces)
    strength = limit * fade(np.where(on, steady, 0), faces.frame, per_frame=1 / FADE_FRAMES)
    if np.any(strength > 0):
        return strength.astype(np.float32), None
    means = [(float(np.mean(gate)), name) for name, gate in gates] if len(faces) else []
    lowest, name = min(means, default=(1.0, "brief"))
    return nothing, name if lowest < 0.5 else "brief"


def _gates(
    faces: Faces, settings: RenderSettings, focused: DoubleArray
) -> list[tuple[Reason, DoubleArray]]:
    """Return what speaks against restoring each face, with how much of it that leaves, (N,)."""
    return [
        ("too small", _ramp(faces.size, settings.min_face * 0.9, settings.min_face * 1.1)),
        ("sharp already", need(faces, settings.scale)),
        ("out of focus", focused),
        ("turned away", _turned(faces)),
    ]


def reasons(plan: TrackPlan, settings: RenderSettings) -> list[Reason | None]:
    """Return per row of a plan why that face is left alone; None where it is restored."""
    if plan.reason is not None:
        return [plan.reason] * len(plan.faces)
    names, values = zip(*_gates(plan.faces, settings, plan.focused), strict=True)
    gates = np.stack(values, 1)
    lowest = gates.argmin(1)
    return [
        None if strength > 0 else names[gate] if row[gate] < 0.5 else "brief"
        for strength, gate, row in zip(plan.strength, lowest, gates, strict=True)
    ]


def need(faces: Faces, scale: int) -> DoubleArray:
    """Return 0..1, (N,): how far each face is from the detail that the output's size can show."""
    by_size = 1 - _ramp(faces.size / scale, SHARP_SIZE_FULL, SHARP_SIZE_NONE)
    if faces.sharpness is None or not np.isfinite(faces.sharpness).any():
        return by_size
    by_blur = 1 - _ramp(_sharpness(faces), BLURRED_SHARPNESS, CLEAR_SHARPNESS)
    return np.maximum(by_size, by_blur)


def _sharpness(faces: Faces) -> DoubleArray:
    """Return the sharpness of every row, (N,), between those that were judged; NaN if none was."""
    known = np.isfinite(faces.sharpness) if faces.sharpness is not None else np.zeros(0, bool)
    if faces.sharpness is None or not known.any():
        return np.full(len(faces), np.nan)
    return np.interp(faces.frame, faces.frame[known], faces.sharpness[known])


def _focus(tables: Sequence[Faces]) -> list[DoubleArray]:
    """Return per face how far it is in the focus that the nearest faces of its picture are in.

    Background faces out of focus are meant to be: a crisp one behind a blurred shoulder looks
    wrong. A face alone in the picture, or the nearest, always counts as in focus.
    """
    lengths = [len(table) for table in tables]
    if not sum(lengths):
        return [np.ones(length) for length in lengths]
    frames = np.concatenate([table.frame for table in tables])
    sizes = np.concatenate([table.size for table in tables]).astype(np.float64)
    sharpness = np.concatenate([_sharpness(table) for table in tables])
    focused = np.ones(len(frames))
    order = np.argsort(frames, kind="stable")
    starts = np.flatnonzero(np.diff(frames[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        if len(rows) > 1:
            nearer = sizes[rows] >= NEARER * sizes[rows][:, None]
            apart = np.where(nearer, sharpness[rows], 0).max(1) - sharpness[rows]
            focused[rows] = 1 - _ramp(np.nan_to_num(apart), FOCUS_APART, FOCUS_FAR_APART)
    return np.split(focused, np.cumsum(lengths)[:-1])


def _turned(faces: Faces) -> DoubleArray:
    if faces.pose is None or not np.isfinite(faces.pose[:, 0]).any():
        return np.ones(len(faces))
    known = np.isfinite(faces.pose[:, 0])
    yaw = np.interp(faces.frame, faces.frame[known], faces.pose[known, 0])
    return 1 - _ramp(np.abs(yaw), FRONT_YAW, PROFILE_YAW)


def _ramp(values: NDArray[np.floating], low: float, high: float) -> DoubleArray:
    """Return 0 below `low`, 1 above `high`, smooth between (Hermite)."""
    t = np.clip((np.asarray(values, dtype=np.float64) - low) / (high - low), 0, 1)
    result: DoubleArray = t * t * (3 - 2 * t)
    return result


def _long_runs(on: NDArray[np.bool_], faces: Faces) -> NDArray[np.bool_]:
    """Drop runs of fewer than `SHORTEST_RUN` frames, unless the track itself is that short."""
    kept = on.copy()
    if len(faces) < SHORTEST_RUN:
        return kept
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.view(np.int8), [0]])))
    for start, stop in edges.reshape(-1, 2):
        if stop - start < SHORTEST_RUN:
            kept[start:stop] = False
    return kept
