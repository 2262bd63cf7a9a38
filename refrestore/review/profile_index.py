"""The user's profiles without their pictures: who the people of a project may be."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from refrestore.errors import ProfileError
from refrestore.faces.network_id import NetworkId
from refrestore.profiles import Profile, ProfileStore
from refrestore.profiles.document import DOCUMENT
from refrestore.profiles.profile import check_network
from refrestore.types import Reference

from .thumbnails import COVER, square_jpeg

Stamp = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class IndexedProfile:
    """A profile as the page knows it.

    Parameters
    ----------
    name
        Its name.
    stamp
        Changes whenever the profile does.
    profile
        Its close-ups have no pixels; None where it is damaged.
    cover
        JPEG of the best close-up.
    sentence
        What is wrong with it, if anything is.
    """

    name: str
    stamp: str
    profile: Profile | None
    cover: bytes = b""
    sentence: str | None = None

    def misfit(self, network: NetworkId) -> str | None:
        """Return why it cannot be compared with faces seen by a network, or None."""
        if self.profile is None:
            return self.sentence
        try:
            check_network(self.profile, network)
        except ProfileError as error:
            return str(error)
        return None


class ProfileIndex:
    """The profiles of a folder; each is opened once, and again when it has changed.

    Opening checks every picture, which takes a fifth of a second a profile: the pages that can do
    without ask for what is open `already`, and the rest is opened in a thread.
    """

    def __init__(self, folder: Path) -> None:
        self.store = ProfileStore(folder)
        self._open: dict[str, tuple[Stamp, IndexedProfile]] = {}
        self._mutex = threading.Lock()
        self._reading = threading.Lock()
        self._version = 0

    @property
    def version(self) -> int:
        """Grows when a profile was opened, has changed or has gone."""
        return self._version

    def already(self) -> list[IndexedProfile]:
        """Return the profiles that are open; others are being opened."""
        if self._news() and not self._reading.locked():
            threading.Thread(target=self.all, name="profiles", daemon=True).start()
        with self._mutex:
            return [indexed for _, indexed in self._open.values()]

    def all(self) -> list[IndexedProfile]:
        """Return all profiles, in alphabetical order."""
        with self._reading:
            there = self._stamps()
            with self._mutex:
                known = dict(self._open)
            found = {
                name: known[name]
                if name in known and known[name][0] == stamp
                else (stamp, self._opened(name, stamp))
                for name, stamp in there.items()
            }
            with self._mutex:
                if {n: s for n, (s, _) in found.items()} != {n: s for n, (s, _) in known.items()}:
                    self._version += 1
                self._open = found
            return [indexed for _, indexed in found.values()]

    def get(self, name: str) -> IndexedProfile | None:
        """Return a profile, None if there is none of this name."""
        return next((one for one in self.all() if one.name == name), None)

    def has(self, name: str) -> bool:
        """Say whether there is a profile of this name, open or not."""
        try:
            self.store.path(name)
        except ProfileError:
            return False
        return True

    def _news(self) -> bool:
        there = self._stamps()
        with self._mutex:
            return there != {name: stamp for name, (stamp, _) in self._open.items()}

    def _stamps(self) -> dict[str, Stamp]:
        found = {}
        for name in self.store.list():
            try:
                stat = (self.store.directory / name / DOCUMENT).stat()
            except OSError:  # removed meanwhile
                continue
            found[name] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        return found

    def _opened(self, name: str, stamp: Stamp) -> IndexedProfile:
        said = "-".join(f"{part:x}" for part in stamp)
        try:
            profile = self.store.load(name)
        except ProfileError as error:
            return IndexedProfile(name, said, None, sentence=str(error))
        best = max(profile.references, key=lambda one: one.quality)
        light = replace(profile, references=_without_pixels(profile.references), adapter=None)
        return IndexedProfile(name, said, light, square_jpeg(best.image, COVER))


def _without_pixels(references: Sequence[Reference]) -> tuple[Reference, ...]:
    nothing = np.zeros((0, 0, 3), np.uint8)
    return tuple(replace(one, image=nothing) for one in references)
