"""Disks that are full, and folders that go away."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from .campaign import FaultClass, Trial, complaint, first, leftovers
from .zygote import Child

DISK_BYTES = 64 << 20
MOST_FREE = 3 << 20
"""What the commands write is less than this; where it all fits, that is counted."""

FULL_STATUS = 7
"""DiskError's."""

FILLER = "filler"


class Disk(FaultClass):
    """No room while a command writes, or no folder any more."""

    name = "disk"
    promise = (
        "Where there is no room a command exits with 7 and one sentence, loses nothing, and works "
        "once there is room; reading a project needs none. Where a folder or the source goes away, "
        "it ends with one sentence."
    )
    full, reduced = 120, 8
    rows: ClassVar[tuple[str, ...]] = (
        "full: first scan",
        "full: edit",
        "full: list",
        "full: render",
        "full: profile build",
        "vanishing: project in a scan",
        "vanishing: source in a scan",
        "vanishing: output folder in a render",
    )

    def row(self, number: int) -> str:
        """Return what is attempted."""
        return self.rows[number % len(self.rows)]

    def run(self, trial: Trial) -> str | None:
        """Fill a disk or take a folder away while a command runs."""
        kind, _, what = self.row(trial.number).partition(": ")
        if kind == "vanishing":
            return _vanishing(trial, what)
        with _small_disk(trial) as disk:
            _set_up(trial, what, disk)
            return _full(trial, what, disk)


def _set_up(trial: Trial, what: str, disk: Path) -> None:
    if what in ("edit", "list", "render"):
        shutil.copytree(trial.stock.project(trial.zygote), disk / "project")
    trial.stock.film(trial.zygote)


def _full(trial: Trial, what: str, disk: Path) -> str | None:
    free = int(MOST_FREE * trial.random.random() ** 3)
    limits = {}
    if os.path.ismount(disk):
        _fill(disk, free)
    else:  # nobody may mount one: then no file may grow beyond this
        limits = {resource.RLIMIT_FSIZE: free}
    ended = _started(trial, what, disk, limits=limits).wait()
    if not ended.status:
        trial.count("it fitted")
    elif what == "list":
        return f"reading needs no room: {complaint(ended, must=True)}"
    wrong = complaint(ended)
    if wrong is None and ended.status not in (0, FULL_STATUS):
        wrong = f"exit status {ended.status} instead of {FULL_STATUS}: {ended.err.strip()}"
    (disk / FILLER).unlink(missing_ok=True)
    return first(
        one
        for one in (
            wrong,
            complaint(_started(trial, what, disk).wait(), must=True, what="with room again"),
            _left(disk, trial.temporary),
        )
    )


def _left(*folders: Path) -> str | None:
    left = leftovers(*folders)
    return f"left behind: {', '.join(left)}" if left else None


def _started(trial: Trial, what: str, disk: Path, **settings: Any) -> Child:
    film = trial.stock.film(trial.zygote)
    arguments: dict[str, tuple[object, ...]] = {
        "first scan": ("scan", film, "-p", disk / "project", "--threads", "1"),
        "edit": ("identities", "rename", "1", "N" * 100, "-p", disk / "project"),
        "list": ("identities", "list", "-p", disk / "project"),
        "render": (
            *("render", "-p", disk / "project", "-o", disk / "out.mkv"),
            *("--codec", "ffv1", "--threads", "1"),
        ),
        "profile build": (
            *("profile", "build", "Anna", "--video", film),
            *("--replace", "--profiles-dir", disk / "profiles"),
        ),
    }
    return trial.command(*arguments[what], **settings)


@contextmanager
def _small_disk(trial: Trial) -> Iterator[Path]:
    """Yield a folder on a disk of its own, or a plain one where mounting is not permitted."""
    disk = trial.folder / "disk"
    disk.mkdir()
    asked = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(asked, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield disk
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(disk)], check=False)


def _fill(disk: Path, free: int) -> None:
    with (disk / FILLER).open("wb") as file:
        facts = os.statvfs(disk)
        os.posix_fallocate(file.fileno(), 0, max(1, facts.f_bavail * facts.f_frsize - free))


def _vanishing(trial: Trial, what: str) -> str | None:
    film = trial.folder / "film.mp4"
    shutil.copy(trial.stock.film(trial.zygote), film)
    if what == "output folder in a render":
        shutil.copytree(trial.stock.project(trial.zygote), trial.folder / "project")
        (trial.folder / "out").mkdir()
        child = trial.command(
            *("render", "-p", "project", "-o", "out/film.mkv", "--threads", "1"),
        )
        seconds = 5.0
    else:
        child = trial.command("scan", film, "-p", "project", "--threads", "1")
        seconds = 1.0
    child.ends_within(trial.random.random() * seconds)
    if what == "source in a scan":
        film.write_bytes(film.read_bytes()[:4000]) if trial.random.random() < 0.5 else film.unlink()
    else:
        shutil.rmtree(trial.folder / what.partition(" ")[0].replace("output", "out"), True)
    ended = child.wait()
    if not ended.status:
        trial.count("ended before, or did not need it")
    return complaint(ended) or _left(trial.temporary)
