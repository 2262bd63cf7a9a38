"""A film of a queue: what is to be done with it, and how far that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from refrestore.config import FilmSettings
from refrestore.presets import Values, film_settings

Step = Literal["scan", "review", "render", "done"]
"""What comes next of a film."""

State = Literal["waiting", "scanning", "review", "ready", "rendering", "done", "failed"]
STATES: tuple[State, ...] = get_args(State)

Json = dict[str, Any]

_IDLE: Mapping[Step, State] = {
    "scan": "waiting",
    "review": "review",
    "render": "ready",
    "done": "done",
}
_BUSY: Mapping[Step, State] = {
    "scan": "scanning",
    "review": "rendering",
    "render": "rendering",
    "done": "done",
}


@dataclass(frozen=True)
class QueuedFilm:
    """A film as the queue has it.

    Parameters
    ----------
    id
        Its number; films of one priority are taken in this order.
    video, output, project
        Source, result, project folder: absolute.
    values
        What was asked, by option; all else is as the options' defaults are.
    priority
        The higher, the earlier.
    step
        What comes next, or is under way.
    runner
        Number of the runner that has it; None while nobody works on it.
    failure
        The sentence it failed with.
    stage, done, total
        How far the step is.
    before
        What was in the output's place when its render began (`Work.trace`).
    people, result
        Who is in it, and what its render made.
    owed
        Whether the command for films that are done has still to run.
    """

    id: int
    video: Path
    output: Path
    project: Path
    values: Values
    priority: int
    step: Step
    runner: int | None = None
    failure: str | None = None
    stage: str | None = None
    done: int = 0
    total: int | None = None
    before: str | None = None
    people: tuple[Json, ...] = ()
    result: Json | None = None
    owed: bool = False

    @property
    def name(self) -> str:
        """What it is called in sentences."""
        return self.video.name

    @property
    def state(self) -> State:
        """Where it stands, in one word."""
        if self.failure is not None:
            return "failed"
        return (_IDLE if self.runner is None else _BUSY)[self.step]

    @cached_property
    def asked(self) -> FilmSettings:
        """All its settings.

        Raises
        ------
        UsageError
            If another version of refrestore allowed what this one does not.
        """
        return film_settings(self.values, f"What was asked for {self.name}")

    def said(self) -> Json:
        """Return it as JSON."""
        return {
            "film": self.id,
            "state": self.state,
            "video": str(self.video),
            "output": str(self.output),
            "project": str(self.project),
            "priority": self.priority,
            "options": dict(self.values),
            "stage": self.stage if self.runner is not None else None,
            "done": self.done if self.runner is not None else None,
            "total": self.total if self.runner is not None else None,
            "sentence": self.failure,
            "people": list(self.people),
            "result": self.result,
        }
