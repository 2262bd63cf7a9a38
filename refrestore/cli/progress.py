"""Progress on stderr: bars on a terminal, JSON lines for programs; results stay on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from refrestore.types import Announce, ProgressCallback

ProgressMode = Literal["auto", "rich", "jsonl", "none"]

JSONL_INTERVAL = 0.5
"""Seconds between JSON lines of one stage; its first and last line are always written."""


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="progress.data.speed")


@dataclass(frozen=True)
class Reporter:
    """Shows how far the work is, and sentences that the user should hear before it begins."""

    progress: ProgressCallback
    show: Announce
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
        with _bars(stream) as reporter:
            yield reporter
    elif mode == "jsonl":
        lines = _JsonLines(stream)
        yield Reporter(lines, lines.note)
    else:
        yield Reporter(lambda stage, done, total: None, partial(print, file=stream))


@contextmanager
def _bars(stream: IO[str]) -> Iterator[Reporter]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(file=stream)) as bars:

        def report(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        # Above the bars, as it is: names may hold what rich takes for markup.
        yield Reporter(report, partial(bars.console.print, markup=False, highlight=False))


class _JsonLines:
    """One line an event: {"stage", "done", "total", "seconds", "rate", "remaining"} or {"note"}."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._started: dict[str, float] = {}
        self._written: dict[str, float] = {}

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
        self._write(event)

    def note(self, note: str) -> None:
        """Write a sentence that the user should hear."""
        self._write({"note": note})

    def _write(self, event: dict[str, object]) -> None:
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()
