"""Files that are whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from refrestore.errors import DiskError


def write_file(path: Path, content: bytes, *, make_folders: bool = True) -> None:
    """Write a file so that its name never shows a part of it, not even after a power cut.

    Folders on the way to it are made, unless they must be there already: a disk that was taken
    away is not to be built anew on another.

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
        os.chmod(temporary, 0o666 & ~_umask())
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
