"""What each face gets, decided before the first frame is restored.

For every track and frame a strength in 0..1 from what the face resolves beside its references
(`render.need`), from its pose and focus and from what the user said, with hysteresis and fades in
time so that nothing pops. A face that needs nothing, or that would only be harmed, gets 0 and a
reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from refrestore.config import RenderSettings
from refrestore.render.need import known_sharpness, need, ramp, takes_references
from refrestore.restore.temporal import fade, hysteresis, smooth
from refrestore.types import DoubleArray, Faces, FloatArray, Identity, Track

Reason = Literal[
    "ignored",
    "not a face",
    "no identity",
    "too small",
    "sharp already",
    "as sharp as its references",
    "out of focus",
    "turned away",
    "brief",
]
"""Why a face is left alone."""

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
    reasons
        Per row why that face is left alone, T of them; None where it is restored.
    referenced
        Whether its references are used (`need.takes_references`).
    """

    track: int
    identity: int
    faces: Faces
    strength: FloatArray
    reason: Reason | None
    reasons: tuple[Reason | None, ...]
    referenced: bool = True

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
    references: Mapping[int, float],
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
    references
        What the references of identities resolve, by id, in pixels (`need.references_resolve`);
        identities that have none are missing.
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
        resolved = references.get(number) if settings.references else None
        referenced = takes_references(own, resolved)
        gates: list[tuple[Reason, DoubleArray]] = [
            ("too small", ramp(own.size, settings.min_face * 0.9, settings.min_face * 1.1)),
            *need(own, settings.scale, resolved if referenced else None),
            ("out of focus", focused),
            ("turned away", _turned(own)),
        ]
        strength, reason = _treat(own, identity, gates, limit)
        why = _reasons(strength, gates) if reason is None else (reason,) * len(own)
        plans.append(TrackPlan(track.id, number, own, strength, reason, why, referenced))
    return plans


def _treat(
    faces: Faces,
    identity: Identity | None,
    gates: Sequence[tuple[Reason, DoubleArray]],
    limit: float,
) -> tuple[FloatArray, Reason | None]:
    """Return the strength of each face, and why all are left alone if they are."""
    nothing: FloatArray = np.zeros(len(faces), np.float32)
    if identity is None:
        return nothing, "no identity"
    if identity.state == "ignore" or limit == 0:
        return nothing, "ignored"
    if identity.state == "not_a_face":
        return nothing, "not a face"
    if not len(faces):
        return nothing, "brief"
    raw = np.min([gate for _, gate in gates], axis=0)
    steady = np.clip(smooth(raw, faces.frame, sigma=STRENGTH_SIGMA), 0, 1)
    on = _long_runs(hysteresis(steady, enter=ENTER, leave=LEAVE), faces)
    strength = limit * fade(np.where(on, steady, 0), faces.frame, per_frame=1 / FADE_FRAMES)
    if np.any(strength > 0):
        return strength.astype(np.float32), None
    return nothing, _first([name for name, _ in gates], [gate.mean() for _, gate in gates])


def _reasons(
    strength: FloatArray, gates: Sequence[tuple[Reason, DoubleArray]]
) -> tuple[Reason | None, ...]:
    """Return why each face is left alone; None where it is restored."""
    names = [name for name, _ in gates]
    rows = np.stack([gate for _, gate in gates], 1)
    return tuple(
        None if given > 0 else _first(names, row) for given, row in zip(strength, rows, strict=True)
    )


def _first(names: Sequence[Reason], left: Iterable[float]) -> Reason:
    """Return the first of the gates that leaves less than half."""
    closed = (name for name, value in zip(names, left, strict=True) if value < 0.5)
    return next(closed, "brief")


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
    sharpness = np.concatenate([known_sharpness(table) for table in tables])
    focused = np.ones(len(frames))
    order = np.argsort(frames, kind="stable")
    starts = np.flatnonzero(np.diff(frames[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        if len(rows) > 1:
            nearer = sizes[rows] >= NEARER * sizes[rows][:, None]
            apart = np.where(nearer, sharpness[rows], 0).max(1) - sharpness[rows]
            focused[rows] = 1 - ramp(np.nan_to_num(apart), FOCUS_APART, FOCUS_FAR_APART)
    return np.split(focused, np.cumsum(lengths)[:-1])


def _turned(faces: Faces) -> DoubleArray:
    if faces.pose is None or not np.isfinite(faces.pose[:, 0]).any():
        return np.ones(len(faces))
    known = np.isfinite(faces.pose[:, 0])
    yaw = np.interp(faces.frame, faces.frame[known], faces.pose[known, 0])
    return 1 - ramp(np.abs(yaw), FRONT_YAW, PROFILE_YAW)


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
