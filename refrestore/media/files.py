"""Files: what their names say, and that they are whole or not there."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from refrestore.errors import DiskError, MediaError
from refrestore.file_names import PATH_ERRORS, is_utf8, readable_name
from refrestore.plain_file import check_plain


def libav_url(path: str | Path) -> str:
    """Return a file's name for libav, which takes `a:b.mp4` alone for an address."""
    return f"file:{os.fspath(path)}"


def check_file(path: Path) -> os.stat_result:
    """Return what the system says of a file that is to be read.

    Raises
    ------
    MediaError
        There is none of that name, or it is no file, or may not be looked at.
    """
    name = readable_name(path)
    if not is_utf8(path):
        raise MediaError(f"The name {name} is not UTF-8: rename the file first.")
    if "\0" in os.fspath(path):
        raise MediaError("A file's name cannot have a null character in it.")
    try:
        return check_plain(path)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise MediaError(f"{name} is a link to a file that is not there.") from error
        raise MediaError(f"There is no file {name}.") from error
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise MediaError(f"{name} is not a file: {error.strerror}.") from error
        reason = PATH_ERRORS.get(error.errno or 0) or error.strerror
        raise MediaError(f"{name} cannot be opened: {reason}.") from error


def write_file(
    path: Path, content: bytes, *, mode: int | None = None, make_folders: bool = True
) -> None:
    """Write a file so that its name never shows a part of it, not even after a power cut.

    Folders on the way to it are made, unless they must be there already: a disk that was taken
    away is not to be built anew on another.

    Parameters
    ----------
    path, content
        What is written where.
    mode
        Who may read it, on POSIX; by default whoever may read any other file of the user.

    Raises
    ------
    DiskError
        If there is no room or no permission; the old file, if any, is as it was.
    """
    temporary: str | None = None
    try:
        if make_folders:
            path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp makes files private; an output is as readable as any other the user writes.
        os.chmod(temporary, 0o666 & ~_umask() if mode is None else mode)
        publish(Path(temporary), path)
    except BaseException as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise disk_error(path, error) from error
        raise


def publish(temporary: Path, final: Path) -> None:
    """Give a finished file its name, so that even a power cut leaves all of it or nothing."""
    descriptor = os.open(temporary, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, final)
    if os.name == "posix":
        folder = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def disk_error(path: Path, error: OSError) -> DiskError:
    """Return the sentence for a file that could not be written."""
    reason = error.strerror or str(error)
    return DiskError(f"Cannot write {path} ({reason}): make room or choose another folder.")


def _umask() -> int:
    # The process's mask can only be read by setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
