"""What a person's close-ups show, and which looks the film needs that none of them shows.

Left and right are the picture's, as the viewer sees it: a left profile looks to the left edge of
the picture (and shows the person's own left cheek).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from refrestore.errors import ProfileError
from refrestore.faces.eyes import shut_eyes
from refrestore.faces.hull import hull_polygon
from refrestore.profiles.store import ProfileStore
from refrestore.types import FloatArray, Identity, Reference

from .project import Project
from .timing import Timeline

Pose = Literal[
    "left profile",
    "left three-quarter",
    "front",
    "right three-quarter",
    "right profile",
    "up",
    "down",
]
"""Where a face looks, left and right in the picture. `up` and `down` are of faces in front."""

POSES: tuple[Pose, ...] = get_args(Pose)

TURNED, PROFILE, TILTED = 20.0, 50.0, 15.0
"""Degrees of yaw from which a face is in three-quarter view and in profile, and of pitch from which
it looks up or down. The mesh sees a full profile at 50 degrees and less, seldom at 90."""

NEAR_YAW, NEAR_PITCH = 25.0, 20.0
"""How far, in degrees, a close-up may be from a face to be near it. Beyond, half of what the face
shows is not in the close-up, and the warp stretches the rest."""

LEAST_FACES = 12
"""Faces of a pose that are worth a word: half a second."""

SIDE_LIGHT = 0.15
"""Difference of a face's two halves in brightness, over their sum, from which the light is from the
side: one half is then a third brighter than the other."""

_IN_ORDER: tuple[Pose, ...] = (
    "right profile",
    "left profile",
    "right three-quarter",
    "left three-quarter",
    "up",
    "down",
)

_JOINED_SECONDS = 1.0
_SPANS = 3
"""Gap up to which two stretches of the film are told as one, and how many are told."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the close-ups of a person show.

    Not whether mouths are open: the mesh gives 0.05 to 0.16 of its width for shut and wide-open
    ones alike (40 close-ups of three films, by eye).

    Parameters
    ----------
    poses
        How many show each pose; every pose is there.
    eyes_shut
        How many of the film's have eyes shut, measured against the others'.
    light
        How many are lit from the picture's left, from its right, and evenly.
    """

    poses: Mapping[Pose, int]
    eyes_shut: int
    light: Mapping[Literal["left", "right", "even"], int]


@dataclass(frozen=True, slots=True)
class Gap:
    """A pose in which a person has to be restored and that no close-up is near.

    Parameters
    ----------
    pose
        Of the faces.
    faces
        How many of them.
    spans
        When, in seconds: start and end.
    close_ups
        How many show that pose all the same, none of them near these faces.
    """

    pose: Pose
    faces: int
    spans: tuple[tuple[float, float], ...]
    close_ups: int

    def sentence(self, name: str) -> str:
        """Say what is missing and what to do."""
        shown = [f"{start:.1f}-{end:.1f}" for start, end in self.spans[:_SPANS]]
        more = len(self.spans) - len(shown)
        when = ", ".join(shown) + (f" s and {more} more" if more else " s")
        what = f"Nothing near this {self.pose}" if self.close_ups else f"No {self.pose}"
        return f"{what} of {name} (needed for {self.faces} faces, {when}): add a photo."


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is missing of one person.

    Parameters
    ----------
    identity, name
        Who.
    faces
        Faces in the film whose pose is known.
    poses
        How many of them there are in each pose.
    missing
        Poses without a close-up near, the one with most faces first.
    """

    identity: int
    name: str
    faces: int
    poses: Mapping[Pose, int]
    missing: tuple[Gap, ...]

    def sentences(self) -> list[str]:
        """Say what is missing, a sentence each."""
        return [gap.sentence(self.name) for gap in self.missing]


def pose_names(pose: FloatArray) -> list[Pose]:
    """Return in which pose each face (N, 3: yaw, pitch, roll in degrees) is."""
    yaw, pitch = pose[:, 0], pose[:, 1]
    right, up = yaw > 0, pitch > 0
    named = np.select(
        [
            (abs(yaw) >= PROFILE) & right,
            abs(yaw) >= PROFILE,
            (abs(yaw) >= TURNED) & right,
            abs(yaw) >= TURNED,
            (abs(pitch) >= TILTED) & up,
            abs(pitch) >= TILTED,
        ],
        [POSES.index(name) for name in _IN_ORDER],
        POSES.index("front"),
    )
    return [POSES[number] for number in named.tolist()]


def coverage(references: Sequence[Reference]) -> Coverage:
    """Return what close-ups of one person show: an identity's or a profile's."""
    names = pose_names(_poses(references))
    sides = [_light(reference) for reference in references]
    return Coverage(
        poses={pose: names.count(pose) for pose in POSES},
        eyes_shut=int(shut_eyes(references).sum()),
        light={
            "left": sides.count("left"),
            "right": sides.count("right"),
            "even": sides.count("even"),
        },
    )


