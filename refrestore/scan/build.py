"""Make a profile of a person from projects, photos and videos."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import ProfileError, UsageError
from refrestore.faces.analyser import load_face_models
from refrestore.models.pack import load_face_pack
from refrestore.project import Profile, ProfileStore, Project
from refrestore.project.profile import BELONG_THRESHOLD, choose, statistics
from refrestore.project.profile_document import check_name
from refrestore.scan.photos import Rejected, faces_of_pictures
from refrestore.scan.scan import Progress, scan
from refrestore.types import Identity, ImageArray, Reference

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

DOMINATES = 2.0
"""How many times as long as the next person somebody must be on screen for a video to be theirs."""

PAIR_THRESHOLD = 0.26
"""Least similarity of two photos that speak for one another: 99 % of pairs of two people stay
below (`python benchmarks/profile_matching.py`). Who belongs is then decided by the centroid."""


@dataclass(frozen=True)
class Built:
    """A profile that was made.

    Parameters
    ----------
    profile
        As it was saved.
    folder
        Where.
    rejected
        Pictures and close-ups that were not used, and why.
    """

    profile: Profile
    folder: Path
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True)
class _Source:
    """References that are said to show one person; `name` is for messages."""

    name: str
    references: tuple[Reference, ...]
    recogniser: str


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
        raise UsageError("A profile is built from a project, photos or a video: name at least one.")
    if identity is not None and len(videos) != 1:
        raise UsageError("An identity is named for one video; give exactly one.")
    name = check_name(name)
    if not replace_existing and name in store.list():
        raise ProfileError(
            f"There is a profile {name!r} already: choose another name or ask for it to be "
            "replaced."
        )
    sources = [_of_project(project, number) for project, number in from_projects]
    rejected: list[Rejected] = []
    if photos:
        album, unusable = _of_photos(photos, runtime, progress)
        sources.append(album)
        rejected += unusable
    sources += [_of_video(video, identity, runtime, progress) for video in videos]
    agreed = []
    for source in sources:
        kept, outsiders = _majority(source)
        agreed.append(kept)
        rejected += outsiders
    _check_one_person(agreed)
    references = choose([one for source in agreed for one in source.references])
    profile = Profile(name, tuple(references), recogniser=_common_recogniser(agreed))
    folder = store.save(profile, replace_existing=replace_existing)
    return Built(profile, folder, tuple(rejected))


def pictures_in(paths: Iterable[Path]) -> list[Path]:
    """Return the pictures among files and folders, by name within each folder.

    Raises
    ------
    UsageError
        When a path does not exist or a folder holds no picture.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
            if not inside:
                raise UsageError(f"There is no picture in {path}.")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UsageError(f"There is no file or folder {path}.")
    return found


def _of_project(project: Project, number: int) -> _Source:
    person = project.identity(number)
    references = project.references(number)
    if not references:
        raise ProfileError(
            f"{person.name} has no close-up in {project.folder} that is large and sharp enough for "
            "a profile: add photos or another video."
        )
    info = project.scan_info()
    recogniser = "" if info is None else info.recogniser
    return _Source(f"{project.folder}:{number}", tuple(references), recogniser)


def _of_photos(
    paths: Sequence[Path], runtime: RuntimeSettings, progress: Progress | None
) -> tuple[_Source, tuple[Rejected, ...]]:
    pictures = pictures_in(paths)
    pack = load_face_pack(runtime)
    models = load_face_models(pack, runtime.device, threads=runtime.threads)
    found = faces_of_pictures(_counted(pictures, progress), models)
    source = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    if not found.references:
        first = found.rejected[0]
        raise ProfileError(f"No photo in {source} can be used; {first.source}: {first.reason}.")
    return _Source(source, found.references, pack.recogniser.stem), found.rejected


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
    video: Path, identity: int | None, runtime: RuntimeSettings, progress: Progress | None
) -> _Source:
    with tempfile.TemporaryDirectory(prefix="refrestore-") as folder:
        scan(video, Path(folder), settings=ScanSettings(), runtime=runtime, progress=progress)
        with Project.open(Path(folder)) as project:
            people = project.identities()
            if identity is None:
                number = _dominating(people, video)
            elif identity in {one.id for one in people}:
                number = identity
            else:
                raise ProfileError(f"{video} has no identity {identity}: {_introduce(people)}.")
            references = tuple(project.references(number))
            info = project.scan_info()
    if not references:
        raise ProfileError(
            f"{video} shows identity {number} never large and sharp enough for a profile: take a "
            "closer video or photos."
        )
    return _Source(str(video), references, "" if info is None else info.recogniser)


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


def _majority(source: _Source) -> tuple[_Source, list[Rejected]]:
    """Keep the references of the person that most of them show.

    Raises
    ------
    ProfileError
        When no person is shown by more than half of them.
    """
    references = source.references
    embeddings = np.stack([one.embedding for one in references])
    friends = embeddings @ embeddings.T >= PAIR_THRESHOLD
    centre = statistics(embeddings[friends[np.argmax(friends.sum(axis=1))]]).centroid
    for _ in range(2):  # the centre settles on those it is the centre of
        alike = embeddings @ centre
        own = alike >= BELONG_THRESHOLD
        if 2 * np.count_nonzero(own) <= len(references):
            raise ProfileError(
                f"{source.name} shows different people, none of them in most pictures: keep only "
                "pictures of one person."
            )
        centre = statistics(embeddings[own]).centroid
    own = embeddings @ centre >= BELONG_THRESHOLD
    rejected = [
        Rejected(one.source, f"it shows somebody else than the others (similarity {value:.2f})")
        for one, value, belongs in zip(references, embeddings @ centre, own, strict=True)
        if not belongs
    ]
    kept = tuple(one for one, belongs in zip(references, own, strict=True) if belongs)
    return _Source(source.name, kept, source.recogniser), rejected


def _check_one_person(sources: Sequence[_Source]) -> None:
    centres = [statistics(np.stack([r.embedding for r in s.references])).centroid for s in sources]
    for number, source in enumerate(sources):
        for other in range(number):
            value = float(centres[number] @ centres[other])
            if value < BELONG_THRESHOLD:
                raise ProfileError(
                    f"{sources[other].name} and {source.name} show two people (similarity "
                    f"{value:.2f}, {BELONG_THRESHOLD:.2f} is the least of one person): leave one "
                    "out."
                )


def _common_recogniser(sources: Sequence[_Source]) -> str:
    known = sorted({source.recogniser for source in sources if source.recogniser})
    if len(known) > 1:
        raise ProfileError(
            f"The sources were seen by different recognisers ({', '.join(known)}): scan the "
            "projects again with the same --pack."
        )
    return known[0] if known else ""
