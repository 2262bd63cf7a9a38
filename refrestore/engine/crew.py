"""Workers on a cluster, and tasks that are handed to them until each is done once.

A worker that dies is replaced, and its task goes to another; one that lags behind all others has
its task started a second time. Each has one task at a time and results are taken as they come, so
that the cluster holds no more of them than there are workers.
"""

from __future__ import annotations

import queue
import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from refrestore.config import EngineSettings, RuntimeSettings
from refrestore.engine.cluster import Cluster, joined
from refrestore.engine.recruits import MOST_STARTS, Recruits
from refrestore.engine.task import Fetch, Heard, Member, Task, error_of
from refrestore.engine.worker import Failed, Unseen, libraries
from refrestore.errors import ClusterError
from refrestore.types import Announce

POLL_SECONDS = 0.2
"""How long the crew waits for news at a time."""

RECRUIT_SECONDS = 2.0
"""How often it is looked for machines that came or went."""

LATE_SECONDS = 60.0
"""After which the user is told that no worker has started."""

MOST_LOSSES = 8
"""Workers that a task may lose. It is not the task's fault while machines are taken away."""

STRAGGLING, LEAST_STRAGGLING = 3.0, 10.0
"""How many times as long as others, by its frames, and how many seconds at least a task takes that
is started a second time."""

ENOUGH_TIMES = 3
"""Finished tasks from which it is known how long one takes."""


