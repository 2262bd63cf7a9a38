"""Where model files lie on this machine: find, verify, fetch."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path, user_data_path

from refrestore.config import (
    MODELS_VARIABLE,
    RuntimeSettings,
    models_directories,
    tree_directory,
)
from refrestore.errors import DiskError, ModelError, UsageError
from refrestore.file_names import readable_name
from refrestore.plain_file import is_plain
from refrestore.types import ProgressCallback

from .catalogue import LITE_FOLDER, Catalogue, ModelFile, file_digest
from .download import Download, extract_member

DIGEST_EVERY_TIME = 32 << 20
"""Files below this many bytes are digested at each use; larger ones once per size and time."""

VOUCHED = ".sha256"
"""Ends the name of the note beside a file whose digest a user vouches for (as of `sha256sum`)."""

_DIGEST = re.compile(r"[0-9a-f]{64}")

FileState = Literal["present", "missing", "wrong digest", "no digest"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileStatus:
    """A catalogue file and what this machine has of it."""

    file: ModelFile
    path: Path | None
    state: FileState


class ModelStore:
    """Model files of this machine.

    Parameters
    ----------
    settings
        Says which folders are searched; see `config.models_directories`.
    catalogue
        By default the project's own.

    Notes
    -----
    A folder serves a catalogue name directly or in its sub-folder `lite`. A file is used only if
    its digest is the catalogue's or, where that has none, the one that a user vouched for.
    """

    def __init__(self, settings: RuntimeSettings, catalogue: Catalogue | None = None) -> None:
        self.catalogue = catalogue or Catalogue.load()
        self._settings = settings
        self._digests = _DigestCache(user_cache_path("refrestore") / "model-digests.json")

    @property
    def directories(self) -> list[Path]:
        """Folders searched, first match wins."""
        return models_directories(self._settings)

    @property
    def download_directory(self) -> Path:
        """Folder that `fetch` writes to: the one asked for, the working tree's, the user's."""
        wanted = self._settings.models_dir or os.environ.get(MODELS_VARIABLE)
        if wanted:
            return Path(wanted)
        if _working_tree() is not None:
            return tree_directory("models")
        return user_data_path("refrestore") / "models"

    def find(self, name: str) -> Path | None:
        """Return where a file of this name lies, unverified, or None."""
        candidates = (
            folder / sub / name for folder in self.directories for sub in ("", LITE_FOLDER)
        )
        return next(filter(is_plain, candidates), None)

    def locate(self, name: str) -> Path:
        """Return the verified path of a catalogue file.

        Raises
        ------
        ModelError
            If the catalogue does not know it, no folder has it, or its digest is wrong.
        """
        status = self.verify(name)
        if status.path is not None and status.state == "present":
            return status.path
        if status.state == "wrong digest":
            advice = (
                "check it out again, or after a training run `python -m refrestore.models "
                "--update-lite`"
                if status.file.trained_here
                else f"delete it{_then_fetch(status.file)}"
            )
            raise ModelError(
                f"{status.path} is not the {name} of the catalogue (its SHA-256 differs) and is "
                f"not used; {advice}."
            )
        if status.state == "no digest" and status.file.unconfirmed:
            raise ModelError(
                f"{status.path} is not used without a digest{_then_fetch(status.file)}."
            )
        if status.state == "no digest":
            raise ModelError(
                f"The catalogue has no digest of {status.path}, so it is not used; after a "
                "training run `python -m refrestore.models --update-lite`."
            )
        looked = ", ".join(map(str, self.directories))
        raise ModelError(f"{name} is in none of {looked}{_then_fetch(status.file)}.")

    def verify(self, name: str, *, thorough: bool = False) -> FileStatus:
        """Find a catalogue file and compare its digest.

        Parameters
        ----------
        name
            Its name in the catalogue.
        thorough
            Digest it now, whatever an earlier run found.

        Raises
        ------
        ModelError
            If the catalogue does not know it, or it cannot be read.
        """
        file = self.catalogue[name]
        path = self.find(name)
        if path is None:
            return FileStatus(file, None, "missing")
        try:
            wanted = _vouched(path) if file.unconfirmed else file.sha256
            if wanted is None:
                return FileStatus(file, path, "no digest")
            same = self._digests.of(path, fresh=thorough) == wanted
        except OSError as error:
            raise ModelError(
                f"{path} cannot be read ({error.strerror}); repair it, or name another folder with "
                "--models-dir."
            ) from error
        return FileStatus(file, path, "present" if same else "wrong digest")

    def verify_all(self, names: Iterable[str] | None = None) -> list[FileStatus]:
        """Digest files anew: those of the packs and names given, or all that are here."""
        if names is not None:
            chosen = self.catalogue.select(names)
        else:
            chosen = tuple(file for file in self.catalogue.files if self.find(file.name))
        return [self.verify(file.name, thorough=True) for file in chosen]

    def fetch(
        self,
        names: Iterable[str],
        progress: ProgressCallback | None = None,
        announce: Callable[[str], None] = _log.info,
        sha256: str | None = None,
    ) -> list[Path]:
        """Make files present: download, or take out of an archive, what is not there yet.

        Parameters
        ----------
        names
            Pack and file names.
        progress
            Called with file name, bytes present, bytes in all.
        announce
            Called with one line before each connection: what, from where, its licence.
        sha256
            Digest that the user vouches for, of one file of which the catalogue has none. It is
            noted beside the file.

        Returns
        -------
        list of Path
            One verified path for each file asked for. An archive that was downloaded for them is
            deleted once nothing more is needed from it.

        Raises
        ------
        ModelError
            If a file has no download and is nowhere, its digest is neither known nor given, or as
            `Download.run` says.
        UsageError
            If what is given is no digest, or not for one file that needs it.
        DiskError
            If something cannot be written.
        """
        files = self.catalogue.select(list(names))
        if sha256 is not None:
            return [self._fetch_vouched(_the_one(files), _digest(sha256), progress, announce)]
        for file in files:
            if file.unconfirmed and self.verify(file.name).state != "present":
                raise ModelError(
                    f"No two public sources confirm a digest of {file.name}: fetch it by itself, "
                    "with the digest that you trust after --sha256."
                )
        archives = dict.fromkeys(file.archive for file in files if file.archive is not None)
        passing = [name for name in archives if self.find(name) is None]
        paths = [self._fetch(file, progress, announce) for file in files]
        for name in passing:
            archive = self.find(name)
            if archive is not None and not self._archive_needed(name):
                archive.unlink()
        return paths

    def _fetch(
        self, file: ModelFile, progress: ProgressCallback | None, announce: Callable[[str], None]
    ) -> Path:
        if self.verify(file.name).state == "present":
            return self.locate(file.name)
        target = self.download_directory / file.folder / file.name
        if file.sha256 is None or (file.url is None and file.archive is None):
            return self.locate(file.name)  # says what is missing
        if file.archive is not None and file.member is not None:
            archive = self._fetch(self.catalogue[file.archive], progress, announce)
            announce(f"{file.name}: from {archive} [licence: {file.licence}]")
            extract_member(archive, file.member, target, file.sha256)
        elif file.url is not None:
            _download(file, file.sha256, target, progress, announce)
        return self.locate(file.name)

    def _fetch_vouched(
        self,
        file: ModelFile,
        sha256: str,
        progress: ProgressCallback | None,
        announce: Callable[[str], None],
    ) -> Path:
        """Make a file present whose digest is a user's word, and note that word beside it."""
        path = self.find(file.name)
        if path is None or self._digests.of(path) != sha256:
            path = self.download_directory / file.folder / file.name
            _download(file, sha256, path, progress, announce)
        note = path.with_name(path.name + VOUCHED)
        try:
            note.write_text(f"{sha256}  {path.name}\n", "utf-8")
        except OSError as error:
            raise DiskError(f"{note} cannot be written: {error.strerror}.") from error
        return self.locate(file.name)

    def _archive_needed(self, archive: str) -> bool:
        """Whether a file of the archive has not been taken out yet."""
        return any(
            self.find(file.name) is None
            for file in self.catalogue.files
            if file.archive == archive and file.packs
        )


