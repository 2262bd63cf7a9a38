"""What would help a person of whom a film has no close-up, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from refrestore.faces.quality import MOST_RESOLVED, resolved_size
from refrestore.project import Project
from refrestore.project.gaps import Pose, pose_names
from refrestore.render.need import CLEARLY_SHARPER, UNJUDGED_SHARPNESS
from refrestore.types import DoubleArray, FloatArray, Identity

if TYPE_CHECKING:  # the page's server needs neither them nor torch
    from refrestore.render.people import People
    from refrestore.render.plan import TrackPlan

FEWEST, ENOUGH = 3, 5
"""Photos that are asked for: from three on a recogniser's mean is a person's and not a photo's, and
a face is restored from about five references."""

SMALLEST_PHOTO = 64.0
"""Face size in pixels below which no photo is taken (`scan.photos`)."""

_STEP = 10
"""Pixels that sizes are told in."""

_COMMON = 0.25
"""Share of a person's faces from which on a pose is worth a photo of its own."""

_LOOKING: dict[Pose, str] = {
    "front": "from the front",
    "up": "looking up",
    "down": "looking down",
}


def is_bare(project: Project, identity: Identity) -> bool:
    """Say whether somebody who is to be restored has neither close-up in use nor profile."""
    if identity.state != "restore" or identity.profile is not None:
        return False
    return not any(one.used for one in project.close_ups(identity.id))


def photos_wanted(project: Project, identity: Identity) -> str:
    """Say which photos would restore a person of whom there is no close-up: one sentence.

    How large their faces must be follows from what the film's faces resolve, in which poses from
    how those look.

    Parameters
    ----------
    project
        A scanned project.
    identity
        One of its people, for whom `is_bare` holds.
    """
    resolved, poses = _faces(project, identity.tracks)
    needed = max(SMALLEST_PHOTO, min(MOST_RESOLVED, CLEARLY_SHARPER * _middle(resolved)))
    pixels = _STEP * int(np.ceil(needed / _STEP))
    return (
        f"No close-up resolves more than the faces to restore: add {FEWEST} to {ENOUGH} sharp "
        f"photos, the face {pixels} px high or more, {looking(pose_names(poses))}."
    )


def all_wanted(project: Project) -> list[tuple[Identity, str]]:
    """Return `photos_wanted` of everybody who has neither close-up nor profile, longest first."""
    with project.database.transaction():
        bare = [one for one in project.identities() if is_bare(project, one)]
        bare.sort(key=lambda one: -one.seconds)
        return [(one, photos_wanted(project, one)) for one in bare]


def wanted_of(project: Project, people: People, plans: Sequence[TrackPlan]) -> dict[int, str]:
    """Return `photos_wanted` of everybody to be restored whom nothing shows better, by id.

    Parameters
    ----------
    people
        With what they are restored from.
    plans
        Of the frames that are rendered.
    """
    lacking = {
        plan.identity
        for plan in plans
        if plan.reason in ("as sharp as its references", None) and len(plan.faces)
    }
    return {
        one.id: photos_wanted(project, one)
        for one in people.identities
        if one.id in lacking
        and one.state == "restore"
        and (one.id not in people.banks or not _restored(one.id, plans))
    }


def _restored(identity: int, plans: Sequence[TrackPlan]) -> bool:
    own = [plan for plan in plans if plan.identity == identity and plan.referenced]
    return any(plan.restored_frames for plan in own)


def _middle(resolved: DoubleArray) -> float:
    return float(np.median(resolved)) if len(resolved) else 0.0


def looking(poses: Sequence[Pose]) -> str:
    """Return from where, as the end of a sentence; the poses that most faces have."""
    counts = Counter(poses)
    common = [pose for pose, count in counts.most_common() if count >= _COMMON * len(poses)]
    turned = [pose for pose in common if pose not in _LOOKING]
    said = [_LOOKING[pose] for pose in common if pose in _LOOKING]
    if turned:
        said.append(f"in {' and '.join(turned)} view")
    return " and ".join(said or [_LOOKING["front"]])


def _faces(project: Project, tracks: Sequence[int]) -> tuple[DoubleArray, FloatArray]:
    """Return what faces of tracks resolve, (N,) pixels, and the poses (M, 3) that are known."""
    scan = project.scan_id()
    resolved, poses = [np.zeros(0)], [np.zeros((0, 3), np.float32)]
    for track in tracks:
        for box, sharpness, pose in project.database.read(
            "chunks", "box, sharpness, pose", "WHERE scan = ? AND track = ?", (scan, track)
        ):
            size = np.sqrt(np.prod(np.clip(box[:, 2:] - box[:, :2], 0, None), axis=1))
            known = np.full(len(box), np.nan) if sharpness is None else sharpness
            resolved.append(resolved_size(size, np.nan_to_num(known, nan=UNJUDGED_SHARPNESS)))
            if pose is not None:
                poses.append(pose[np.isfinite(pose).all(1)])
    return np.concatenate(resolved), np.concatenate(poses)
