"""Work of a millisecond in the place of a film's, for processes that are killed in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from refrestore.batch.order import FilmToAdd
from refrestore.batch.queue import Queue
from refrestore.batch.queued_film import QueuedFilm
from refrestore.batch.runner import Runner, StepDone
from refrestore.errors import MediaError

PERSON = {"id": 1, "name": "person 1", "profile": None, "state": "restore", "seconds": 1.0,
          "faces": 25}  # fmt: skip


def entries(folder: Path, count: int, first: int = 0) -> list[FilmToAdd]:
    return [
        FilmToAdd(
            folder / f"{number:04}.mp4",
            folder / "out" / f"{number:04}.mp4",
            folder / "out" / f"{number:04}.mp4.refrestore",
        )
        for number in range(first, first + count)
    ]


class Silent:
    """Is shown what is under way, and keeps it."""

    def __init__(self) -> None:
        self.films: list[str] = []
        self.notes: list[str] = []
        self.stages: list[tuple[str, int, int | None]] = []

    def begin(self, film: str) -> None:
        self.films.append(film)

    def progress(self, stage: str, done: int, total: int | None) -> None:
        self.stages.append((stage, done, total))

    def note(self, note: str) -> None:
        self.notes.append(note)


@dataclass
class Tiny:
    """Makes a file for each film; an output that was there already is written into `twice`."""

    folder: Path
    bad: str = ""

    def scan(self, film: QueuedFilm, progress, announce) -> StepDone:
        progress("frames", 1, 1)
        if film.name == self.bad:
            raise MediaError(f"{film.name} is no video.")
        film.project.mkdir(exist_ok=True)
        return StepDone([PERSON])

    def render(self, film: QueuedFilm, progress, announce) -> StepDone:
        progress("render", 1, 2)
        assert film.project.is_dir()
        partial = film.output.with_name(f".{film.output.name}.{os.getpid()}")
        partial.write_text(film.name)
        try:
            os.link(partial, film.output)
        except FileExistsError:
            with (self.folder / "twice").open("a") as file:
                file.write(f"{film.name}\n")
        partial.unlink()
        progress("render", 2, 2)
        return self.made(film)

    def trace(self, film: QueuedFilm) -> str:
        return str(film.output.stat().st_ino) if film.output.exists() else ""

    def made(self, film: QueuedFilm) -> StepDone:
        result = {"frames": 1, "faces": 1, "unreferenced": 0, "notes": [], "report": "r.json",
                  "page": "r.html"}  # fmt: skip
        return StepDone([PERSON], result)


def work_off(queue: str) -> None:
    """Work a queue off, in a process of its own."""
    path = Path(queue)
    with Queue(path) as opened:
        Runner(opened, Tiny(path.parent), Silent(), auto=True).run()
