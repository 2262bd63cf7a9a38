"""Photos for a profile, or for a new one: decoded in a bounded way, checked who they show."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING

from refrestore.config import RuntimeSettings
from refrestore.errors import MediaError, ProfileError
from refrestore.media.stills import decode_picture
from refrestore.profiles import ProfileStore
from refrestore.profiles.profile import check_network

from .cards import Json
from .refusals import ConflictError, NotFoundError

if TYPE_CHECKING:
    from refrestore.faces.analyser import FaceModels
    from refrestore.scan.build import Built
    from refrestore.scan.networks import Sight
    from refrestore.types import Reference

FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/heic": "HEIF",
    "image/heif": "HEIF",
}


MOST_PHOTOS = 100
"""Faces of an album, 0.8 MB each; more can be added to the profile afterwards."""

MOST_ALBUMS = 2
"""Albums that are held; of one that was begun and left, nothing is kept anywhere else."""


@dataclass(frozen=True, eq=False)
class Album:
    """Faces for a profile that is not there yet, in memory only.

    Parameters
    ----------
    faces
        By the number of their photo.
    """

    faces: dict[int, Reference] = field(default_factory=dict)


class PhotoDesk:
    """Takes photos for profiles, one at a time; the networks are opened at the first.

    Parameters
    ----------
    runtime
        Models and device.
    store
        The profiles.
    """

    def __init__(self, runtime: RuntimeSettings, store: ProfileStore) -> None:
        self._runtime, self._store = runtime, store
        self._albums: OrderedDict[int, Album] = OrderedDict()
        self._begun = 0
        self.turn = asyncio.Lock()
        """Whose photo is taken: held from before its bytes are read."""

    @cached_property
    def _sight(self) -> Sight:
        from refrestore.scan.networks import Sight

        return Sight(self._runtime)

    @cached_property
    def _models(self) -> FaceModels:
        from refrestore.faces.analyser import load_face_models

        return load_face_models(
            self._sight.pack, self._runtime.device, threads=self._runtime.threads
        )

    def add(self, name: str, content: bytes) -> Json:
        """Teach a profile one photo.

        Raises
        ------
        ConflictError
            When it plainly shows somebody else; that cannot be insisted on.
        MediaError
            When it is no picture, too large, or shows no face to learn from.
        ProfileError
            When there is no such profile, or the photo is nearer to another one.
        """
        from refrestore.scan.build import teach_profile
        from refrestore.scan.networks import Source

        profile = self._store.load(name)
        network = self._sight.network
        if profile.recogniser == network.name:
            profile, _ = self._sight.fitted(profile)
        check_network(profile, network)
        face = self._face(content, "photo")
        similarity = profile.similarity(face)
        if not profile.belongs(face):
            raise ConflictError(
                f"This is not {name}: its similarity is {similarity:.2f}, and "
                f"{profile.cosines.belongs:.2f} is the least that the same person shows."
            )
        built = teach_profile(
            name,
            [Source("the photo", (face,), network)],
            store=self._store,
            sight=self._sight,
        )
        said = (
            f"Added to {name}: a face of {face.native_size:.0f} px."
            if built.new
            else f"{name} has nothing new to learn from this photo."
        )
        return {"added": built.new, "similarity": round(similarity, 4), "sentence": said}

    def begin_album(self) -> int:
        """Begin the album of a new profile; return its number."""
        self._begun += 1
        self._albums[self._begun] = Album()
        while len(self._albums) > MOST_ALBUMS:
            self._albums.popitem(last=False)
        return self._begun

    def put(self, album: int, content: bytes) -> Json:
        """Put one photo into an album.

        Raises
        ------
        ConflictError
            When the album is full.
        MediaError
            When it is no picture, too large, or shows no face to learn from.
        NotFoundError
            When there is no such album any more.
        """
        faces = self._album(album).faces
        if len(faces) >= MOST_PHOTOS:
            raise ConflictError(
                f"This is enough: a profile is begun with {MOST_PHOTOS} photos at most, and more "
                "can be added to it."
            )
        number = max(faces, default=0) + 1
        faces[number] = face = self._face(content, f"photo {number}")
        return {"photo": number, "sentence": f"A face of {face.native_size:.0f} px."}

    def save(self, album: int, name: str, *, add: bool) -> tuple[Built, list[Json]]:
        """Make a profile of an album, or teach one, and forget the album.

        Returns
        -------
        built
            The profile.
        refused
            Photos that were not used after all, and why.

        Raises
        ------
        NotFoundError
            When there is no such album any more.
        ProfileError
            When its photos show nobody, different people, or somebody else than the profile.
        """
        from refrestore.scan.build import make_profile, teach_profile
        from refrestore.scan.networks import Source

        faces = dict(self._album(album).faces)
        if not faces:
            raise ProfileError("There is no photo to make a profile of yet: add some.")
        sources = [Source("The album", tuple(faces.values()), self._sight.network)]
        work = teach_profile if add else make_profile
        built = work(name, sources, store=self._store, sight=self._sight)
        self._albums.pop(album, None)
        numbers = {face.source: number for number, face in faces.items()}
        return built, [
            {"photo": numbers[one.source], "sentence": f"Not used: {one.reason}."}
            for one in built.rejected
        ]

    def _album(self, number: int) -> Album:
        if number not in self._albums:
            raise NotFoundError("These photos are not held any more: choose them again.")
        return self._albums[number]

    def _face(self, content: bytes, called: str) -> Reference:
        """Return the face that a photo is about."""
        from refrestore.scan.photos import faces_of_pictures

        image = decode_picture(content, formats=tuple(FORMATS.values()))
        found = faces_of_pictures([image], self._models)
        if not found.references:
            raise MediaError(f"The photo was not added: {found.rejected[0].reason}.")
        today = datetime.now(timezone.utc).date().isoformat()
        return replace(found.references[0], source=f"{called} added {today}")
