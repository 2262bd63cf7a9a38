"""Photos that the user drops on a profile: decoded in a bounded way, checked who they show."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING

from refrestore.config import RuntimeSettings
from refrestore.errors import MediaError
from refrestore.media.stills import decode_picture
from refrestore.project import ProfileStore
from refrestore.project.profile import check_network

from .cards import Json
from .failures import ConflictError

if TYPE_CHECKING:
    from refrestore.faces.analyser import FaceModels
    from refrestore.scan.networks import Sight

FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/heic": "HEIF",
    "image/heif": "HEIF",
}


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
        from refrestore.scan.photos import faces_of_pictures

        profile = self._store.load(name)
        network = self._sight.network
        if profile.recogniser == network.name:
            profile, _ = self._sight.fitted(profile)
        check_network(profile, network)
        image = decode_picture(content, formats=tuple(FORMATS.values()))
        found = faces_of_pictures([image], self._models)
        if not found.references:
            reason = found.rejected[0].reason
            raise MediaError(f"The photo was not added: {reason}.")
        today = datetime.now(timezone.utc).date().isoformat()
        face = replace(found.references[0], source=f"photo added {today}")
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
