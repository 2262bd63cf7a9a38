"""Progress on stderr: bars on a terminal, JSON lines for programs; results stay on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any, Literal

from refrestore.errors import Stopped, kept_notes
from refrestore.types import Announce, ProgressCallback

ProgressMode = Literal["auto", "rich", "jsonl", "none"]

OF_ALL = "films"
"""The stage of all films together."""

JSONL_INTERVAL = 0.5
"""Seconds between JSON lines of one stage; its first and last line are always written."""


Heard = Callable[[str, str, int, int], None]
"""Called as `heard(worker, task, done, total)`."""


def _to_nobody(worker: str, task: str, done: int, total: int) -> None:
    """Let the bar of all workers say it."""


@dataclass(frozen=True)
class Reporter:
    """Shows how far the work is, and sentences that the user should hear before it begins.

    Parameters
    ----------
    progress, show
        Show how far a stage is, and a sentence.
    begin
        Hears of which film of several all is that comes.
    """

    progress: ProgressCallback
    show: Announce
    begin: Callable[[str], None] = lambda film: None
    worker: Heard = _to_nobody
    """Shows how far a worker of a cluster is with its task."""

    _notes: list[str] = field(default_factory=list)

    def note(self, note: str) -> None:
        """Show a sentence."""
        self._notes.append(note)
        self.show(note)

    def told(self, note: str) -> bool:
        """Return whether a sentence was shown, alone or after a file's name."""
        return any(shown == note or shown.endswith(f": {note}") for shown in self._notes)

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Show progress."""
        self.progress(stage, done, total)


@contextmanager
def progress_reporter(mode: ProgressMode, stream: IO[str] | None = None) -> Iterator[Reporter]:
    """Yield what shows progress in the way asked for.

    `auto` draws bars on a terminal and is silent elsewhere. Notes are shown in every way.
    """
    stream = stream or sys.stderr
    if mode == "auto":
        mode = "rich" if stream.isatty() else "none"
    if mode == "rich":
        from .bars import bars  # loads rich's widgets, which nothing else needs

        with bars(stream) as (progress, show, begin):
            yield Reporter(progress, show, begin)
    elif mode == "jsonl":
        lines = _JsonLines(stream)
        try:
            yield Reporter(lines, lines.note, lines.begin, lines.worker)
        except Stopped as stop:
            lines.stopped(stop)
            raise
    else:
        yield Reporter(lambda stage, done, total: None, partial(print, file=stream))


class _JsonLines:
    """One line an event: {"stage", "done", "total", "seconds", "rate", "remaining"} or {"note"}.

    Of a cluster's workers also {"worker", "task", "done", "total"}; of several films each line
    begins with {"film"}.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._started: dict[str, float] = {}
        self._written: dict[str, float] = {}
        self._film: dict[str, str] = {}

    def begin(self, film: str) -> None:
        """Begin with a film of several."""
        self._film = {"film": film}
        for kept in (self._started, self._written):
            for stage in [one for one in kept if one != OF_ALL]:
                del kept[stage]

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        started = self._started.setdefault(stage, now)
        last = done == total
        if not last and now - self._written.get(stage, -JSONL_INTERVAL) < JSONL_INTERVAL:
            return
        self._written[stage] = now
        seconds = now - started
        rate = done / seconds if seconds > 0 else None
        event = {
            "stage": stage,
            "done": done,
            "total": total,
            "seconds": round(seconds, 3),
            "rate": None if rate is None else round(rate, 3),
            "remaining": round((total - done) / rate, 1) if rate and total else None,
        }
        self._write(event if stage == OF_ALL else {**self._film, **event})

    def worker(self, worker: str, task: str, done: int, total: int) -> None:
        """Write how far a worker is with its task, as often as of a stage."""
        now = time.monotonic()
        if done < total and now - self._written.get(worker, -JSONL_INTERVAL) < JSONL_INTERVAL:
            return
        self._written[worker] = now
        self._write({"worker": worker, "task": task, "done": done, "total": total})

    def stopped(self, stop: Stopped) -> None:
        """Write the last line of a command that a signal ended."""
        kept = [str(note) for note in kept_notes(stop)]
        self._write({"stage": "stopped", "signal": stop.number, "kept": kept})

    def note(self, note: str) -> None:
        """Write a sentence that the user should hear."""
        self._write({**self._film, "note": note})

    def _write(self, event: dict[str, Any]) -> None:
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()
