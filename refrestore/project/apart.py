"""Who cannot be one person: what is refused unless the user insists."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from refrestore.errors import ApartError
from refrestore.types import Identity

from .identities import Identities
from .presence import meeting


def check_apart(project: Identities, identities: Sequence[Identity]) -> None:
    """Refuse identities that are two people.

    Raises
    ------
    ApartError
        When two are on screen in one frame, the user told them apart, or said of one that it is
        not the profile of the other.
    """
    for one, other in combinations(identities, 2):
        frame = _meeting(project, one.tracks, other.tracks)
        if frame is not None:
            raise ApartError(
                f"{one.name} ({one.id}) and {other.name} ({other.id}) are both on screen in frame "
                f"{frame} ({project.timeline().seconds(frame):.3f} s), so they are two people: "
                "split the wrong tracks off first."
            )
    for one, other in combinations(identities, 2):
        for person, linked in ((one, other), (other, one)):
            if linked.profile is not None and linked.profile in person.not_profiles:
                raise ApartError(
                    f"You said that {person.name} ({person.id}) is not the profile "
                    f"{linked.profile}, which {linked.name} ({linked.id}) is linked to: undo that "
                    "first."
                )
    known = project.distinct()
    for one, other in combinations(identities, 2):
        if (min(one.id, other.id), max(one.id, other.id)) in known:
            raise ApartError(
                f"You said that {one.id} and {other.id} are two people: undo that first."
            )


def differ(one: Identity, other: Identity) -> bool:
    """Say whether two identities are two people by what was said of them and profiles."""
    if one.profile is not None and other.profile is not None:
        return one.profile != other.profile
    return one.profile in other.not_profiles or other.profile in one.not_profiles


def check_tracks_apart(project: Identities, tracks: Sequence[int], own: Sequence[int]) -> None:
    """Refuse tracks that are on screen together with an identity's own.

    Raises
    ------
    ApartError
        When they are.
    """
    frame = _meeting(project, tracks, own)
    if frame is not None:
        raise ApartError(
            f"A track to move and its new identity are both on screen in frame {frame} "
            f"({project.timeline().seconds(frame):.3f} s), so they are two people: leave it."
        )


def _meeting(project: Identities, tracks: Sequence[int], others: Sequence[int]) -> int | None:
    return meeting(project.database, project.scan_id(), tracks, others)