class Crew:
    """Workers of a cluster, one a GPU or one for so many CPU cores.

    A context manager; leaving it ends the workers.

    Parameters
    ----------
    cluster
        Where they are.
    settings
        How many.
    runtime
        With which networks, and where they compute; `threads` are each worker's.
    announce
        Is told of machines that cannot be used.
    heard
        Is told how far each worker is.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: EngineSettings,
        runtime: RuntimeSettings,
        *,
        announce: Announce | None = None,
        heard: Heard | None = None,
    ) -> None:
        self.cluster = cluster
        self._ray = cluster.ray
        self.recruits = Recruits(cluster, settings, runtime)
        self._announce = announce or (lambda note: None)
        self._heard = heard or (lambda worker, task, done, total: None)
        self.members: list[Member] = []
        self._blind: set[tuple[str, str]] = set()
        self._waiting: deque[Task] = deque()
        self._running: list[Task] = []
        self._events: queue.SimpleQueue[tuple[Member, str, Any]] = queue.SimpleQueue()
        self._paces: deque[float] = deque(maxlen=100)
        self._recruited = -RECRUIT_SECONDS
        self._began = time.monotonic()
        self._late = False

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *raised: object) -> None:
        for member in self.members:
            self._end(member)
        self.members.clear()

    def put(self, value: Any) -> Fetch:
        """Give a value to the cluster; returns what fetches it there, kept as long as that is."""
        return Fetch(self._ray.put(value))

    @property
    def unfinished(self) -> int:
        """Tasks that were given and are not done."""
        return len(self._waiting) + len(self._running)

    @property
    def full(self) -> bool:
        """Whether more tasks wait than there are workers without one."""
        idle = sum(one.ready and one.task is None for one in self.members)
        return len(self._waiting) > idle

    @property
    def frames(self) -> int:
        """Frames done of the tasks that are running."""
        return sum(max((one.frames for one in task.runs), default=0) for task in self._running)

    def give(self, task: Task) -> None:
        """Take a task."""
        if not self.unfinished:
            self._paces.clear()  # another kind of work
        self._waiting.append(task)

    def step(self, seconds: float = POLL_SECONDS) -> list[tuple[Task, Any]]:
        """Hand out tasks, wait a moment for news, and return the tasks that are done, and how.

        Raises
        ------
        RefrestoreError
            A task cannot be done, or no machine of the cluster can be used.
        """
        self._recruit()
        self._hand_out()
        finished: list[tuple[Task, Any]] = []
        with suppress(queue.Empty):
            event = self._events.get(timeout=seconds) if seconds else self._events.get_nowait()
            while True:
                finished += self._take(*event)
                event = self._events.get_nowait()
        if finished:
            self._hand_out()
        return finished

    def stop(self) -> None:
        """Give up every task; what works on one is ended."""
        self._waiting.clear()
        for task in self._running:
            for member in task.runs:
                self._end(member)
                self.members.remove(member)
        self._running.clear()
        self._recruited = -RECRUIT_SECONDS

    def _recruit(self) -> None:
        """Start workers where there is room for them."""
        now = time.monotonic()
        if now - self._recruited < RECRUIT_SECONDS:
            return
        self._recruited = now
        nodes = self.cluster.nodes()
        present = {node.key for node in nodes}
        for member in [one for one in self.members if one.node.key not in present]:
            self._lose(member)
        for node in self.recruits.vacancies(nodes, self.members):
            member = self.recruits.start(node)
            self.members.append(member)
            self._listen(member, "checked", member.actor.check.remote(libraries()))
        if not self._late and now - self._began > LATE_SECONDS:
            self._late = True
            if self.members and not any(member.ready for member in self.members):
                self._announce(
                    f"No worker of the cluster at {self.cluster.where} has started in "
                    f"{LATE_SECONDS:.0f} s: its machines may be busy with other work."
                )

    def _listen(self, member: Member, what: str, reference: Any) -> None:
        reference.future().add_done_callback(
            lambda future: self._events.put((member, what, future))
        )

    def _hand_out(self) -> None:
        idle = deque(one for one in self.members if one.ready and one.task is None)
        while idle and self._waiting:
            self._assign(idle.popleft(), self._waiting.popleft())
        for task in self._stragglers() if idle else ():
            other = next((one for one in idle if one.node != task.runs[0].node), None)
            member = other or (idle[0] if idle else None)
            if member is not None:
                idle.remove(member)
                self._assign(member, task)

    def _stragglers(self) -> Iterator[Task]:
        if len(self._paces) < ENOUGH_TIMES:
            return
        pace, now = statistics.median(self._paces), time.monotonic()
        for task in list(self._running):
            if len(task.runs) == 1:
                usual = STRAGGLING * pace * task.frames
                if now - task.runs[0].began > max(LEAST_STRAGGLING, usual):
                    yield task

    def _assign(self, member: Member, task: Task) -> None:
        piece = None
        if (member.node.key, task.film) in self._blind:
            piece = self._ray.put(task.piece())
        member.task, member.began, member.frames = task, time.monotonic(), 0
        task.runs.append(member)
        if task not in self._running:
            self._running.append(task)
        self._listen(member, "answered", task.start(member.actor, piece))

    def _take(self, member: Member, what: str, future: Any) -> list[tuple[Task, Any]]:
        """Take in what a worker says."""
        if member not in self.members:
            return []  # ended, or lost
        error = future.exception()
        if error is not None:
            if not member.ready:
                self._mourn(member, error)
            elif isinstance(error, self._ray.exceptions.RayTaskError):
                raise error
            else:
                self._lose(member)
            return []
        said = future.result()
        if what == "news":
            self._hear(member, said)
        elif what == "checked":
            if isinstance(said, Failed):
                self._refuse(member, said)
            else:
                member.ready = True
                self.recruits.stillborn[member.node.key] = 0
                self._listen(member, "news", member.actor.news.remote(0))
        else:
            return self._answered(member, said)
        return []

    def _mourn(self, member: Member, error: BaseException) -> None:
        """Do without a worker that has not started; at the third of a machine, without that."""
        self.recruits.stillborn[member.node.key] += 1
        if self.recruits.stillborn[member.node.key] < MOST_STARTS:
            self._end(member)
            self._lose(member)
            return
        why = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "")
        said = f"No worker starts there ({why.rstrip('.')}); install the same refrestore on it."
        self._refuse(member, Failed("ClusterError", said, refused=True))

    def _hear(self, member: Member, frames: int) -> None:
        if member.task is not None and frames != member.frames:
            member.frames = min(frames, member.task.frames)
            self._heard(member.name, member.task.name, member.frames, member.task.frames)
        self._listen(member, "news", member.actor.news.remote(frames))

    def _answered(self, member: Member, said: Any) -> list[tuple[Task, Any]]:
        task = member.task
        assert task is not None
        member.task = None
        task.runs.remove(member)
        if isinstance(said, Unseen):
            self._blind.add((member.node.key, task.film))
            self._again(task)
            return []
        if isinstance(said, Failed):
            if not said.refused:
                raise error_of(said, f"{task.name} of {task.film}, on {member.node.name}")
            self._again(task)
            self._refuse(member, said)
            return []
        task.done = True
        self._running.remove(task)
        self._paces.append((time.monotonic() - member.began) / max(1, task.frames))
        for slow in list(task.runs):
            self._end(slow)
            self._lose(slow, blamed=False)
        self._heard(member.name, task.name, task.frames, task.frames)
        return [(task, said)]

    def _again(self, task: Task) -> None:
        """Have a task done by another, unless one is at it."""
        if not task.runs and not task.done:
            self._running.remove(task)
            self._waiting.appendleft(task)

    def _refuse(self, member: Member, said: Failed) -> None:
        """Use a machine no more."""
        self.recruits.refused[member.node.key] = error_of(said, f"on {member.node.name}")
        self._announce(f"{member.node.name} is not used: {said.sentence}")
        for one in [each for each in self.members if each.node.key == member.node.key]:
            self._end(one)
            self._lose(one, blamed=False)

    def _lose(self, member: Member, *, blamed: bool = True) -> None:
        """Do without a worker; its task goes to another."""
        self.members.remove(member)
        self._recruited = -RECRUIT_SECONDS  # another is looked for at once
        task = member.task
        if task is None:
            return
        task.runs.remove(member)
        task.losses += blamed
        if task.losses > MOST_LOSSES:
            raise ClusterError(
                f"{task.name.capitalize()} of {task.film} has lost {task.losses} workers, the last "
                f"on {member.node.name}: look at that machine's memory, and start it again."
            )
        self._again(task)

    def _end(self, member: Member) -> None:
        with suppress(Exception):  # it may be gone, and the cluster too
            self._ray.kill(member.actor)


@contextmanager
def crew_of(
    engine: EngineSettings | Crew | None,
    runtime: RuntimeSettings,
    *,
    announce: Announce | None = None,
    heard: Heard | None = None,
) -> Iterator[Crew | None]:
    """Give the crew of an engine: the one that is there, a new one, or none for this process.

    Raises
    ------
    UsageError, ClusterError
        As `joined`.
    """
    if isinstance(engine, Crew):
        yield engine
    elif engine is None or engine.name == "local":
        yield None
    else:
        with (
            joined(engine.address) as cluster,
            Crew(cluster, engine, runtime, announce=announce, heard=heard) as crew,
        ):
            yield crew
