"""Work for a cluster, and who does it, as the crew knows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from refrestore import errors
from refrestore.engine.cluster import Node
from refrestore.engine.worker import Failed
from refrestore.errors import RefrestoreError

Heard = Callable[[str, str, int, int], None]
"""Called as `heard(worker, task, done, total)`: whose task is how far, in frames."""


@dataclass(eq=False)
class Task:
    """Work for one worker.

    Parameters
    ----------
    name
        Such as "segment 3", for people.
    film
        Name of the film, for people; its path tells whether a machine sees it.
    frames
        How many frames it has.
    start
        Begins it on an actor, given a piece of the film or None, and returns Ray's reference.
    piece
        Cuts its stretch out of the film.
    """

    name: str
    film: str
    frames: int
    start: Callable[[Any, Any], Any]
    piece: Callable[[], bytes]
    runs: list[Member] = field(default_factory=list)
    losses: int = 0
    done: bool = False


@dataclass(eq=False)
class Member:
    """A worker, as the crew knows it."""

    actor: Any
    node: Node
    name: str
    ready: bool = False
    task: Task | None = None
    began: float = 0.0
    frames: int = 0


@dataclass(frozen=True, eq=False)
class Fetch:
    """Fetches a value, where it is called; holds on to it where it was put.

    Parameters
    ----------
    reference
        Ray's.
    """

    reference: Any

    @property
    def key(self) -> str:
        """Tells values apart."""
        return str(self.reference.hex())

    def __call__(self) -> Any:
        """Return the value."""
        import ray

        return ray.get(self.reference)


def error_of(said: Failed, where: str) -> RefrestoreError:
    """Return what a worker said as an error that says where."""
    kind: type[RefrestoreError] = getattr(errors, said.kind, RefrestoreError)
    return kind(f"{said.sentence.rstrip('.')} ({where}).")
