"""Close-ups of one person from projects, photos and videos, and whether they are one person's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import ProfileError, UsageError
from refrestore.faces.analyser import load_face_models
from refrestore.faces.network_id import NetworkId
from refrestore.media.stills import pictures_in
from refrestore.models.pack import load_face_pack
from refrestore.profiles import Profile
from refrestore.profiles.cosines import cosines
from refrestore.profiles.profile import MATCH_MARGIN, check_network, same_people, statistics
from refrestore.project import Project
from refrestore.scan.majority import one_person
from refrestore.scan.networks import Source, pack_network
from refrestore.scan.photos import WANTED, Rejected, faces_of_pictures, why_none
from refrestore.scan.scan import Progress, scan
from refrestore.storage.workplace import temporary_folder
from refrestore.types import FloatArray, Identity, ImageArray

DOMINATES = 2.0
"""How many times as long as the next person somebody must be on screen for a video to be theirs."""


def gather(
    *,
    from_projects: Sequence[tuple[Project, int]],
    photos: Sequence[Path],
    videos: Sequence[Path],
    identity: int | None,
    runtime: RuntimeSettings,
    progress: Progress | None,
    profile: Profile | None = None,
) -> tuple[list[Source], list[Rejected]]:
    """Return the close-ups of each source, and the pictures that gave none.

    Parameters
    ----------
    profile
        Who it is, if that is known: in a video of several people the one who is it is taken.
        Without, the one who is on screen clearly longest. For the rest see `build_profile`.
    """
    if identity is not None and len(videos) != 1:
        raise UsageError("An identity is named for one video (--video); give exactly one.")
    sources = [_of_project(project, number) for project, number in from_projects]
    rejected: list[Rejected] = []
    if photos:
        album, unusable = _of_photos(photos, runtime, progress)
        sources.append(album)
        rejected += unusable
    sources += [_of_video(video, identity, runtime, progress, profile) for video in videos]
    return sources, rejected


def majority(source: Source) -> tuple[Source, list[Rejected]]:
    """Keep the references of the person that most of them show.

    Raises
    ------
    ProfileError
        When no person is shown by more than half of them, or clearly more often than others.
    """
    found = one_person(source.embeddings, cosines(source.network.name))
    if not found.clear:
        raise ProfileError(
            f"{source.name} shows different people, none of them in most pictures: keep only "
            "pictures of one person."
        )
    reason = "it shows somebody else than the others (similarity {:.2f})"
    return _kept(source, found.own, found.similarity, reason)


def same_as(source: Source, profile: Profile) -> tuple[Source, list[Rejected]]:
    """Keep the references of the person of a profile.

    Raises
    ------
    ProfileError
        When half of them or more show somebody else, or the rest on the whole does.
    """
    check_network(profile, source.network)
    together = np.concatenate([profile.embeddings, source.embeddings])
    known = np.arange(len(together)) < len(profile.references)
    own = one_person(together, profile.cosines, known).own[len(profile.references) :]
    similarity = source.embeddings @ profile.centroid
    own &= similarity >= profile.cosines.belongs
    if 2 * np.count_nonzero(own) <= len(own):
        raise ProfileError(
            f"{source.name} shows somebody else than {profile.name}: {np.count_nonzero(~own)} of "
            f"{len(own)} close-ups are not {profile.name} (mean similarity "
            f"{float(similarity.mean()):.2f}, {profile.cosines.belongs:.2f} is the least of one "
            "person); nothing was taken from it."
        )
    reason = f"it is not {profile.name} (similarity {{:.2f}})"
    kept, rejected = _kept(source, own, similarity, reason)
    same, why = same_people(profile.embeddings, kept.embeddings, profile.cosines)
    if not same:
        raise ProfileError(
            f"{source.name} shows somebody who looks like {profile.name} but is not {why}; nothing "
            "was taken from it."
        )
    return kept, rejected


def check_one_person(sources: Sequence[Source]) -> None:
    """Refuse sources that show two people.

    Raises
    ------
    ProfileError
        Names the two, and how similar they are.
    """
    for number, source in enumerate(sources):
        levels = cosines(source.network.name)
        for other in sources[:number]:
            same, why = same_people(other.embeddings, source.embeddings, levels)
            if not same:
                raise ProfileError(
                    f"{other.name} and {source.name} show two people {why}: leave one out."
                )


def check_nearest(source: Source, name: str, people: Sequence[tuple[str, FloatArray]]) -> None:
    """Refuse a source that is clearly nearer to somebody else who has a profile.

    Parameters
    ----------
    people
        Name and (N, 512) embeddings of each profile, that of `name` among them.

    Raises
    ------
    ProfileError
        Names who it is.
    """
    values = {who: float(source.centroid @ statistics(rows).centroid) for who, rows in people}
    nearest = max(values, key=lambda who: values[who])
    if values[nearest] >= values[name] + MATCH_MARGIN:
        raise ProfileError(
            f"{source.name} shows {nearest} (similarity {values[nearest]:.2f}) rather than {name} "
            f"({values[name]:.2f}); nothing was taken from it."
        )


def common_network(sources: Sequence[Source]) -> NetworkId:
    """Return the network of sources that are comparable; unknown as far as it is for one."""
    networks = {source.network for source in sources}
    names = {one.name for one in networks if one.name}
    digests = {one.digest for one in networks}
    return NetworkId(min(names, default=""), digests.pop() if len(digests) == 1 else "")


def _kept(
    source: Source, own: NDArray[np.bool_], similarity: FloatArray, reason: str
) -> tuple[Source, list[Rejected]]:
    told = list(zip(source.references, own, similarity, strict=True))
    rejected = [Rejected(one.source, reason.format(value)) for one, mine, value in told if not mine]
    kept = tuple(one for one, mine, _ in told if mine)
    return Source(source.name, kept, source.network), rejected


def _of_project(project: Project, number: int) -> Source:
    person = project.identity(number)
    references = project.references(number)
    if not references:
        raise ProfileError(
            f"{person.name} has no close-up in {project.folder} that is large and sharp enough for "
            "a profile: add photos or another video."
        )
    return Source(f"{project.folder}:{number}", tuple(references), _network(project))


def _of_photos(
    paths: Sequence[Path], runtime: RuntimeSettings, progress: Progress | None
) -> tuple[Source, tuple[Rejected, ...]]:
    pictures = pictures_in(paths)
    pack = load_face_pack(runtime)
    models = load_face_models(pack, runtime.device, threads=runtime.threads)
    found = faces_of_pictures(_counted(pictures, progress), models)
    source = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    if not found.references:
        raise ProfileError(
            f"No photo in {source} can be used, give {WANTED}; {why_none(found.rejected)}."
        )
    return Source(source, found.references, pack_network(pack)), found.rejected


def _counted(
    pictures: Sequence[Path | ImageArray], progress: Progress | None
) -> Iterable[Path | ImageArray]:
    for done, picture in enumerate(pictures):
        if progress is not None:
            progress("photos", done, len(pictures))
        yield picture
    if progress is not None:
        progress("photos", len(pictures), len(pictures))


def _of_video(
    video: Path,
    identity: int | None,
    runtime: RuntimeSettings,
    progress: Progress | None,
    profile: Profile | None,
) -> Source:
    with temporary_folder("refrestore-scan-") as temporary:
        folder = temporary / "project"
        scan(video, folder, settings=ScanSettings(), runtime=runtime, progress=progress)
        with Project.open(folder) as project:
            people = project.identities()
            if identity is not None and identity not in {one.id for one in people}:
                raise ProfileError(f"{video} has no identity {identity}: {_introduce(people)}.")
            if identity is not None:
                number = identity
            elif profile is None:
                number = _dominating(people, video)
            else:
                number = _nearest(project, people, profile, video)
            references, network = tuple(project.references(number)), _network(project)
    if not references:
        raise ProfileError(
            f"{video} shows identity {number} never large and sharp enough for a profile: take a "
            "closer video or photos."
        )
    return Source(str(video), references, network)


def _network(project: Project) -> NetworkId:
    info = project.scan_info()
    return NetworkId() if info is None else info.network


def _nearest(project: Project, people: Sequence[Identity], profile: Profile, video: Path) -> int:
    """Return who of the people with close-ups is most similar to a profile."""
    check_network(profile, _network(project))
    values = {}
    for one in people:
        rows = [reference.embedding for reference in project.references(one.id)]
        if rows:
            values[one.id] = profile.similarity(statistics(np.stack(rows)).centroid)
    if not values:
        raise ProfileError(
            f"{video} shows nobody large and sharp enough for a profile: take a closer video or "
            "photos."
        )
    return max(values, key=lambda number: values[number])


def _dominating(people: Sequence[Identity], video: Path) -> int:
    ranked = sorted(people, key=lambda one: (-one.seconds, one.id))
    if not ranked:
        raise ProfileError(f"There is no face to follow in {video}.")
    if len(ranked) > 1 and ranked[0].seconds < DOMINATES * ranked[1].seconds:
        raise ProfileError(
            f"{video} shows several people, none clearly longest ({_introduce(ranked)}): scan it "
            "into a project to look at them, or say which with --identity."
        )
    return ranked[0].id


def _introduce(people: Sequence[Identity]) -> str:
    if not people:
        return "it shows nobody"
    return ", ".join(f"identity {one.id}: {one.seconds:.1f} s" for one in people[:5])
