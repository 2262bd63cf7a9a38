"""Heavy work, one piece at a time, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from refrestore.errors import RefrestoreError, kept_notes
from refrestore.storage.utc import now
from refrestore.storage.workplace import temporary_folder

from .refusals import ConflictError, NotFoundError

Kind = Literal["preview", "loop", "draw", "render"]

UNDER_WAY: Mapping[Kind, str] = {
    "draw": "A face is being followed: wait until that is done, or stop it.",
    "render": "A render is running: wait until it is ready, or stop it; it goes on from there "
    "later.",
}
"""What nothing else takes the place of, and why it must wait."""
State = Literal["running", "done", "failed", "cancelled"]

KEPT = 20
"""Finished jobs that the page may still ask for; their files go with them."""

STOP_SECONDS = 10.0

_log = logging.getLogger(__name__)


class CancelledError(Exception):
    """The user has stopped a job."""


@dataclass(eq=False)
class Job:
    """A piece of work and how far it is.

    Parameters
    ----------
    id, kind
        Which, and what.
    folder
        For files of its own; they go when the job is forgotten.
    """

    id: int
    kind: Kind
    folder: Path
    started: str = field(default_factory=now)
    state: State = "running"
    stage: str = "waiting"
    done: int = 0
    total: int | None = None
    sentence: str | None = None
    result: dict[str, Any] | None = None
    files: dict[str, Path] = field(default_factory=dict)
    order: dict[str, Any] | None = None
    frame: bytes | None = None
    frames_shown: int = 0
    _cancel: threading.Event = field(default_factory=threading.Event)
    _began: float = field(default_factory=time.monotonic)
    _ended: float | None = None
    _stage_from: tuple[float, int] = (0.0, 0)

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Note progress; the place where a cancelled job ends.

        Raises
        ------
        CancelledError
            When the job was cancelled.
        """
        self.check()
        if stage != self.stage:
            self.stage, self._stage_from = stage, (time.monotonic(), done)
        self.done, self.total = done, total

    def announce(self, note: str) -> None:
        """Say something while the job runs."""
        self.sentence = note if self.sentence is None else f"{self.sentence} {note}"

    def check(self) -> None:
        """Raise `CancelledError` if the job was cancelled."""
        if self._cancel.is_set():
            raise CancelledError

    def cancel(self) -> None:
        """Ask the job to end."""
        self._cancel.set()

    def show(self, jpeg: bytes) -> None:
        """Give the page a picture of what is being made."""
        self.frame = jpeg
        self.frames_shown += 1

    def ended(self, state: State, sentence: str | None = None) -> None:
        """Note the end."""
        self._ended = time.monotonic()
        self.state, self.sentence = state, sentence

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return (self._ended or time.monotonic()) - self._began

    @property
    def remaining(self) -> float | None:
        """Seconds that the present stage takes yet, None if that is not known."""
        since, begun = self._stage_from
        made = self.done - begun
        if self.state != "running" or self.total is None or made <= 0:
            return None
        return max(0.0, (self.total - self.done) * (time.monotonic() - since) / made)

    def said(self) -> dict[str, Any]:
        """Return it as the page's JSON."""
        remaining = self.remaining
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "stage": self.stage,
            "done": self.done,
            "total": self.total,
            "seconds": round(self.seconds, 1),
            "remaining": None if remaining is None else round(remaining, 1),
            "sentence": self.sentence,
            "result": self.result,
            "order": self.order,
            "started": self.started,
            "frames_shown": self.frames_shown,
        }


Work = Callable[[Job], dict[str, Any]]
"""Does a job and returns its result."""


class Jobs:
    """Runs jobs one after another; a new preview takes the place of the one before."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[int, Job] = OrderedDict()
        self._mutex = threading.Lock()
        self._turn = threading.Lock()
        self._changes = 0
        self._files = ExitStack()
        self._folder: Path | None = None

    @property
    def version(self) -> int:
        """Grows when a job starts or ends."""
        return self._changes

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return any(job.state == "running" for job in self.all())

    def all(self) -> list[Job]:
        """Return the jobs, newest first."""
        with self._mutex:
            return list(reversed(self._jobs.values()))

    def get(self, number: int) -> Job:
        """Return a job.

        Raises
        ------
        NotFoundError
            When there is none of this number any more.
        """
        with self._mutex:
            if number not in self._jobs:
                raise NotFoundError(f"There is no job {number} any more.")
            return self._jobs[number]

    def start(self, kind: Kind, work: Work, order: dict[str, Any] | None = None) -> Job:
        """Start a job, in the place of previews that are not ready.

        Parameters
        ----------
        kind, work
            What, and how it is done.
        order
            What was asked for, so that the page can ask for it again.

        Raises
        ------
        ConflictError
            While a render runs, or a face is followed.
        """
        with self._mutex:
            running = [job for job in self._jobs.values() if job.state == "running"]
            for job in running:
                if job.kind in UNDER_WAY:
                    raise ConflictError(UNDER_WAY[job.kind])
            for job in running:
                job.cancel()
            number = next(reversed(self._jobs), 0) + 1
            job = Job(number, kind, self._own_folder(number), order=order)
            self._jobs[number] = job
            self._forget()
            self._changes += 1
        threading.Thread(
            target=self._run, args=(job, work), name=f"job {number}", daemon=True
        ).start()
        return job

    def stop(self) -> None:
        """Cancel everything and wait for it a little while."""
        for job in self.all():
            job.cancel()
        if self._turn.acquire(timeout=STOP_SECONDS):
            self._turn.release()
        self._files.close()

    def _run(self, job: Job, work: Work) -> None:
        with self._turn:
            try:
                job.check()
                job.result = work(job)
                job.ended("done")
            except CancelledError as error:
                # The terminal is told as well: the page may be closed by now.
                kept = [str(note) for note in kept_notes(error)]
                if kept:
                    _log.warning("The render was stopped: %s.", "; ".join(kept))
                job.ended("cancelled")
            except RefrestoreError as error:
                job.ended("failed", str(error))
            except Exception:
                _log.exception("A %s failed.", job.kind)
                job.ended("failed", "Something went wrong in refrestore; its terminal says what.")
        self._changes += 1

    def _own_folder(self, number: int) -> Path:
        if self._folder is None:
            self._folder = self._files.enter_context(temporary_folder("refrestore-review-"))
        folder = self._folder / str(number)
        folder.mkdir()
        return folder

    def _forget(self) -> None:
        ended = [job for job in self._jobs.values() if job.state != "running"]
        for job in ended[: max(0, len(self._jobs) - KEPT)]:
            del self._jobs[job.id]
            for path in job.folder.iterdir():
                path.unlink(missing_ok=True)
