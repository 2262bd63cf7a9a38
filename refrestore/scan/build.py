"""Make a profile of a person from projects, photos and videos, and teach it from the next ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from refrestore.config import RuntimeSettings
from refrestore.errors import ProfileError, UsageError
from refrestore.profiles import Profile, ProfileStore
from refrestore.profiles.calibration import calibrated
from refrestore.profiles.choice import digest
from refrestore.profiles.document import check_name
from refrestore.project import Project
from refrestore.scan.close_up_sources import (
    check_nearest,
    check_one_person,
    common_network,
    gather,
    majority,
    same_as,
)
from refrestore.scan.networks import Sight, Source, one_network
from refrestore.scan.photos import Rejected
from refrestore.scan.scan import Progress


@dataclass(frozen=True)
class Built:
    """A profile that was made or taught.

    Parameters
    ----------
    profile
        As it was saved.
    folder
        Where.
    rejected
        Pictures and close-ups that were not used, and why.
    new
        Number of close-ups it has and had not before.
    notes
        What else was done, in sentences: close-ups embedded again with another network.
    """

    profile: Profile
    folder: Path
    rejected: tuple[Rejected, ...]
    new: int
    notes: tuple[str, ...] = ()


def build_profile(
    name: str,
    *,
    from_projects: Sequence[tuple[Project, int]] = (),
    photos: Sequence[Path] = (),
    videos: Sequence[Path] = (),
    identity: int | None = None,
    store: ProfileStore,
    runtime: RuntimeSettings,
    replace_existing: bool = False,
    progress: Progress | None = None,
) -> Built:
    """Make a profile of one person and save it.

    Parameters
    ----------
    name
        The person's.
    from_projects
        Projects and the identity ids of the person in them.
    photos
        Pictures, or folders of pictures. Those that show somebody else than most do are refused.
    videos
        Videos of the person, who must be on screen clearly longer than anybody else.
    identity
        Who it is in the only video, where that is not clear: the id the refusal names.
    store
        Where to save it.
    runtime
        Where to compute and with which models.
    replace_existing
        Whether a profile of this name may be replaced.
    progress
        Told about stage "photos" and the stages of a scan.

    Raises
    ------
    ProfileError
        When there is no usable close-up, or the sources show different people.
    UsageError
        When nothing was given, or `identity` without exactly one video.
    MediaError, ModelError, ProjectError
        When something given cannot be read.
    """
    if not (from_projects or photos or videos):
        raise UsageError(
            "A profile is built from a project (--from), photos (--photos) or a video (--video): "
            "name at least one."
        )
    name = _free_name(name, store, replace_existing)
    sources, rejected = gather(
        from_projects=from_projects,
        photos=photos,
        videos=videos,
        identity=identity,
        runtime=runtime,
        progress=progress,
    )
    sight = Sight(runtime)
    built = make_profile(name, sources, store=store, sight=sight, replace_existing=replace_existing)
    return replace(built, rejected=(*rejected, *built.rejected))


def make_profile(
    name: str,
    sources: Sequence[Source],
    *,
    store: ProfileStore,
    sight: Sight,
    replace_existing: bool = False,
) -> Built:
    """Make a profile of what sources show of one person and save it, as `build_profile` does.

    Parameters
    ----------
    name
        The person's.
    sources
        Close-ups of the person.
    store
        Where to save it.
    sight
        The recogniser of this pack.
    replace_existing
        Whether a profile of this name may be replaced.

    Raises
    ------
    ProfileError
        As `build_profile`.
    """
    name = _free_name(name, store, replace_existing)
    sources, _, notes = one_network(sources, sight)
    agreed, rejected = [], []
    for source in sources:
        kept, outsiders = majority(source)
        agreed.append(kept)
        rejected += outsiders
    check_one_person(agreed)
    network = common_network(agreed)
    found = [one for source in agreed for one in source.references]
    profile = Profile.chosen(name, found, network)
    profile = calibrated(profile, list(store.others(name, network).values()))
    folder = store.save(profile, replace_existing=replace_existing)
    return Built(profile, folder, tuple(rejected), len(profile.references), tuple(notes))


def update_profile(
    name: str,
    *,
    from_projects: Sequence[tuple[Project, int]] = (),
    photos: Sequence[Path] = (),
    videos: Sequence[Path] = (),
    identity: int | None = None,
    store: ProfileStore,
    runtime: RuntimeSettings,
    progress: Progress | None = None,
) -> Built:
    """Teach a profile from the next film, without forgetting, and calibrate its threshold anew.

    A source that shows somebody else is refused and the profile stays as it was, whatever the
    other sources show; single pictures of somebody else are left out. Without any source only the
    threshold is calibrated, and a profile of another network of the pack's recogniser's name is
    brought to this one. What another process teaches it meanwhile is kept.

    Parameters
    ----------
    name
        The profile's.
    from_projects, photos, videos, identity, store, runtime, progress
        As for `build_profile`; in a video of several people the one most similar is taken.

    Raises
    ------
    ProfileError
        When there is no such profile, a source shows somebody else, or was seen by another
        recogniser.
    UsageError, MediaError, ModelError, ProjectError
        As `build_profile`.
    """
    sight = Sight(runtime)
    known = store.load(name)
    sources, rejected = gather(
        from_projects=from_projects,
        photos=photos,
        videos=videos,
        identity=identity,
        runtime=runtime,
        progress=progress,
        profile=sight.fitted(known)[0] if videos else known,
    )
    built = teach_profile(name, sources, store=store, sight=sight)
    return replace(built, rejected=(*rejected, *built.rejected))


def teach_profile(
    name: str, sources: Sequence[Source], *, store: ProfileStore, sight: Sight
) -> Built:
    """Teach a profile what sources show of the person, as `update_profile` does.

    Parameters
    ----------
    name
        The profile's.
    sources
        Close-ups of the person.
    store
        Where it is.
    sight
        The recogniser of this pack.

    Raises
    ------
    ProfileError
        As `update_profile`.
    """
    before: set[str] = set()
    notes: list[str] = []
    rejected: list[Rejected] = []

    def learn(old: Profile) -> Profile:
        before.update(map(digest, old.references))
        comparable, fitted, done = one_network(sources, sight, old)
        assert fitted is not None
        notes.extend(done)
        profile, outsiders = _taught(fitted, comparable, store)
        rejected.extend(outsiders)
        return profile

    profile, folder = store.change(name, learn)
    new = sum(digest(one) not in before for one in profile.references)
    return Built(profile, folder, tuple(rejected), new, tuple(notes))


def _free_name(name: str, store: ProfileStore, replace_existing: bool) -> str:
    name = check_name(name)
    if not replace_existing and name in store.list():
        raise ProfileError(
            f"There is a profile {name!r} already: choose another name, or replace it with "
            "--replace."
        )
    return name


def _taught(
    old: Profile, sources: Sequence[Source], store: ProfileStore
) -> tuple[Profile, list[Rejected]]:
    """Return a profile with what sources of one network show of the person, calibrated."""
    network = old.network if old.recogniser or not sources else common_network(sources)
    others = store.others(old.name, network)
    people = [(old.name, old.embeddings), *others.items()]
    profile = replace(old, recogniser=network.name, recogniser_digest=network.digest)
    learnt, rejected = [], []
    for source in sources:
        kept, outsiders = same_as(source, profile)
        rejected += outsiders
        check_nearest(kept, old.name, people)
        learnt.append(kept)
    for source in learnt:
        profile = profile.extended(source.references)
    return calibrated(profile, list(others.values())), rejected
