"""What many classes start from, made once: a film of real faces, its project, a profile."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .zygote import Call, Zygote, command

SIZE = (200, 150)
CLOSE, FAR = 4, 3
"""Frames of the film's two shots: restoring a face takes a good half second of one core, and
hundreds of renders are killed and made again."""

IDENTITIES = ("identities", "rename", "1", "Anna Müller")


class Stock:
    """Files made on first use; not to be changed, but to be copied."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mutex = threading.RLock()

    def film(self, zygote: Zygote) -> Path:
        """Return a film of one person, close and then far away, with sound."""
        return self._made(zygote, "film.mp4", make_film)

    def project(self, zygote: Zygote) -> Path:
        """Return the film's project, scanned and edited."""
        film = self.film(zygote)
        return self._made(zygote, "project", _scanned, str(film))

    def profiles(self, zygote: Zygote) -> Path:
        """Return a folder of one profile, Anna, of the film's close-ups."""
        film = self.film(zygote)
        return self._made(zygote, "profiles", _built, str(film))

    def archive(self, zygote: Zygote) -> Path:
        """Return the profile as one file."""
        folder = self.profiles(zygote)
        return self._made(zygote, "Anna.refprofile", _exported, str(folder))

    def _made(self, zygote: Zygote, name: str, make: Callable[..., None], *arguments: Any) -> Path:
        path = self._folder / name
        with self._mutex:
            if not path.exists():
                call = Call(make, (str(path), *arguments), self._folder)
                ended = zygote.start(call).wait(600)
                if ended.status != 0:
                    shutil.rmtree(path, ignore_errors=True)
                    raise RuntimeError(f"{name} could not be made: {ended.err}")
        return path


def make_film(path: str, times: int = 1, empty: int = 0) -> None:
    """Write the film, or one that shows the same several times with nobody in between."""
    from refrestore.evaluate.degrade import Degradation
    from refrestore.evaluate.demo import RATE, CameraMove, CameraView, make_demo_film

    moves = [
        CameraMove(CameraView(0.12, 0.37, 1.0), CameraView(0.13, 0.38, 1.0), float(CLOSE / RATE)),
        CameraMove(
            CameraView(0.12, 0.36, 0.6), CameraView(0.13, 0.36, 0.6), float(FAR / RATE), far=True
        ),
    ]
    if empty:
        moves.append(
            CameraMove(CameraView(0.5, 0.95, 3.0), CameraView(0.55, 0.95, 3.0), float(empty / RATE))
        )
    away = Degradation(blur=1.0, shrink=2.0, noise=2.0, quality=85)
    make_demo_film(Path(path), moves=moves * times, size=SIZE, far=away)


def _quietly(*arguments: str) -> None:
    try:
        command(*arguments)
    except SystemExit as end:
        if end.code:
            raise


def _scanned(path: str, film: str) -> None:
    _quietly("scan", film, "-p", path, "--threads", "1")
    _quietly(*IDENTITIES, "-p", path)


def _built(path: str, film: str) -> None:
    _quietly("profile", "build", "Anna", "--video", film, "--profiles-dir", path, "--identity", "1")


def _exported(path: str, folder: str) -> None:
    _quietly("profile", "export", "Anna", path, "--profiles-dir", folder)
