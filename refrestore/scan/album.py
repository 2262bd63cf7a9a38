"""Profiles of everybody whom an album names: face regions in photos' XMP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from refrestore.config import RuntimeSettings
from refrestore.errors import MediaError, ProfileError
from refrestore.faces.analyser import FaceModels, load_face_models
from refrestore.file_names import readable_name
from refrestore.media.regions import FaceRegion, face_regions
from refrestore.media.stills import pictures_below
from refrestore.profiles import ProfileStore
from refrestore.profiles.document import check_name
from refrestore.scan.build import Built, make_profile, teach_profile
from refrestore.scan.networks import Sight, Source
from refrestore.scan.photos import Rejected, Tagged, faces_of_pictures, unreadable, why_none
from refrestore.scan.scan import Progress

MOST_FACES = 120
"""Photos of one person that are looked at, those with the largest regions: five times what a
profile keeps, and 100 MB."""

Named = Mapping[str, Sequence[tuple[Path, FaceRegion]]]


@dataclass(frozen=True)
class AlbumPerson:
    """What became of somebody whom an album names.

    Parameters
    ----------
    name
        Who.
    photos
        How many photos name them.
    built
        The profile that was made or taught; None where there is none.
    taught
        Whether there was one before.
    problem
        Why there is none, a sentence.
    rejected
        Photos that were not used, and why.
    """

    name: str
    photos: int
    built: Built | None
    taught: bool
    problem: str | None
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True)
class AlbumProfiles:
    """What an album gave.

    Parameters
    ----------
    people
        By name.
    unread
        Photos, or the regions of photos, that cannot be read.
    """

    people: tuple[AlbumPerson, ...]
    unread: tuple[Rejected, ...]


def build_from_album(
    folder: Path,
    *,
    name: str | None = None,
    store: ProfileStore,
    runtime: RuntimeSettings,
    replace_existing: bool = False,
    progress: Progress | None = None,
) -> AlbumProfiles:
    """Make a profile of everybody whom the photos in a folder name, or teach it.

    Of each photo only the face in the region is taken. A profile that is there already learns from
    the album, as `update_profile` does. Somebody of whom no profile can be made does not stop the
    others.

    Parameters
    ----------
    folder
        Photos, also in folders inside it.
    name
        Only this person.
    store
        Where to save profiles.
    runtime
        Where to compute and with which models.
    replace_existing
        Whether profiles that are there are made anew instead.
    progress
        Told about stage "photos".

    Raises
    ------
    ProfileError
        When no photo names anybody, or `name`, or nobody can be made a profile of.
    MediaError, UsageError
        When `folder` is none, or holds no picture.
    ModelError, DiskError
        When a network cannot be opened, or a profile not be written.
    """
    named, unread = _read(folder)
    named = _asked_for(named, name, folder, unread)
    sight = Sight(runtime)
    models = load_face_models(sight.pack, runtime.device, threads=runtime.threads)
    counter = _Counter(progress, sum(min(MOST_FACES, len(photos)) for photos in named.values()))
    maker = _ProfileMaker(store, sight, models, replace_existing, counter)
    people = tuple(maker.made(who, named[who]) for who in sorted(named))
    counter.end()
    if not any(one.built for one in people):
        more = f" (and {len(people) - 1} more people)" if len(people) > 1 else ""
        raise ProfileError(f"No profile was made: {people[0].name}{more}: {people[0].problem}")
    return AlbumProfiles(people, unread)


def _read(folder: Path) -> tuple[Named, tuple[Rejected, ...]]:
    """Return the photos of everybody who is named, and those that cannot be read."""
    named: dict[str, list[tuple[Path, FaceRegion]]] = {}
    unread = []
    for picture in pictures_below(folder):
        found = _regions(picture)
        if isinstance(found, Rejected):
            unread.append(found)
            continue
        for region in found:
            named.setdefault(region.name, []).append((picture, region))
    return named, tuple(unread)


def _regions(picture: Path) -> tuple[FaceRegion, ...] | Rejected:
    try:
        return face_regions(picture)
    except MediaError as error:
        return unreadable(picture, error)


def _asked_for(named: Named, name: str | None, folder: Path, unread: Sequence[Rejected]) -> Named:
    if name is not None:
        wanted = check_name(name)
        named = {who: photos for who, photos in named.items() if who == wanted}
    if named:
        return named
    whom = "a name" if name is None else f"the name {name!r}"
    first = f"; {unread[0].source}: {unread[0].reason}" if unread else ""
    raise ProfileError(
        f"No photo in {readable_name(folder)} has a face region with {whom} (digiKam, Picasa and "
        f"Lightroom write them where they are told to save faces to the files){first}."
    )


class _Counter:
    """Tells how many faces of all people have been looked at."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def over(self, photos: Iterable[Tagged]) -> Iterable[Tagged]:
        for photo in photos:
            self._tell()
            yield photo
            self._done += 1

    def end(self) -> None:
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress("photos", self._done, self._total)


@dataclass(frozen=True)
class _ProfileMaker:
    store: ProfileStore
    sight: Sight
    models: FaceModels
    replace_existing: bool
    counter: _Counter

    def made(self, name: str, photos: Sequence[tuple[Path, FaceRegion]]) -> AlbumPerson:
        """Return what becomes of a person."""
        taught = False
        rejected: tuple[Rejected, ...] = ()
        try:
            known = check_name(name) in self.store.list()
            taught = known and not self.replace_existing
            largest = sorted(photos, key=lambda one: -_area(one[1]))[:MOST_FACES]
            tagged = [Tagged(path, region.boxes) for path, region in largest]
            found = faces_of_pictures(self.counter.over(tagged), self.models)
            rejected = found.rejected
            if not found.references:
                raise ProfileError(f"none of the photos can be used; {why_none(rejected)}.")
            source = Source("the album", found.references, self.sight.network)
            built = self._built(name, source, taught)
        except ProfileError as error:
            return AlbumPerson(name, len(photos), None, taught, str(error), rejected)
        built = replace(built, rejected=(*rejected, *built.rejected))
        return AlbumPerson(name, len(photos), built, taught, None, built.rejected)

    def _built(self, name: str, source: Source, taught: bool) -> Built:
        if taught:
            return teach_profile(name, [source], store=self.store, sight=self.sight)
        return make_profile(
            name,
            [source],
            store=self.store,
            sight=self.sight,
            replace_existing=self.replace_existing,
        )


def _area(region: FaceRegion) -> float:
    left, top, right, bottom = region.boxes[0]
    return (right - left) * (bottom - top)
