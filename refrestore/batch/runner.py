"""Works a queue off: one film after another, each step once, whatever ends the process."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from refrestore.errors import BatchError, Kept, RefrestoreError, kept_if_broken_off
from refrestore.file_names import readable_name
from refrestore.types import Announce, ProgressCallback

from .queue import Queue
from .queued_film import Json, QueuedFilm, Step

NOTED_EVERY = 0.5
"""Seconds between two notes in the queue of how far a film is."""

IDLE_SECONDS = 2.0
"""Between two looks for films that came or were reviewed meanwhile."""

TOLD = 3
"""Films that failed whose sentences are in the last one."""

_log = logging.getLogger(__name__)


class FilmsFailedError(BatchError):
    """All films have had their turn, and some of them failed."""


class StepDone(NamedTuple):
    """What a step made: who is in the film, and of a render what its report says."""

    people: Sequence[Json]
    result: Json | None = None


class AnyFilmWork(Protocol):
    """What is done with a film; `work.FilmWork` is what it is outside of tests."""

    def scan(self, film: QueuedFilm, progress: ProgressCallback, announce: Announce) -> StepDone:
        """Find who is in it."""

    def render(self, film: QueuedFilm, progress: ProgressCallback, announce: Announce) -> StepDone:
        """Restore it."""

    def trace(self, film: QueuedFilm) -> str:
        """Return a text that changes when a render of it is complete."""

    def made(self, film: QueuedFilm) -> StepDone:
        """Return what a complete render made, if the process was killed before it could say so."""


class Watch(Protocol):
    """Who is shown what is under way."""

    def begin(self, film: str) -> None:
        """Hear that all that comes is of this film."""

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Hear how far it is."""

    def note(self, note: str) -> None:
        """Hear a sentence."""


@dataclass
class Runner:
    """Works a queue off.

    Parameters
    ----------
    queue
        The films.
    work
        What is done with each.
    watch
        Is shown what is under way.
    auto
        Whether films go on without a review.
    on_done
        A shell's command for each film that is done; may run twice for one, never not at all.
    look
        Is called when nothing is left to do, and looks for new films; the run ends then if None.
    settled
        Is called when nothing is left to do, and at the end.
    """

    queue: Queue
    work: AnyFilmWork
    watch: Watch
    auto: bool = False
    on_done: str | None = None
    look: Callable[[], object] | None = None
    settled: Callable[[], object] = lambda: None
    _news: bool = field(default=False, init=False)

    def run(self) -> None:
        """Take films until there is none left.

        Raises
        ------
        FilmsFailedError
            At the end, if films failed.
        BatchError, DiskError
            If the queue cannot be used.
        """
        steps: tuple[Step, ...] = ("scan", "review", "render") if self.auto else ("scan", "render")
        try:
            with self.queue.runner() as number, kept_if_broken_off(self._kept):
                self._pay()
                while True:
                    film = self.queue.claim(number, steps)
                    if film is not None:
                        self._take(film)
                    elif self.look is None:
                        break
                    else:
                        self._rest(self.look)
                self._tell_all()
        finally:
            self.settled()
        self._complain()

    def _rest(self, look: Callable[[], object]) -> None:
        """Wait a little for what comes."""
        if self._news:
            self.settled()
            self._news = False
        look()
        time.sleep(IDLE_SECONDS)

    def _take(self, film: QueuedFilm) -> None:
        """Do the next step of a film; what goes wrong with it is its own."""
        self._tell_all()
        self.watch.begin(film.name)
        self._news = True
        try:
            if film.step == "scan":
                done = self.work.scan(film, self._told(film), self._say(film))
                self.queue.advance(film, "review", people=done.people)
            else:
                done = self._rendered(film)
                owed = self.on_done is not None
                self.queue.advance(film, "done", people=done.people, result=done.result, owed=owed)
                self._pay()
        except RefrestoreError as error:
            self._failed(film, str(error))
        except Exception:
            _log.exception("%s failed.", readable_name(film.name))
            self._failed(film, "Something went wrong in refrestore; its terminal says what.")
        except BaseException:
            self.queue.release(film)
            raise

    def _tell_all(self) -> None:
        """Show how far all films together are."""
        counts = self.queue.counts()
        self.watch.progress("films", counts["done"] + counts["failed"], counts.total())

    def _rendered(self, film: QueuedFilm) -> StepDone:
        """Render, unless that was done already by a process that could not say so any more."""
        trace = self.work.trace(film)
        if film.before is None:
            self.queue.begin_render(film, trace)
        elif film.before != trace:
            return self.work.made(film)
        return self.work.render(film, self._told(film), self._say(film))

    def _told(self, film: QueuedFilm) -> ProgressCallback:
        """Return what notes in the queue how far a film is, and shows it."""
        last: tuple[str, float] = ("", 0.0)

        def progress(stage: str, done: int, total: int | None) -> None:
            nonlocal last
            self.watch.progress(stage, done, total)
            now = time.monotonic()
            if stage != last[0] or done == total or now - last[1] >= NOTED_EVERY:
                last = stage, now
                self.queue.progress(film, stage, done, total)

        return progress

    def _say(self, film: QueuedFilm) -> Announce:
        return partial(_named, self.watch.note, film)

    def _failed(self, film: QueuedFilm, sentence: str) -> None:
        self.queue.fail(film, sentence)
        self._say(film)(sentence)

    def _pay(self) -> None:
        """Run the command for the films it has not run for."""
        if self.on_done is None:
            return
        for film in self.queue.owing():
            status = subprocess.run(
                self.on_done, shell=True, env=_environment(film), stdout=sys.stderr, check=False
            ).returncode
            if status:
                self._say(film)(f"--on-done ended with status {status}.")
            self.queue.paid(film)

    def _kept(self) -> Kept:
        counts = self.queue.counts()
        return Kept(f"{counts['done']} of {counts.total()} films are done", goes_on=True)

    def _complain(self) -> None:
        failed = [film for film in self.queue.films() if film.failure is not None]
        if not failed:
            return
        shown = " ".join(f"{film.name}: {film.failure}" for film in failed[:TOLD])
        more = f" And {len(failed) - TOLD} more." if len(failed) > TOLD else ""
        raise FilmsFailedError(
            f"{len(failed)} of {self.queue.counts().total()} films failed. {shown}{more} "
            "They get another turn by `refrestore batch retry`."
        )


def _named(note: Announce, film: QueuedFilm, sentence: str) -> None:
    note(f"{film.name}: {sentence}")


def _environment(film: QueuedFilm) -> dict[str, str]:
    """Return the environment of the command for a film that is done."""
    report = (film.result or {}).get("report", "")
    return {
        **os.environ,
        "REFRESTORE_VIDEO": str(film.video),
        "REFRESTORE_OUTPUT": str(film.output),
        "REFRESTORE_REPORT": str(Path(report)) if report else "",
        "REFRESTORE_PROJECT": str(film.project),
    }
