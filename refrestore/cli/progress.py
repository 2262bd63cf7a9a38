"""Progress on stderr: bars on a terminal, JSON lines for programs; results stay on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Literal

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

from refrestore.errors import Stopped, kept_notes
from refrestore.types import ProgressCallback

ProgressMode = Literal["auto", "rich", "jsonl", "none"]

JSONL_INTERVAL = 0.5
"""Seconds between JSON lines of one stage; its first and last line are always written."""


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="progress.data.speed")


@contextmanager
def progress_reporter(
    mode: ProgressMode, stream: IO[str] | None = None
) -> Iterator[ProgressCallback]:
    """Yield the callback that shows progress in the way asked for.

    `auto` draws bars on a terminal and is silent elsewhere.
    """
    stream = stream or sys.stderr
    if mode == "auto":
        mode = "rich" if stream.isatty() else "none"
    if mode == "rich":
        with _bars(stream) as callback:
            yield callback
    elif mode == "jsonl":
        lines = _JsonLines(stream)
        try:
            yield lines
        except Stopped as stop:
            lines.stopped(stop)
            raise
    else:
        yield lambda stage, done, total: None


@contextmanager
def _bars(stream: IO[str]) -> Iterator[ProgressCallback]:
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

        yield report


class _JsonLines:
    """One line an event: {"stage", "done", "total", "seconds", "rate", "remaining"}."""

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

    def stopped(self, stop: Stopped) -> None:
        """Write the last line of a command that a signal ended."""
        kept = [str(note) for note in kept_notes(stop)]
        self._write({"stage": "stopped", "signal": stop.number, "kept": kept})

    def _write(self, event: dict[str, Any]) -> None:
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()
