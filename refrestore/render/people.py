"""Who is in the film and what they can be restored from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from refrestore.errors import ProfileError
from refrestore.faces.eyes import LIDS_DETAIL, shut_eyes
from refrestore.faces.network_id import NetworkId
from refrestore.profiles import Profile
from refrestore.profiles.cosines import cosines
from refrestore.profiles.profile import statistics
from refrestore.profiles.reembed import Embedder, embedded_again, seen_by
from refrestore.project import Project
from refrestore.project.pooling import pool_tracks
from refrestore.render.need import references_resolve
from refrestore.render.rivals import Rivals, find_astray, find_rivals
from refrestore.restore.adapter import Adapter, usable
from refrestore.restore.bank import ReferenceBank
from refrestore.types import FloatArray, Identity, Reference, Track

CLEAR_WEIGHT = 0.5
"""A track embedding that can be trusted this much is clear enough to contradict the user."""


LEAST_DETAIL, ENOUGH = 0.5, 2
"""Share of the best reference's detail (native size x sharpness) that another must show, if at
least so many do."""


REACHED = 0.01
"""Share of strangers that is told where the film has none."""


class Strangers(NamedTuple):
    """How like a profile's person those are who are somebody else.

    Parameters
    ----------
    similarity
        Of the most similar of them, over all their tracks; where nobody else is in the film, what
        `REACHED` of strangers' faces reach by the recogniser's calibration.
    met
        How many there are in the film.
    """

    similarity: float
    met: int


class Matched(NamedTuple):
    """How like a profile's person somebody is over all their tracks.

    Parameters
    ----------
    profile
        Its name.
    similarity
        Cosine of the mean of the tracks to the profile.
    needed
        What is needed where only likeness speaks for it.
    strangers
        How near those come who are somebody else; None where nothing is known of it.
    """

    profile: str
    similarity: float
    needed: float
    strangers: Strangers | None = None


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
        Sentences for the report: profiles that were refused, close-ups that were embedded again.
    rivals
        Who their faces could be besides.
    matched
        By identity id, the profile that is used and how like it they are.
    refused
        By identity id, the profile that was not used, as they are plainly somebody else.
    """

    identities: Sequence[Identity]
    references: Mapping[int, Sequence[Reference]]
    banks: Mapping[int, ReferenceBank]
    notes: Sequence[str]
    rivals: Rivals = field(default_factory=Rivals)
    matched: Mapping[int, Matched] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)

    @property
    def resolved(self) -> dict[int, float]:
        """What each identity's references resolve, in pixels; those without any are missing."""
        return {
            identity: resolved_by(references)
            for identity, references in self.references.items()
            if references
        }


@dataclass(frozen=True)
class Eyes:
    """The recogniser that a render compares faces with."""

    network: NetworkId
    recogniser: Embedder


def gather_people(
    project: Project,
    profiles: Sequence[Profile],
    lent: Mapping[int, Profile] | None = None,
    *,
    eyes: Eyes | None = None,
    fusion: str = "",
) -> People:
    """Collect the references of every identity that is to be restored.

    A profile is refused for an identity that is clear enough to judge and is somebody else.

    Parameters
    ----------
    profiles
        Those that identities may be linked to.
    lent
        Profiles per identity id for this render only: close-ups from other videos.
    eyes
        Close-ups that another network saw are embedded again with it, in memory.
    fusion
        SHA-256 of the fusion weights: adapters of profiles tuned on them are used.

    Raises
    ------
    ProfileError
        If an identity is linked to a profile that was not given.
    """
    known = {profile.name: profile for profile in profiles}
    references: dict[int, list[Reference]] = {}
    adapters: dict[int, Adapter] = {}
    notes: list[str] = []
    matched: dict[int, Matched] = {}
    refused: dict[int, str] = {}
    used: dict[int, Profile] = {}
    identities = project.identities()
    seen = _Sight(project, eyes)
    if seen.anew:
        notes.append(
            f"The scan was made with {seen.anew}, and another network than this pack's saw its "
            "close-ups: they were embedded again. To have the people told apart by this one as "
            "well, scan again."
        )
    clear = {one.id: mean for one in identities if (mean := seen.centroid(one)) is not None}
    for identity in identities:
        if identity.state != "restore":
            continue
        own = seen.references(identity)
        centroid = clear.get(identity.id)
        for stored in _profiles_of(identity, known, lent or {}):
            profile, note = stored, None
            if eyes is not None:
                profile, note = seen_by(stored, eyes.network, eyes.recogniser)
            notes += [note] if note is not None and note not in notes else []
            if centroid is None or profile.may_be(centroid):
                mean = seen.mean(identity)
                if mean is not None:
                    likeness = profile.similarity(mean)
                    matched[identity.id] = Matched(profile.name, likeness, profile.track_threshold)
                    used[identity.id] = profile
                # Their frame numbers are another video's.
                own += [replace(reference, frame=None) for reference in profile.references]
                adapter, note = usable(profile.adapter, fusion, profile.name)
                notes += [note] if note is not None and note not in notes else []
                if adapter is not None:
                    adapters.setdefault(identity.id, adapter)
            else:
                refused[identity.id] = profile.name
                notes.append(
                    f"The profile {profile.name} was not used for {identity.name}: the face is "
                    "clear enough to judge, and it is somebody else."
                )
        references[identity.id] = telling(own)
    banks = {
        identity: replace(ReferenceBank.from_references(own), adapter=adapters.get(identity))
        for identity, own in references.items()
        if own
    }
    rivals = find_rivals(project, identities, clear, banks)
    if not seen.anew:
        tracks = project.tracks()
        rivals = replace(
            rivals,
            astray=find_astray(rivals, identities, tracks, banks),
            means={one.id: one.embedding for one in tracks if one.embedding is not None},
        )
    means = {one.id: seen.mean(one) for one in identities if one.state != "not_a_face"}
    for number, profile in used.items():
        others = _others(number, profile.name, means, matched, rivals)
        matched[number] = matched[number]._replace(strangers=_reach(profile, others))
    met = {one.profile for one in identities} | {one.name for one in (lent or {}).values()}
    likely = [(one.name, mean) for one in identities if (mean := means.get(one.id)) is not None]
    notes += [_absent(profile, likely) for profile in profiles if profile.name not in met]
    return People(identities, references, banks, notes, rivals, matched, refused)


