"""What libav and the system report, in one sentence each."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from refrestore.errors import DiskError, MediaError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is written into one sentence.

    Raises
    ------
    DiskError
        The disk or quota is full, or the place may not be written to.
    MediaError
        libav refused for another reason.
    """
    try:
        yield
    except (av.FFmpegError, OSError, ValueError) as error:
        code = getattr(error, "errno", None)
        if code in _FULL:
            raise DiskError(
                f"No room left to write {path}: free some space on its disk and start again."
            ) from error
        if code == errno.ENOENT and not path.parent.is_dir():
            raise DiskError(
                f"The folder {path.parent} is gone, so {path.name} cannot be written: make it "
                "again, or mount its disk, and start again."
            ) from error
        if code in _FORBIDDEN:
            raise DiskError(f"{path} cannot be written: {reason(error)}.") from error
        if isinstance(error, (av.FFmpegError, OSError)):
            raise MediaError(f"{path} cannot be written ({reason(error)}).") from error
        raise


def reason(error: BaseException) -> str:
    """Return the shortest true account of an error, with libav's last log line if it has one."""
    text = getattr(error, "strerror", None) or str(error)
    log = getattr(error, "log", None)
    if log and isinstance(log[-1], tuple):
        text = f"{text}; {log[-1][-1].strip()}"
    return " ".join(str(text).split()).rstrip(".")