def gaps(project: Project, identity: int, store: ProfileStore | None = None) -> Gaps:
    """Return in which poses a person has to be restored and has no close-up near.

    Parameters
    ----------
    project
        A scanned project.
    identity
        Who.
    store
        Where the profile is that the person may be linked to: its close-ups count too.

    Raises
    ------
    ProjectError
        When there is no such identity.
    """
    with project.database.transaction():
        person = project.identity(identity)
        frames, faces = _faces(project, person.tracks)
        own = [(one.yaw, one.pitch) for one in project.close_ups(identity) if one.used]
        timeline = project.timeline()
    known = np.array(own, np.float32).reshape(-1, 2)
    if store is not None and person.profile is not None:
        known = np.concatenate([known, _of_profile(store, person.profile)])
    return find_gaps(person, frames, faces, known, timeline)


def find_gaps(
    person: Identity,
    frames: NDArray[np.int64],
    faces: FloatArray,
    known: FloatArray,
    timeline: Timeline,
) -> Gaps:
    """Return the gaps of a person whose faces and close-ups are known.

    Parameters
    ----------
    person
        Who.
    frames : (N,)
        In which the person's faces are.
    faces : (N, 3)
        Their yaw, pitch and roll in degrees.
    known : (M, 2)
        Yaw and pitch of the close-ups.
    timeline
        Seconds of frames.
    """
    names = np.array(pose_names(faces))
    alone = ~_near(faces[:, :2], known)
    shown = pose_names(known)
    found = [
        Gap(pose, int(here.sum()), _spans(frames[here], timeline), shown.count(pose))
        for pose in POSES
        if (here := alone & (names == pose)).sum() >= LEAST_FACES
    ]
    return Gaps(
        identity=person.id,
        name=person.name,
        faces=len(names),
        poses={pose: int((names == pose).sum()) for pose in POSES},
        missing=tuple(sorted(found, key=lambda gap: -gap.faces)),
    )


def all_gaps(
    project: Project, identity: int | None = None, store: ProfileStore | None = None
) -> list[Gaps]:
    """Return the `gaps` of one person, or of everybody who is to be restored."""
    if identity is not None:
        return [gaps(project, identity, store)]
    people = [one for one in project.identities() if one.state == "restore"]
    return [gaps(project, one.id, store) for one in people]


def _poses(references: Sequence[Reference]) -> FloatArray:
    return np.array([one.pose for one in references], np.float32).reshape(-1, 3)


def _of_profile(store: ProfileStore, name: str) -> FloatArray:
    try:
        return _poses(store.load(name).references)[:, :2]
    except ProfileError:  # a render says so; here its close-ups are just not there
        return np.zeros((0, 2), np.float32)


def _faces(project: Project, tracks: Sequence[int]) -> tuple[NDArray[np.int64], FloatArray]:
    """Return frames (N,) and poses (N, 3) of tracks, as far as they are known."""
    scan = project.scan_id()
    frames, poses = [np.zeros(0, np.int64)], [np.zeros((0, 3), np.float32)]
    for track in tracks:
        for frame, pose in project.database.read(
            "chunks",
            "frame, pose",
            "WHERE scan = ? AND track = ? AND pose IS NOT NULL",
            (scan, track),
        ):
            known = np.isfinite(pose).all(1)
            frames.append(frame[known])
            poses.append(pose[known])
    return np.concatenate(frames), np.concatenate(poses)


def _near(faces: FloatArray, known: FloatArray) -> NDArray[np.bool_]:
    """Say of each face's yaw and pitch (N, 2) whether one of (M, 2) is near."""
    near = np.zeros(len(faces), bool)
    for one in known:
        apart = np.square((faces - one) / np.array([NEAR_YAW, NEAR_PITCH], np.float32)).sum(1)
        near |= apart <= 1
    return near


def _spans(frames: NDArray[np.int64], timeline: Timeline) -> tuple[tuple[float, float], ...]:
    """Return the stretches in which frames lie, seconds."""
    seconds = timeline.seconds_of(np.unique(frames))
    ends = np.flatnonzero(np.diff(seconds) > _JOINED_SECONDS)
    starts = [0, *(ends + 1).tolist()]
    stops = [*ends.tolist(), len(seconds) - 1]
    return tuple(
        (round(float(seconds[start]), 3), round(float(seconds[stop]), 3))
        for start, stop in zip(starts, stops, strict=True)
    )


def _light(reference: Reference) -> Literal["left", "right", "even"]:
    size = reference.image.shape[0]
    inside = hull_polygon(reference.landmarks[None].astype(np.float32), size)[0] > 0
    grey = cv2.cvtColor(reference.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    rows, columns = np.nonzero(inside)
    # By the hull's own middle: of a turned head one half of the mesh is a strip.
    here = columns < np.median(columns) if len(columns) else np.zeros(0, bool)
    if not (here.any() and (~here).any()):
        return "even"
    values = grey[rows, columns]
    left, right = values[here].mean(), values[~here].mean()
    difference = float((left - right) / max(float(left + right), 1.0))
    if abs(difference) < SIDE_LIGHT:
        return "even"
    return "left" if difference > 0 else "right"
