"""The project folder before it holds a project: whose it is, what a kill left in it, its lock."""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refrestore.errors import ProjectError
from refrestore.media.files import disk_error
from refrestore.storage.lock import FileLock
from refrestore.storage.private import PRIVATE_FOLDER

FILE = "project.sqlite"
LOCK = "scan.lock"
SCANS = "scans"
PARTIAL = f".{FILE}.partial"
"""A database while it is made; it gets its name when it is whole."""

SPOOL = ".candidates-"
"""Prefix of the folder in which a scan keeps close-ups until it knows whose they are."""

CREATION_SECONDS = 20.0
"""How long to wait for another process that makes a project in the same folder; it takes
milliseconds."""

_POLL = 0.02

_TEMPORARY = r"\.[a-z0-9_]{8}\.partial"
"""`media.files.write_file` before the file has its name."""

_LEFTOVER = re.compile(
    rf"{re.escape(PARTIAL)}(-journal|-wal|-shm)?"
    rf"|{re.escape(FILE)}(\.probe|-journal|-wal|-shm)"
    rf"|{re.escape(LOCK)}|{re.escape(SPOOL)}.*|{_TEMPORARY}"
)
"""Names that a stopped process may leave beside no database: the one list of them."""

_SCAN_LEFTOVER = re.compile(
    rf"\d{{4,}}(/(times|{_TEMPORARY}|(references|thumbnails)"
    rf"(/(\d{{6,}}\.(png|jpg)|{_TEMPORARY}))?))?"
)
"""What it may leave in the folder of scans."""

_log = logging.getLogger(__name__)


@contextmanager
def making(folder: Path) -> Iterator[bool]:
    """Make and clear a folder for a new project, and hold its lock.

    Yields
    ------
    bool
        Whether the folder is free; if not, another process has made a project in it meanwhile.

    Raises
    ------
    ProjectError
        When the folder holds other things.
    DiskError
        When it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        _refuse_others(folder)
        lock = FileLock(folder / LOCK)
        free = _lock(lock, folder)
        try:
            if free:
                _sweep(folder)
            yield free
        finally:
            lock.release()
    except OSError as error:
        raise disk_error(folder, error) from error


def _lock(lock: FileLock, folder: Path) -> bool:
    began = time.monotonic()
    while not lock.acquire():
        if (folder / FILE).exists():  # made by who scans into it by now
            return False
        if time.monotonic() - began > CREATION_SECONDS:
            raise ProjectError(
                f"A project is being made in {folder}{lock.holder()}: wait for it or stop it."
            )
        time.sleep(_POLL)
    return not (folder / FILE).exists()


def _refuse_others(folder: Path) -> None:
    if (folder / FILE).exists():  # another process was quicker
        return
    for entry in sorted(folder.iterdir()):
        if entry.name != FILE and not _is_leftover(entry):
            raise ProjectError(
                f"{folder} is not empty and not a project (it holds {entry.name!r}): choose an "
                "empty or new folder."
            )


def _is_leftover(entry: Path) -> bool:
    return bool(_LEFTOVER.fullmatch(entry.name)) or _is_left_by_scan(entry)


def _is_left_by_scan(entry: Path) -> bool:
    if entry.name != SCANS or entry.is_symlink() or not entry.is_dir():
        return False
    inside = (one.relative_to(entry).as_posix() for one in entry.rglob("*"))
    return all(_SCAN_LEFTOVER.fullmatch(one) for one in inside)


def _sweep(folder: Path) -> None:
    """Remove what a stopped process left; the lock, which is held, stays."""
    left = [one for one in folder.iterdir() if one.name != LOCK and _is_leftover(one)]
    for entry in left:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
    if left:
        _log.info("Removed what a stopped process had left in %s.", folder)
