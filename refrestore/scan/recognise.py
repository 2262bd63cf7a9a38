"""Who the people of a project are, among known profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from refrestore.config import RuntimeSettings
from refrestore.faces.analyser import load_face_models
from refrestore.faces.network_id import NetworkId
from refrestore.media.stills import pictures_in
from refrestore.models.pack import load_face_pack
from refrestore.profiles import Match, Profile, match
from refrestore.profiles.profile import TRACK_MARGIN
from refrestore.profiles.reembed import seen_by
from refrestore.project import Project
from refrestore.project.pooling import pool_tracks
from refrestore.scan.clustering import cooccurring
from refrestore.scan.networks import Sight, pack_network
from refrestore.scan.photos import Rejected, faces_of_pictures
from refrestore.types import Identity, Track

SEEN_AGAIN = 0.9
"""Share of the likeness asked of somebody that is asked again: who is in a film once is likelier to
be there twice (docs/decisions/027)."""


def match_identities(
    project: Project,
    profiles: Sequence[Profile],
    *,
    link: bool = False,
    runtime: RuntimeSettings | None = None,
) -> dict[int, Match]:
    """Match the people of a project with profiles: an open-set decision for each.

    Nobody is matched with a profile that the user said is somebody else's. Two people who are on
    screen together, or whom the user told apart, are never the same profile: the one that is linked
    to it has it, else the nearer one. Of a profile that somebody is, or is linked to, less is asked
    for more of their tracks.

    Parameters
    ----------
    project
        A scanned project.
    profiles
        Who they can be.
    link
        Whether to link those recognised to their profile, as edits that can be undone. Links
        that exist are left as they are.
    runtime
        With which models close-ups of profiles may be embedded again (nothing is saved), where
        they were seen by another network than the scan's.

    Returns
    -------
    dict
        By identity id; those whose faces were never good enough for an embedding are missing.

    Raises
    ------
    ProfileError
        When a profile was made with another recogniser than the scan.
    """
    info = project.scan_info()
    network = NetworkId() if info is None else info.network
    profiles = _comparable(profiles, network, runtime)
    tracks = {track.id: track for track in project.tracks()}
    identities = {one.id: one for one in project.identities() if one.state != "not_a_face"}
    found: dict[int, Match] = {}
    for number, identity in identities.items():
        clear = [tracks[t] for t in identity.tracks if tracks[t].embedding is not None]
        if clear:
            found[number] = match(
                pool_tracks(clear),
                [one for one in profiles if one.name not in identity.not_profiles],
                tracks=True,
                recogniser=network.name,
                digest=network.digest,
            )
    apart = _told_apart(project, identities, tracks)
    taken: dict[str, list[int]] = {}
    for number, identity in identities.items():
        if identity.profile is not None:
            taken.setdefault(identity.profile, []).append(number)
    _give(found, taken, apart)
    if link:
        for number, answer in found.items():
            if answer.name is not None and identities[number].profile is None:
                project.link_profile(number, answer.name)
    return found


def _give(
    found: dict[int, Match], taken: dict[str, list[int]], apart: set[tuple[int, int]]
) -> None:
    """Give profiles to people, the nearest first, and then to those whom less is asked of.

    Parameters
    ----------
    found
        Answers by identity; changed.
    taken
        Who has each profile already; changed.
    apart
        Pairs of identities that are two people.
    """
    order = sorted(found, key=lambda one: (-found[one].similarity, one))
    for again in (False, True):
        present = {name for name, numbers in taken.items() if numbers}
        for number in order:
            answer = found[number]
            if again and answer.name is None and answer.nearest in present:
                answer = found[number] = _seen_again(answer)
            if answer.name is None or number in taken.get(answer.name, []):
                continue
            others = taken.setdefault(answer.name, [])
            if any((min(number, one), max(number, one)) in apart for one in others):
                found[number] = answer._replace(name=None)
            else:
                others.append(number)


def _seen_again(answer: Match) -> Match:
    """Return a match with the nearest profile, of whom less is asked as they are in the film."""
    least = SEEN_AGAIN * answer.least
    sure = answer.similarity >= least and answer.margin >= TRACK_MARGIN
    return answer._replace(name=answer.nearest, least=least) if sure else answer


def recognised(project: Project, profiles: Sequence[Profile]) -> dict[int, Profile]:
    """Return the profile of everybody in a project who is recognised and may be restored."""
    known = {one.name: one for one in profiles}
    free = {
        one.id for one in project.identities() if one.state == "restore" and one.profile is None
    }
    return {
        number: known[answer.name]
        for number, answer in match_identities(project, profiles).items()
        if answer.name is not None and number in free
    }


def _told_apart(
    project: Project, identities: Mapping[int, Identity], tracks: Mapping[int, Track]
) -> set[tuple[int, int]]:
    """Return the pairs of identities (smaller id first) that are two people for certain."""
    holder = {track: number for number, one in identities.items() for track in one.tracks}
    pairs = {
        (min(holder[a], holder[b]), max(holder[a], holder[b]))
        for a, b in cooccurring(tracks.values())
        if a in holder and b in holder
    }
    return pairs | project.distinct()


def _comparable(
    profiles: Sequence[Profile], network: NetworkId, runtime: RuntimeSettings | None
) -> list[Profile]:
    """Return profiles in a scan's network, as far as the pack's recogniser is that one."""
    if runtime is None or not any(one.network.contradicts(network) for one in profiles):
        return list(profiles)
    sight = Sight(runtime)
    if sight.network != network:
        return list(profiles)
    return [sight.fitted(one)[0] for one in profiles]


def match_pictures(
    paths: Sequence[Path], profiles: Sequence[Profile], runtime: RuntimeSettings
) -> tuple[dict[str, Match], tuple[Rejected, ...]]:
    """Match the one face of each picture with profiles.

    Parameters
    ----------
    paths
        Pictures, or folders of pictures.
    profiles
        Who it can be.
    runtime
        Where to compute and with which models.

    Returns
    -------
    matches
        By picture.
    rejected
        Pictures without a face good enough, and why.

    Raises
    ------
    UsageError
        When a path does not exist.
    ModelError
        When a model is missing.
    ProfileError
        When a profile was made with another recogniser.
    """
    pictures = pictures_in(paths)
    pack = load_face_pack(runtime)
    models = load_face_models(pack, runtime.device, threads=runtime.threads)
    found = faces_of_pictures(pictures, models)
    network = pack_network(pack)
    profiles = [
        seen_by(one, network, models.recogniser)[0] if one.recogniser == network.name else one
        for one in profiles
    ]
    matches = {
        one.source: match(one.embedding, profiles, recogniser=network.name, digest=network.digest)
        for one in found.references
    }
    return matches, found.rejected
