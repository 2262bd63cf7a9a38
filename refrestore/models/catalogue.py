"""The catalogue: which model files there are, of what digest, licence and use."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from refrestore.config import tree_directory
from refrestore.errors import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

LITE_FOLDER = "lite"
"""Folder of `models/` that holds what is trained here and committed."""

_HASH_BLOCK = 1 << 20


class ModelFile(BaseModel):
    """One file of the catalogue.

    Parameters
    ----------
    name
        File name, unique in the catalogue.
    packs
        Sets it belongs to.
    role
        What it does: detector, recogniser, landmarks, fusion, second stage, parser, …
    url
        Where it is published, or None if it is not downloaded by itself.
    bytes, sha256
        Exact length and digest (lower-case hex). A file without a digest is never loaded, unless a
        user vouches for one (`ModelStore.fetch`).
    licence
        As its publisher states it.
    about
        One sentence for people.
    folder
        Sub-folder of a models folder where it lies; "" for the folder itself.
    archive, member
        Catalogue name of the zip it is taken from, and its name in there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    packs: tuple[str, ...]
    role: str
    url: str | None = None
    bytes: int | None = Field(None, ge=1)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    licence: str
    about: str = ""
    folder: str = ""
    archive: str | None = None
    member: str | None = None

    @field_validator("name", "folder")
    @classmethod
    def _plain(cls, value: str) -> str:
        if value and (PurePosixPath(value).name != value or "\\" in value or value == ".."):
            raise ValueError(f"{value!r} is not a plain file or folder name")
        return value

    @property
    def trained_here(self) -> bool:
        """Whether the file is committed with the project."""
        return self.folder == LITE_FOLDER

    @property
    def unconfirmed(self) -> bool:
        """Whether it can be downloaded, but its digest is a user's word."""
        return self.url is not None and self.sha256 is None


@dataclass(frozen=True)
class Catalogue:
    """All model files, in the order of the TOML file.

    Parameters
    ----------
    files
        Entries; names are unique and archives are entries themselves.
    source
        Where it was read.
    """

    files: tuple[ModelFile, ...]
    source: Path

    def __post_init__(self) -> None:
        names = [file.name for file in self.files]
        for name in names:
            if names.count(name) > 1:
                raise ModelError(f"{self.source} names {name} twice; remove one of the entries.")
        for file in self.files:
            if (file.archive is None) != (file.member is None) or (
                file.archive is not None and file.archive not in names
            ):
                raise ModelError(
                    f"{self.source}: {file.name} needs an archive that is in the catalogue "
                    "and a member of it, or neither."
                )

    @classmethod
    def load(cls, path: Path | None = None) -> Catalogue:
        """Read a catalogue; by default the project's own.

        Raises
        ------
        ModelError
            If it is missing or does not follow the schema.
        """
        source = path or tree_directory("models") / "catalogue.toml"
        try:
            document = tomllib.loads(source.read_text("utf-8"))
            entries = tuple(ModelFile.model_validate(entry) for entry in document["file"])
        except OSError as error:
            raise ModelError(
                f"The model catalogue {source} cannot be read ({error.strerror}); "
                "install refrestore again."
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ModelError(
                f"The model catalogue {source} is damaged at {where}: {first['msg']}."
            ) from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:  # no TOML, no text
            raise ModelError(f"The model catalogue {source} is damaged: {error}.") from error
        return cls(entries, source)

    def __getitem__(self, name: str) -> ModelFile:
        for file in self.files:
            if file.name == name:
                return file
        raise ModelError(
            f"The catalogue has no model file {name!r}; `refrestore models list` shows all."
        )

    @property
    def packs(self) -> tuple[str, ...]:
        """Names of all packs, in order of appearance."""
        return tuple(dict.fromkeys(pack for file in self.files for pack in file.packs))

    def pack(self, name: str) -> tuple[ModelFile, ...]:
        """Return the files of a pack.

        Raises
        ------
        ModelError
            If no file belongs to it.
        """
        files = tuple(file for file in self.files if name in file.packs)
        if not files:
            raise ModelError(f"There is no model pack {name!r}; there are {', '.join(self.packs)}.")
        return files

    def role(self, pack: str, role: str) -> ModelFile | None:
        """Return the file that plays a role in a pack, if it has one."""
        return next((file for file in self.pack(pack) if file.role == role), None)

    def select(self, names: Iterable[str]) -> tuple[ModelFile, ...]:
        """Return the files of these packs and file names, each once, in the order asked for.

        Raises
        ------
        ModelError
            If one is neither.
        """
        chosen: dict[str, ModelFile] = {}
        for name in names:
            packed = name in self.packs
            if not packed and all(file.name != name for file in self.files):
                raise ModelError(
                    f"There is no model pack or file {name!r}; packs are {', '.join(self.packs)}, "
                    "and `refrestore models list` shows all files."
                )
            files = self.pack(name) if packed else (self[name],)
            chosen.update((file.name, file) for file in files)
        return tuple(chosen.values())


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def update_lite(source: Path) -> list[str]:
    """Write length and digest of the files trained here into the catalogue.

    Everything else in the TOML file, comments included, stays as it is.

    Parameters
    ----------
    source
        The catalogue; the files lie in the folder `lite` beside it.

    Returns
    -------
    list of str
        Names of the entries that changed. Entries without a file are left as they are.
    """
    text = source.read_text("utf-8")
    changed = []
    for file in Catalogue.load(source).files:
        path = source.parent / file.folder / file.name
        if not file.trained_here or not path.is_file():
            continue
        facts = f'bytes = {path.stat().st_size}\nsha256 = "{file_digest(path)}"\n'
        start = text.index(f'\nname = "{file.name}"\n') + 1
        blank = re.compile(r"\n(?=\n|\[|\Z)").search(text, start)
        stop = blank.end() if blank else len(text)
        entry = re.sub(r"^(bytes|sha256) = .*\n", "", text[start:stop], flags=re.MULTILINE)
        entry = re.sub(r"^(?=licence = )", facts, entry, count=1, flags=re.MULTILINE)
        if entry != text[start:stop]:
            text = text[:start] + entry + text[stop:]
            changed.append(file.name)
    if changed:
        source.write_text(text, "utf-8")
    return changed
