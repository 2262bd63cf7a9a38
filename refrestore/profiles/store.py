"""The folder that holds profiles, one folder a person."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import stat
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from refrestore.errors import ProfileError
from refrestore.faces.network_id import NetworkId
from refrestore.media.files import disk_error, write_file
from refrestore.plain_file import read_plain
from refrestore.storage.lock import FileLock
from refrestore.storage.private import PRIVATE_FOLDER
from refrestore.types import FloatArray

from .archive import read_archive, write_archive
from .calibration import calibrated
from .cosines import cosines
from .document import DOCUMENT, check_name, pack, unpack, unpack_embeddings, without_frames
from .profile import Profile, check_network, same_people

_log = logging.getLogger(__name__)

LOCK = ".lock"
PARTIAL = ".partial-"
REPLACED = ".replaced-"

LOCK_SECONDS = 20.0
"""How long to wait for another process's change to the store; a change takes a second or less."""


class ProfileStore:
    """Profiles by name.

    A profile appears, changes and disappears as a whole: it is written beside its place and
    renamed, and what a killed process left behind is put right at the next change. One process
    changes the store at a time; another waits for it, and says so.

    Parameters
    ----------
    directory
        Made when the first profile is saved.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)

    def list(self) -> list[str]:
        """Return the names of all profiles, in alphabetical order, damaged ones among them.

        Raises
        ------
        ProfileError
            When the folder cannot be read.
        """
        return sorted(self._folders())

    def load(self, name: str) -> Profile:
        """Return a profile, all its files checked against their digests.

        Raises
        ------
        ProfileError
            When there is none, or a file is missing or has changed; names the file.
        """
        folder = self.path(name)
        profile = unpack(_FolderReader(folder), str(folder))
        if profile.name != check_name(name):
            raise ProfileError(
                f"The folder {folder} holds the profile {profile.name!r}: rename the folder so."
            )
        return profile

    def load_all(self) -> tuple[Profile, ...]:
        """Return all profiles, in alphabetical order."""
        return tuple(map(self.load, self.list()))

    def path(self, name: str) -> Path:
        """Return the folder of a profile.

        Raises
        ------
        ProfileError
            When there is none of this name.
        """
        wanted = check_name(name)
        if (self.directory / wanted / DOCUMENT).is_file():
            return self.directory / wanted
        known = self._folders()  # which may have brought it back
        if wanted not in known:
            have = f"it has: {', '.join(sorted(known))}" if known else "it has none"
            raise ProfileError(f"There is no profile {name!r} in {self.directory} ({have}).")
        return known[wanted]

    def save(self, profile: Profile, *, replace_existing: bool = False) -> Path:
        """Write a profile; return its folder.

        Raises
        ------
        ProfileError
            When one of this name exists and is not to be replaced.
        DiskError
            When it cannot be written; the old one is as it was.
        """
        files = pack(without_frames(profile))
        name = check_name(profile.name)
        with self._changing():
            folder = self.directory / name
            if folder.exists() and not replace_existing:
                raise ProfileError(
                    f"There is a profile {name!r} in {self.directory} already: choose another "
                    "name, or replace it with --replace."
                )
            self._write(folder, files)
        return folder

    def change(self, name: str, change: Callable[[Profile], Profile]) -> tuple[Profile, Path]:
        """Read a profile, change it and write it, without anybody else's change in between.

        Parameters
        ----------
        name
            The profile's.
        change
            Gives the new one of the same name. Must not write to the store, which waits for it.

        Returns
        -------
        profile
            As it was saved.
        folder
            Where.

        Raises
        ------
        ProfileError
            When there is none of this name, or another process has been changing the store for
            too long.
        DiskError
            When it cannot be written; the old one is as it was.
        """
        self.path(name)
        with self._changing():
            changed = change(self.load(name))
            folder = self.path(name)
            self._write(folder, pack(without_frames(changed)))
        return changed, folder

    def remove(self, name: str) -> None:
        """Delete a profile.

        Raises
        ------
        ProfileError
            When there is none of this name.
        """
        self.path(name)
        with self._changing():
            self._discard(self.path(name))

    def others(self, name: str, network: NetworkId) -> dict[str, FloatArray]:
        """Return the (N, 512) embeddings of all other profiles of a network, by name.

        Damaged profiles are left out, with a warning: they are nothing to this one.
        """
        found = {}
        for other in self.list():
            folder = self.directory / other
            if other == name:
                continue
            try:
                seen_by, embeddings = unpack_embeddings(_FolderReader(folder), str(folder))
            except ProfileError as error:
                _log.warning("%s The other profiles are calibrated without it.", error)
                continue
            if seen_by.name == network.name and not seen_by.contradicts(network):
                found[other] = embeddings
        return found

    def merge(self, name: str, others: Sequence[str], *, into: str | None = None) -> Profile:
        """Make profiles of one person one profile, calibrated anew, and delete the others.

        Parameters
        ----------
        name
            The first of them.
        others
            The rest.
        into
            What the one profile is called, `name` by default. It may be one of them.

        Raises
        ------
        ProfileError
            When one of them is somebody else, or was made with another recogniser, or there is
            another profile named `into`.
        """
        taken = list(dict.fromkeys(map(check_name, (name, *others))))
        target = check_name(into or name)
        if len(taken) == 1 and target == taken[0]:
            raise ProfileError(f"{taken[0]} is one profile already: name another to merge it with.")
        for one in taken:
            self.path(one)
        with self._changing():
            if target not in taken and target in self.list():
                raise ProfileError(
                    f"There is a profile {target!r} in {self.directory} already: choose another "
                    "name or merge it as well."
                )
            first, *rest = map(self.load, taken)
            merged = replace(first, name=target)
            for other in rest:
                merged = _merged(merged, other, first.name)
            strangers = self.others(target, merged.network)
            merged = calibrated(merged, [strangers[one] for one in strangers if one not in taken])
            self._write(self.directory / target, pack(without_frames(merged)))
            for one in taken:
                if one != target:
                    self._discard(self.path(one))
        return merged

    def export_file(self, name: str, path: Path) -> Path:
        """Write a profile as one file; the same profile always gives the same bytes.

        Raises
        ------
        ProfileError
            When the profile is damaged, or `path` exists.
        DiskError
            When it cannot be written.
        """
        if path.exists():
            raise ProfileError(f"{path} exists already: choose another name or remove it.")
        write_archive(path, pack(self.load(name)))
        return path

    def import_file(
        self, path: Path, *, name: str | None = None, replace_existing: bool = False
    ) -> Profile:
        """Add the profile in an exported file.

        Everything is checked before a byte is written: the names, number, sizes and digests of
        the files in it, pictures, numbers and version.

        Parameters
        ----------
        path
            The file.
        name
            Another name to give it.
        replace_existing
            Whether a profile of the name may be replaced.

        Raises
        ------
        ProfileError
            When something is not as it must be; names it.
        """
        profile = read_archive(path)
        if name is not None:
            profile = replace(profile, name=check_name(name))
        self.save(profile, replace_existing=replace_existing)
        return profile

    def _folders(self) -> dict[str, Path]:
        """Return the folder of each profile; one without any file of a profile is damaged too."""
        self._recover()
        try:
            return {
                unicodedata.normalize("NFC", entry.name): entry
                for entry in self.directory.iterdir()
                if not entry.name.startswith(".") and entry.is_dir()
            }
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ProfileError(
                f"The profiles in {self.directory} cannot be read ({error.strerror})."
            ) from error

    def _write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        partial = self.directory / f"{PARTIAL}{secrets.token_hex(8)}"
        try:
            # A new profile is its owner's; one that was shared on purpose stays shared.
            mode = stat.S_IMODE(folder.stat().st_mode) if folder.exists() else PRIVATE_FOLDER
            partial.mkdir(mode=mode)
            for file, content in files.items():
                (partial / file).parent.mkdir(exist_ok=True, mode=mode)
                write_file(partial / file, content, mode=mode & 0o666)
            self._put(partial, folder)
        except OSError as error:
            raise disk_error(folder, error) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _discard(self, folder: Path) -> None:
        gone = self.directory / f"{PARTIAL}{secrets.token_hex(8)}"
        try:
            os.replace(folder, gone)
        except OSError as error:
            raise disk_error(folder, error) from error
        shutil.rmtree(gone, ignore_errors=True)

    def _put(self, partial: Path, folder: Path) -> None:
        if not folder.exists():
            os.replace(partial, folder)
            return
        # A folder cannot be replaced in one step; `_restore` knows what an interrupted one means.
        old = self.directory / f"{REPLACED}{secrets.token_hex(8)}-{folder.name}"
        os.replace(folder, old)
        os.replace(partial, folder)
        shutil.rmtree(old, ignore_errors=True)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        except OSError as error:
            raise disk_error(self.directory, error) from error
        lock = FileLock(self.directory / LOCK)
        if not lock.wait(LOCK_SECONDS, f"the profiles in {self.directory}"):
            raise ProfileError(
                f"The profiles in {self.directory} are still being changed{lock.holder()} after "
                f"{LOCK_SECONDS:.0f} s: nothing was done, try again when that has ended."
            )
        try:
            self._restore()
            yield
        finally:
            lock.release()

    def _recover(self) -> None:
        """Put right what a killed process left, unless a living one is at work."""
        if not self._remains():
            return
        try:
            lock = FileLock(self.directory / LOCK)
            if lock.acquire():
                try:
                    self._restore()
                finally:
                    lock.release()
        except OSError:  # a store that cannot be written to is read as it is
            return

    def _restore(self) -> None:
        for entry in self._remains():
            if entry.name.startswith(REPLACED):
                folder = self.directory / entry.name[len(REPLACED) :].partition("-")[2]
                if not folder.exists():
                    os.replace(entry, folder)
                    continue
            shutil.rmtree(entry, ignore_errors=True)

    def _remains(self) -> Sequence[Path]:
        if not self.directory.is_dir():
            return []
        return [
            entry
            for entry in self.directory.iterdir()
            if entry.name.startswith((PARTIAL, REPLACED))
        ]


def _merged(merged: Profile, other: Profile, name: str) -> Profile:
    check_network(other, merged.network)
    recogniser = merged.recogniser or other.recogniser
    same, why = same_people(merged.embeddings, other.embeddings, cosines(recogniser))
    if not same:
        raise ProfileError(
            f"The profiles {name} and {other.name} are two people {why}: they cannot be merged."
        )
    taken = [one for one in other.references if merged.belongs(one)]
    digest = merged.recogniser_digest if merged.network == other.network else ""
    merged = replace(merged.extended(taken), recogniser=recogniser, recogniser_digest=digest)
    memory = merged.memory.with_memory(other.memory, merged.references)
    return replace(merged, memory=memory)


class _FolderReader:
    """Reads a profile's files from its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str, limit: int) -> bytes:
        try:
            return read_plain(self._folder / name, limit)
        except FileNotFoundError as error:
            raise ProfileError(
                f"{name} of {self._folder} is missing: restore it or build the profile again."
            ) from error
        except OSError as error:
            raise ProfileError(
                f"{name} of {self._folder} cannot be read ({error.strerror})."
            ) from error
