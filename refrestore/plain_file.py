"""Files that users name, opened only if they are plain files.

A FIFO waits for ever, a device has no end, and opening some devices does something. Everything
here raises `OSError` with a reason that fits into a sentence.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
)
"""What zipfile raises over files made to break it."""

MOST_READ = 2 << 20
"""Bytes of an archive that are read at a time: a directory of about 20,000 files has as many."""

_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a pipe"),
    (stat.S_ISSOCK, "it is a socket"),
)


def check_plain(path: Path) -> os.stat_result:
    """Return what the system says of a plain file, without opening it.

    Raises
    ------
    OSError
        If it is missing, or something else than a file.
    """
    try:
        found = os.stat(path)
    except ValueError as error:  # a NUL in the name
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
    if not stat.S_ISREG(found.st_mode):
        kinds = (reason for is_kind, reason in _KINDS if is_kind(found.st_mode))
        raise OSError(errno.EINVAL, next(kinds, "it is a device, not a file"))
    return found


def is_plain(path: Path) -> bool:
    """Say whether a path is a plain file that this process may know of."""
    try:
        check_plain(path)
    except OSError:
        return False
    return True


def open_plain(path: Path) -> io.BufferedReader:
    """Open a plain file for reading; never waits.

    Raises
    ------
    OSError
        If it is missing, may not be read, or is something else than a file.
    """
    check_plain(path)
    # Not blocking, and looked at once more: another process may have put a pipe in its place.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file")
    return os.fdopen(descriptor, "rb")


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose directory is of a size that can be read.

    Raises
    ------
    OSError
        As `open_plain`.
    BROKEN_ZIP
        If it is no archive.
    """
    with _SparingFile(open_plain(path).detach()) as file, zipfile.ZipFile(file) as archive:
        yield archive


class _SparingFile(io.BufferedReader):
    """Refuses to read much at a time, which only a directory of an endless number of files asks."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_READ:
            raise zipfile.BadZipFile("its directory is too large")
        return super().read(size)


def read_plain(path: Path, limit: int) -> bytes:
    """Return what is in a plain file.

    Raises
    ------
    OSError
        As `open_plain`, and if it has more than `limit` bytes.
    """
    with open_plain(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit} bytes")
    return content