def _absent(profile: Profile, people: Sequence[tuple[str, FloatArray]]) -> str:
    """Return that nobody was recognised as a profile's person, and who of the film came nearest."""
    ranked = sorted((profile.similarity(mean), who) for who, mean in people)
    said = f"Nobody in the film was recognised as {profile.name}"
    if not ranked:
        return f"{said}: it has no face that can be compared."
    likeness, nearest = ranked[-1]
    return (
        f"{said}: the nearest is {nearest}, likeness {likeness:.2f}, and "
        f"{profile.track_threshold:.2f} is needed, ahead of every other profile. If it is "
        f"{profile.name}, link them with refrestore identities link."
    )


def _others(
    number: int,
    profile: str,
    means: Mapping[int, FloatArray | None],
    matched: Mapping[int, Matched],
    rivals: Rivals,
) -> list[FloatArray]:
    """Return the means of those who are somebody else than an identity that has a profile."""
    return [
        mean
        for other, mean in means.items()
        if mean is not None
        and other != number
        and (other not in matched or matched[other].profile != profile)
        and (min(number, other), max(number, other)) not in rivals.kin
    ]


def _reach(profile: Profile, others: Sequence[FloatArray]) -> Strangers | None:
    if not others:
        levels = profile.cosines
        measured = levels != cosines("")
        return Strangers(levels.strangers.inv_cdf(1 - REACHED), 0) if measured else None
    return Strangers(max(profile.similarity(mean) for mean in others), len(others))


def resolved_by(references: Sequence[Reference]) -> float:
    """Return what references, of which there is one at least, resolve in pixels.

    Those with shut eyes do not count: most of what is sharp in a face are open eyes.
    """
    shut = shut_eyes(references)
    awake = [one for one, asleep in zip(references, shut, strict=True) if not asleep]
    return references_resolve(
        [reference.native_size for reference in awake],
        [reference.sharpness for reference in awake],
    )


class _Sight:
    """What a project knows of its people, in the embeddings of one network.

    Tracks have no pictures to embed again: where the scan's network was another, close-ups stand
    for them.
    """

    def __init__(self, project: Project, eyes: Eyes | None) -> None:
        info = project.scan_info()
        other = eyes is not None and info is not None and info.network.contradicts(eyes.network)
        self.anew = info.network if other and info is not None else None
        self._project, self._eyes = project, eyes
        self._tracks = {track.id: track for track in project.tracks()}

    def references(self, identity: Identity) -> list[Reference]:
        found = self._project.references(identity.id)
        if self.anew is None or self._eyes is None:
            return list(found)
        return list(embedded_again(found, self._eyes.recogniser))

    def mean(self, identity: Identity) -> FloatArray | None:
        """Return the mean embedding of somebody's tracks, however blurred, if the network knows."""
        known = [self._tracks[t] for t in identity.tracks if self._tracks[t].embedding is not None]
        return pool_tracks(known) if known and self.anew is None else None

    def centroid(self, identity: Identity) -> FloatArray | None:
        if self.anew is None:
            return clear_centroid([self._tracks[track] for track in identity.tracks])
        found = self.references(identity)
        return statistics(np.stack([one.embedding for one in found])).centroid if found else None


def telling(references: Sequence[Reference]) -> list[Reference]:
    """Leave out references that show far less than the best ones, where enough are left.

    A far film's own 70-px close-up beside an album's 300-px ones would only blur their mean.
    """
    detail = [reference.native_size * reference.sharpness for reference in references]
    best = max(detail, default=0.0)
    least = np.where(shut_eyes(references), LIDS_DETAIL, LEAST_DETAIL) * best
    good = [
        reference
        for reference, shown, enough in zip(references, detail, least, strict=True)
        if shown >= enough
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
