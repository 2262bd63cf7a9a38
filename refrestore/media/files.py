"""Files that are whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from refrestore.errors import DiskError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside its own, then rename it.

    Raises
    ------
    DiskError
        If there is no room or no permission; the old file, if any, is as it was.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; an output is as readable as any other the user writes.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise DiskError(f"Cannot write {path}: {error.strerror}.") from error
