"""Folders to work in: one process at a time in each, and none is left behind for good.

What a process leaves when it is killed is swept by the next that works in the same place.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from refrestore.errors import DiskError, UsageError
from refrestore.media.files import disk_error

from .lock import FileLock

LOCK = "lock"

_ATTEMPTS = 100
"""Each lost to a process that removed the folder just then."""

_ABANDONED_SECONDS = 3600.0
"""Age of a folder without a lock, which it gets at once, after which nobody is making it."""


class OutputPlace:
    """The folder `.NAME.refrestore` beside an output, locked: whoever writes an output has it.

    A context manager. What is in it stays for the next one, but for names that begin with a dot:
    those are temporary. Without anything to keep it is gone afterwards.

    Parameters
    ----------
    output
        Final path of what is to be written.

    Attributes
    ----------
    folder : Path
        Where everything lies until the output is complete; on its file system.

    Raises
    ------
    DiskError
        On entering: another process is writing this output, or the folder cannot be made.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output.with_name(f".{output.name}.refrestore")
        self._lock = FileLock(self.folder / LOCK)

    def __enter__(self) -> OutputPlace:
        if not self.output.parent.is_dir():
            raise DiskError(f"There is no folder {self.output.parent}; create it first.")
        try:
            self._acquire()
            self._sweep()
        except OSError as error:
            self._lock.release()
            raise DiskError(
                f"Cannot keep segments in {self.folder}: {error.strerror}; "
                "choose an output folder that is writable."
            ) from error
        return self

    def __exit__(self, *raised: object) -> None:
        with suppress(OSError):
            self._sweep()
        # Removed while it is locked: whoever has opened it sees that it is not in place any more.
        # Where open files cannot be removed it stays until the next one, and harms nobody.
        with suppress(OSError):
            (self.folder / LOCK).unlink()
        self._lock.release()
        with suppress(OSError):  # there is something to keep
            self.folder.rmdir()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty folder that is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix=".work-", dir=self.folder) as folder:
            yield Path(folder)

    def _acquire(self) -> None:
        for _ in range(_ATTEMPTS):
            try:
                self.folder.mkdir(exist_ok=True)
                held = self._lock.acquire()
            except FileExistsError:
                if self.folder.exists():  # a file of that name
                    raise
                continue  # removed by the one before, between two steps
            except DiskError as error:
                if isinstance(error.__cause__, FileNotFoundError):
                    continue
                raise
            if not held:
                raise DiskError(
                    f"{self.output} is being written{self._lock.holder()}{self._since()}: wait "
                    "until it is done, or give the output another name."
                )
            if self._lock.in_place():
                return
            self._lock.release()
        raise DiskError(f"{self.folder} is removed again and again; give another name.")

    def _since(self) -> str:
        try:
            began = (self.folder / LOCK).stat().st_mtime
        except OSError:
            return ""
        today = time.strftime("%Y-%m-%d")
        day, clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(began)).split()
        return f" since {clock}" if day == today else f" since {day} {clock}"

    def _sweep(self) -> None:
        for entry in self.folder.iterdir():
            if entry.name.startswith("."):
                remove(entry)


def place_of(output: Path, held: OutputPlace | None) -> AbstractContextManager[OutputPlace]:
    """Return the place of an output: the one that is held already, or its own."""
    return OutputPlace(output) if held is None else nullcontext(held)


def make_folder(folder: Path) -> None:
    """Make a folder for outputs, with its parents.

    Raises
    ------
    UsageError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The output folder {folder} cannot be made: {error.strerror}.") from error


def remove(entry: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Give a folder among the system's temporary ones that is gone afterwards.

    Those of the same prefix whose process was killed are swept first.

    Parameters
    ----------
    prefix
        Of the folder's name; tells what it is for.

    Raises
    ------
    DiskError
        It cannot be made.
    """
    try:
        _sweep_abandoned(prefix)
        folder, lock = _locked_folder(prefix)
    except OSError as error:
        raise disk_error(Path(tempfile.gettempdir()), error) from error
    with folder as name:
        try:
            yield Path(name)
        finally:
            lock.release()


def _locked_folder(prefix: str) -> tuple[tempfile.TemporaryDirectory[str], FileLock]:
    """Return a new folder with its lock, which another process's sweep may have taken first."""
    while True:
        folder = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
        lock = FileLock(Path(folder.name) / LOCK)
        if lock.acquire() and lock.in_place():
            return folder, lock
        lock.release()
        folder.cleanup()


def _sweep_abandoned(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError, DiskError):  # one that another process sweeps as well
            if os.name == "posix" and folder.lstat().st_uid != os.getuid():
                continue
            if (folder / LOCK).is_file():
                lock = FileLock(folder / LOCK)
                if not lock.acquire():
                    continue
                lock.release()
            elif time.time() - folder.stat().st_mtime < _ABANDONED_SECONDS:
                continue
            shutil.rmtree(folder)
