"""Who the people of a project are, among known profiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from refrestore.config import RuntimeSettings
from refrestore.faces.analyser import load_face_models
from refrestore.models.pack import load_face_pack
from refrestore.project import Match, Profile, Project, match
from refrestore.scan.build import pictures_in
from refrestore.scan.cluster import cooccurring
from refrestore.scan.photos import Rejected, faces_of_pictures
from refrestore.scan.tracks import pool_tracks


def match_identities(
    project: Project, profiles: Sequence[Profile], *, link: bool = False
) -> dict[int, Match]:
    """Match the people of a project with profiles: an open-set decision for each.

    Two people who are on screen together are never the same profile: the nearer one gets it.

    Parameters
    ----------
    project
        A scanned project.
    profiles
        Who they can be.
    link
        Whether to link those recognised to their profile, as edits that can be undone. Links
        that exist are left as they are.

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
    recogniser = "" if info is None else info.recogniser
    tracks = {track.id: track for track in project.tracks()}
    identities = {one.id: one for one in project.identities() if one.state != "not_a_face"}
    found: dict[int, Match] = {}
    for number, identity in identities.items():
        clear = [tracks[t] for t in identity.tracks if tracks[t].embedding is not None]
        if clear:
            found[number] = match(pool_tracks(clear), profiles, recogniser=recogniser)
    together = cooccurring(tracks.values())
    taken: dict[str, list[int]] = {}
    for number in sorted(found, key=lambda one: (-found[one].similarity, one)):
        name = found[number].name
        if name is None:
            continue
        pairs = {
            (min(a, b), max(a, b))
            for other in taken.get(name, [])
            for a in identities[other].tracks
            for b in identities[number].tracks
        }
        if pairs & together:
            found[number] = found[number]._replace(name=None)
        else:
            taken.setdefault(name, []).append(number)
    if link:
        for number, answer in found.items():
            if answer.name is not None and identities[number].profile is None:
                project.link_profile(number, answer.name)
    return found


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
    matches = {
        one.source: match(one.embedding, profiles, recogniser=pack.recogniser.stem)
        for one in found.references
    }
    return matches, found.rejected
