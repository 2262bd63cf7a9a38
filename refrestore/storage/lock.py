"""One scan at a time: an advisory file lock that the system releases when its holder dies."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import time
from pathlib import Path
from typing import IO

from refrestore.errors import ProjectError
from refrestore.media.files import disk_error

TOLD_AFTER = 0.5
"""Seconds of waiting that nobody need be told of."""

_POLL = 0.05

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What file systems say that have no locks: nothing can be protected there, and all works."""

_log = logging.getLogger(__name__)


class FileLock:
    """An exclusive lock on a file; held until `release` or the end of the process.

    The file itself stays: removing it would let two processes lock two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        """Take the lock if it is free; return whether it is held now.

        Raises
        ------
        DiskError
            When the lock file cannot be written.
        """
        try:
            # Not append mode: Windows locks bytes at the current position.
            file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        except OSError as error:
            raise disk_error(self._path, error) from error
        try:
            held = _lock(file)
        except OSError as error:  # a file system without locks
            file.close()
            raise disk_error(self._path, error) from error
        if not held:
            file.close()
            return False
        self._file = file
        _sign(file)
        return True

    def acquire_or_refuse(self, project: Path) -> None:
        """Take the lock.

        Raises
        ------
        ProjectError
            When somebody else holds it.
        """
        if not self.acquire():
            raise ProjectError(
                f"The project {project} is being scanned{self.holder()}: "
                "wait for that scan to end or stop it."
            )

    def wait(self, seconds: float, what: str) -> bool:
        """Take the lock as soon as it is free; return whether it is held now.

        Waiting longer than a moment is said once, as a warning.

        Parameters
        ----------
        seconds
            How long to wait at most.
        what
            What somebody else is changing, for the warning.

        Raises
        ------
        DiskError
            When the lock file cannot be written.
        """
        began, told = time.monotonic(), False
        while not self.acquire():
            waited = time.monotonic() - began
            if waited > seconds:
                return False
            if waited > TOLD_AFTER and not told:
                _log.warning("Waiting: %s are being changed%s.", what, self.holder())
                told = True
            time.sleep(_POLL)
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def in_place(self) -> bool:
        """Say whether the file locked is still the one of this name, for files that are removed."""
        try:
            return self._file is not None and os.path.samestat(
                os.fstat(self._file.fileno()), os.stat(self._path)
            )
        except OSError:
            return False

    def holder(self) -> str:
        """Return " by process N" of whoever holds the lock, for messages; "" if unknown."""
        try:
            text = self._path.read_text(encoding="utf-8").strip()
        except OSError:
            return ""
        return f" by process {text}" if text.isdigit() else ""


def _sign(file: IO[str]) -> None:
    """Say who holds the lock; where the disk is full it is held all the same."""
    with contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"{os.getpid()}\n".encode())


if sys.platform == "win32":
    import msvcrt

    LOCKED_BYTE = 1 << 20
    """Far behind the process number, so that others can still read it."""

    def _lock(file: IO[str]) -> bool:
        try:
            os.lseek(file.fileno(), LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return True
else:
    import fcntl

    def _lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True
