"""A profile as one file: a zip archive, the same bytes for the same profile, trusted in nothing."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from refrestore.errors import ProfileError
from refrestore.media.files import write_file
from refrestore.plain_file import BROKEN_ZIP, check_plain, open_zip

from .document import (
    FILE_NAME,
    MOST_REFERENCES,
    SIZE_LIMITS,
    named_files,
    read_document,
    unpack,
)
from .profile import Profile

SUFFIX = ".refprofile"

MOST_MEMBERS = MOST_REFERENCES + 3

MOST_BYTES = (MOST_MEMBERS + 1) * max(SIZE_LIMITS.values())
"""A larger file is not even read."""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of others, a header of a few bytes can ask for gigabytes."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = (stat.S_IFREG | 0o644) << 16
_UNIX = 3


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write files as one archive, in the order of their names, without dates or owners.

    Raises
    ------
    DiskError
        When it cannot be written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system, member.external_attr = _UNIX, _MODE
            archive.writestr(member, files[name])
    write_file(path, buffer.getvalue())


def read_archive(path: Path) -> Profile:
    """Return the profile in an archive; nothing is written anywhere.

    Raises
    ------
    ProfileError
        When it is no such archive, or a member's name, kind, size, digest or content is not what
        it must be.
    """
    try:
        if check_plain(path).st_size > MOST_BYTES:
            raise ProfileError(f"{path} is too large for a profile.")
        with open_zip(path) as archive:
            members = _members(archive, path)
            reader = _ArchiveReader(archive, members, path)
            document = read_document(reader, str(path))
            stray = sorted(set(members) - {*named_files(document), "profile.json"})
            if stray:
                raise ProfileError(f"{path} holds {stray[0]}, which no profile of it names.")
            return unpack(reader, str(path))
    except FileNotFoundError as error:
        raise ProfileError(f"There is no file {path}.") from error
    except OSError as error:
        raise ProfileError(f"{path} cannot be read ({error.strerror or error}).") from error
    except BROKEN_ZIP as error:
        raise ProfileError(f"{path} is no undamaged profile file ({error}).") from error


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        raise ProfileError(f"{path} holds {len(infos)} files, a profile {MOST_MEMBERS} at most.")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename
        if not FILE_NAME.fullmatch(name) or info.orig_filename != name:
            raise ProfileError(f"{path} holds {name[:80]!r}, which is no file of a profile.")
        if name in members:
            raise ProfileError(f"{path} holds {name} twice.")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or info.flag_bits & 1:
            raise ProfileError(f"{name} in {path} is no plain file.")
        if info.compress_type not in _COMPRESSIONS:
            raise ProfileError(f"{name} in {path} is compressed as no file of a profile is.")
        if info.file_size > SIZE_LIMITS[name.rpartition(".")[2]]:
            raise ProfileError(f"{name} in {path} is too large ({info.file_size} bytes).")
        members[name] = info
    return members


class _ArchiveReader:
    def __init__(
        self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], path: Path
    ) -> None:
        self._archive, self._members, self._path = archive, members, path

    def __call__(self, name: str, limit: int) -> bytes:
        if name not in self._members:
            raise ProfileError(f"{name} is missing in {self._path}.")
        with self._archive.open(self._members[name]) as file:
            content = file.read(limit + 1)  # sizes in the directory may lie
        if len(content) > limit:
            raise ProfileError(f"{name} in {self._path} is too large (over {limit} bytes).")
        return content
