"""Who is in the film and what they can be restored from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from refrestore.errors import ProfileError
from refrestore.project import Profile, Project
from refrestore.restore.bank import ReferenceBank
from refrestore.types import FloatArray, Identity, Reference, Track

CLEAR_WEIGHT = 0.5
"""A track embedding that can be trusted this much is clear enough to contradict the user."""


LEAST_DETAIL, ENOUGH = 0.5, 2
"""Share of the best reference's detail (native size x sharpness) that another must show, if at
least so many do."""


@dataclass(frozen=True)
class People:
    """The identities of a project and their references.

    Parameters
    ----------
    identities
        After the user's edits.
    references
        Per identity id: its own, then its profile's.
    banks
        The same as tensors; identities without references are missing.
    notes
        Sentences for the report: profiles that were refused.
    """

    identities: Sequence[Identity]
    references: Mapping[int, Sequence[Reference]]
    banks: Mapping[int, ReferenceBank]
    notes: Sequence[str]


def gather_people(
    project: Project, profiles: Sequence[Profile], lent: Mapping[int, Profile] | None = None
) -> People:
    """Collect the references of every identity that is to be restored.

    A profile is refused for an identity that is clear enough to judge and is somebody else.

    Parameters
    ----------
    profiles
        Those that identities may be linked to.
    lent
        Profiles per identity id for this render only: close-ups from other videos.

    Raises
    ------
    ProfileError
        If an identity is linked to a profile that was not given.
    """
    known = {profile.name: profile for profile in profiles}
    tracks = {track.id: track for track in project.tracks()}
    references: dict[int, list[Reference]] = {}
    notes: list[str] = []
    identities = project.identities()
    for identity in identities:
        if identity.state != "restore":
            continue
        own = list(project.references(identity.id))
        centroid = clear_centroid([tracks[track] for track in identity.tracks])
        for profile in _profiles_of(identity, known, lent or {}):
            if centroid is None or profile.belongs(centroid):
                # Their frame numbers are another video's.
                own += [replace(reference, frame=None) for reference in profile.references]
            else:
                notes.append(
                    f"The profile {profile.name} was not used for {identity.name}: the face is "
                    "clear enough to judge, and it is somebody else."
                )
        references[identity.id] = telling(own)
    banks = {
        identity: ReferenceBank.from_references(own) for identity, own in references.items() if own
    }
    return People(identities, references, banks, notes)


def telling(references: Sequence[Reference]) -> list[Reference]:
    """Leave out references that show far less than the best ones, where enough are left.

    A far film's own 70-px close-up beside an album's 300-px ones would only blur their mean.
    """
    detail = [reference.native_size * reference.sharpness for reference in references]
    best = max(detail, default=0.0)
    good = [
        reference
        for reference, shown in zip(references, detail, strict=True)
        if shown >= LEAST_DETAIL * best
    ]
    return good if len(good) >= ENOUGH else list(references)


def _profiles_of(
    identity: Identity, known: Mapping[str, Profile], lent: Mapping[int, Profile]
) -> list[Profile]:
    found = [lent[identity.id]] if identity.id in lent else []
    if identity.profile is not None:
        if identity.profile not in known:
            raise ProfileError(
                f"{identity.name} is linked to the profile {identity.profile!r}, which is not "
                "in the profiles folder; import it or unlink the person."
            )
        found.append(known[identity.profile])
    return found


def clear_centroid(tracks: Sequence[Track]) -> FloatArray | None:
    """Return the unit mean embedding of the tracks that are clear enough to judge, or None."""
    clear = [
        track.embedding * track.embedding_weight
        for track in tracks
        if track.embedding is not None and track.embedding_weight >= CLEAR_WEIGHT
    ]
    if not clear:
        return None
    total = np.sum(clear, axis=0)
    unit: FloatArray = (total / np.linalg.norm(total)).astype(np.float32)
    return unit
