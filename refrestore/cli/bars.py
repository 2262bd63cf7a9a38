"""Progress bars on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO

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

from refrestore.plain_text import plain
from refrestore.types import Announce, ProgressCallback

from .progress import OF_ALL


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="progress.data.speed")


@contextmanager
def bars(
    stream: IO[str],
) -> Iterator[tuple[ProgressCallback, Announce, Callable[[str], None]]]:
    """Draw bars; yield what moves them, prints a sentence above them, begins with another film."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    film = ""
    with Progress(*columns, console=Console(file=stream)) as drawn:

        def report(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                label = stage if stage == OF_ALL else f"{film}{stage}"
                tasks[stage] = drawn.add_task(plain(label), total=total)
            drawn.update(tasks[stage], completed=done, total=total)

        def begin(name: str) -> None:
            nonlocal film
            film = f"{name}: "
            for stage in [one for one in tasks if one != OF_ALL]:
                drawn.remove_task(tasks.pop(stage))

        # Above the bars, as it is: names may hold what rich takes for markup.
        yield report, partial(drawn.console.print, markup=False, highlight=False), begin