class _DigestCache:
    """Digests of large files, remembered by path, size and modification time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, file: Path, *, fresh: bool = False) -> str:
        facts = file.stat()
        if facts.st_size < DIGEST_EVERY_TIME:
            return file_digest(file)
        key = str(file.resolve())
        stamp = [facts.st_size, facts.st_mtime_ns]
        known = self._read()
        entry = known.get(key)
        if not fresh and isinstance(entry, list) and entry[:2] == stamp and len(entry) == 3:
            return str(entry[2])
        digest = file_digest(file)
        self._write({**known, key: [*stamp, digest]})
        return digest

    def _read(self) -> dict[str, object]:
        try:
            known = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _write(self, known: dict[str, object]) -> None:
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(known), "utf-8")
            temporary.replace(self._path)
        except OSError as error:  # only costs time: the file is digested again
            _log.debug("digest cache %s not written: %s", self._path, error)


def _working_tree() -> Path | None:
    """Return the root of the working tree, or None for an installed package."""
    root = tree_directory("models").parent
    return root if (root / "pyproject.toml").is_file() else None


def _download(
    file: ModelFile,
    sha256: str,
    target: Path,
    progress: ProgressCallback | None,
    announce: Callable[[str], None],
) -> None:
    assert file.url is not None
    size = "size unknown" if file.bytes is None else f"{file.bytes / 1e6:.1f} MB"
    announce(f"{file.name}: {size} from {file.url} [licence: {file.licence}]")
    Download(file.url, target, file.bytes, sha256).run(progress)


def _the_one(files: Sequence[ModelFile]) -> ModelFile:
    """Return the file that a user vouches for."""
    known = next((file for file in files if not file.unconfirmed), None)
    if known is not None:
        raise UsageError(f"--sha256 is not for {known.name}: the catalogue knows its digest.")
    if len(files) != 1:
        raise UsageError("--sha256 is the digest of one file: fetch one at a time.")
    return files[0]


def _digest(text: str) -> str:
    if not _DIGEST.fullmatch(text.lower()):
        raise UsageError(f"{readable_name(text)} is no SHA-256: that is 64 hexadecimal digits.")
    return text.lower()


def _vouched(path: Path) -> str | None:
    """Return the digest that a user vouched for, from beside a file."""
    note = path.with_name(path.name + VOUCHED)
    if not is_plain(note):
        return None
    found = _DIGEST.match(note.read_text("ascii", errors="replace"))
    return found[0] if found else None


def _then_fetch(file: ModelFile) -> str:
    if file.unconfirmed:
        return f"; run: refrestore models fetch {file.name} --sha256 DIGEST"
    if file.url is not None or file.archive is not None:
        what = file.packs[0] if file.packs else file.name
        return f"; run: refrestore models fetch {what}"
    if file.trained_here:
        return "; install refrestore again"
    return "; it has no download, so put it into a folder and name that with --models-dir"
