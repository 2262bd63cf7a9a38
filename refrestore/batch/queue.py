"""The queue: one SQLite file that knows what is to be done with each film, and what was done.

A film is worked on by one runner at a time. Its claim is the runner's number in the film's row,
and it holds as long as that runner's lock file is locked: the system unlocks it when the process
ends, however it ends, and the film is then free for the next.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from refrestore.errors import BatchError, DiskError
from refrestore.file_names import readable_name
from refrestore.storage.lock import FileLock
from refrestore.storage.utc import now

from .order import FilmToAdd, Order, check_apart
from .queue_file import QueueFile
from .queued_film import Json, QueuedFilm, State, Step

MOST_RUNNERS = 256
"""Processes that may work on one queue."""

_COLUMNS = (
    "id, video, output, project, options, priority, step, runner, failure, stage, done, total, "
    "before, people, result, owed"
)

_STATE = """CASE WHEN failure IS NOT NULL THEN 'failed' WHEN step = 'done' THEN 'done'
WHEN step = 'scan' THEN iif(runner IS NULL, 'waiting', 'scanning')
WHEN runner IS NOT NULL THEN 'rendering' WHEN step = 'review' THEN 'review' ELSE 'ready' END"""
"""What `QueuedFilm.state` is."""

_WANTING = """CASE WHEN failure IS NOT NULL THEN 1 WHEN step = 'done' THEN 4
WHEN runner IS NOT NULL THEN 2 WHEN step = 'review' THEN 0 ELSE 3 END"""
"""Which films want something of a person, the least first."""


class Queue:
    """A queue's file; a context manager. May be used by several threads and processes at a time.

    Parameters
    ----------
    path
        The file.
    make
        Whether it is made where there is none.

    Raises
    ------
    BatchError
        If it is missing, damaged, another program's, or of a newer refrestore.
    DiskError
        If it cannot be written.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self._file = QueueFile(path, make=make)
        self.path = self._file.path

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def add(
        self, entries: Sequence[FilmToAdd], order: Order
    ) -> tuple[list[QueuedFilm], list[FilmToAdd]]:
        """Add films, all or none; those that are there already stay as they are.

        Returns
        -------
        added
            The new films.
        known
            Those that were there.

        Raises
        ------
        BatchError
            As `check_apart`.
        """
        with self._file.transaction():
            there, taken = set(), {}
            for video, output in self._file.rows("SELECT video, output FROM films"):
                there.add(video)
                taken[Path(output).with_suffix("")] = video
            fresh = [one for one in entries if str(one.video) not in there]
            check_apart(fresh, taken)
            options, added = json.dumps(dict(order.values)), []
            for one in fresh:
                number = self._file.execute(
                    "INSERT INTO films (video, output, project, options, priority, added) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (str(one.video), str(one.output), str(one.project), options, order.priority,
                     now()),
                )  # fmt: skip
                added.append(number)
            known = [one for one in entries if str(one.video) in there]
            return [self.film(number) for number in added], known

    def watch(self, folder: Path, order: Order) -> None:
        """Remember a folder whose new films are to be taken, and what is asked for them."""
        with self._file.transaction():
            self._file.execute(
                "INSERT OR REPLACE INTO folders VALUES (?, ?, ?, ?)",
                (str(folder), str(order.output), json.dumps(dict(order.values)), order.priority),
            )

    def folders(self) -> dict[Path, Order]:
        """Return the folders that are watched."""
        rows = self._file.rows("SELECT folder, output, options, priority FROM folders")
        return {
            Path(folder): Order(Path(output), json.loads(options), priority)
            for folder, output, options, priority in rows
        }

    def films(self, state: State | None = None) -> list[QueuedFilm]:
        """Return all films, or those of a state, in the order of their turns."""
        where, values = ("", ()) if state is None else (f"WHERE {_STATE} = ?", (state,))
        rows = self._file.rows(
            f"SELECT {_COLUMNS} FROM films {where} ORDER BY priority DESC, id", values
        )
        return [self._film(row) for row in rows]

    def wanting(self, most: int, state: State | None = None) -> list[QueuedFilm]:
        """Return the films that want something of a person first, some of them."""
        where, values = ("", ()) if state is None else (f"WHERE {_STATE} = ?", (state,))
        rows = self._file.rows(
            f"SELECT {_COLUMNS} FROM films {where} ORDER BY {_WANTING}, priority DESC, id LIMIT ?",
            (*values, most),
        )
        return [self._film(row) for row in rows]

    def videos(self) -> set[Path]:
        """Return the sources of all films."""
        return {Path(video) for (video,) in self._file.rows("SELECT video FROM films")}

    def film(self, number: int) -> QueuedFilm:
        """Return a film.

        Raises
        ------
        BatchError
            If there is none of this number.
        """
        rows = self._file.rows(f"SELECT {_COLUMNS} FROM films WHERE id = ?", (number,))
        if not rows:
            raise BatchError(f"There is no film {number} in {self.path.name}.")
        return self._film(rows[0])

    def find(self, names: Sequence[str]) -> list[QueuedFilm]:
        """Return films by their numbers or videos.

        Raises
        ------
        BatchError
            If one is not there.
        """
        films = self.films()
        by_name = {str(one.id): one for one in films} | {str(one.video): one for one in films}
        found = [by_name.get(name) or by_name.get(str(Path(name).absolute())) for name in names]
        for name, film in zip(names, found, strict=True):
            if film is None:
                raise BatchError(
                    f"There is no film {readable_name(name)} in {self.path.name}: name one by its "
                    "number, as `refrestore batch list` shows it, or by its video."
                )
        return [film for film in found if film is not None]

    def counts(self) -> Counter[State]:
        """Return how many films are in each state."""
        return Counter(dict(self._file.rows(f"SELECT {_STATE}, COUNT(*) FROM films GROUP BY 1")))

    @contextmanager
    def runner(self) -> Iterator[int]:
        """Be a runner: give its number, which is nobody else's until the block ends."""
        for number in range(1, MOST_RUNNERS + 1):
            lock = FileLock(self._lock_file(number))
            if not lock.acquire():
                continue
            if not lock.in_place():  # removed by the one before, between two steps
                lock.release()
                continue
            break
        else:
            raise BatchError(f"{MOST_RUNNERS} processes work on {self.path.name} already.")
        try:
            self._free(number)
            yield number
        finally:
            with suppress(BatchError, DiskError):
                self._free(number)
            # Removed while it is locked, as an output's is (`OutputPlace`).
            with suppress(OSError):
                self._lock_file(number).unlink()
            lock.release()

    def claim(self, runner: int, steps: Sequence[Step]) -> QueuedFilm | None:
        """Take the film whose turn it is for one of these steps; None where there is none."""
        marks = ", ".join("?" * len(steps))
        with self._file.transaction():
            self.free_lost(runner)
            rows = self._file.rows(
                f"SELECT {_COLUMNS} FROM films WHERE runner IS NULL AND failure IS NULL "
                f"AND step IN ({marks}) ORDER BY priority DESC, id LIMIT 1",
                steps,
            )
            if not rows:
                return None
            film = self._film(rows[0])
            self._set(film.id, runner=runner, stage=None, done=0, total=None)
            return replace(film, runner=runner, stage=None, done=0, total=None)

    def free_lost(self, runner: int = 0) -> None:
        """Take films from runners that have ended without a word; `runner` is not looked at."""
        held = self._file.rows("SELECT DISTINCT runner FROM films WHERE runner IS NOT NULL")
        for (number,) in held:
            if number != runner and not self._lives(number):
                self._free(number)

    def progress(self, film: QueuedFilm, stage: str, done: int, total: int | None) -> None:
        """Note how far a film is."""
        self._change(film.id, stage=stage, done=done, total=total)

    def begin_render(self, film: QueuedFilm, before: str) -> None:
        """Note what is in the place of a film's output, of which no render has begun yet."""
        self._change(film.id, step="render", before=before)

    def advance(
        self,
        film: QueuedFilm,
        step: Step,
        *,
        people: Sequence[Json] | None = None,
        result: Json | None = None,
        owed: bool = False,
    ) -> None:
        """Note that a step is done, which comes next, and what is known by now; nobody has it."""
        known: dict[str, Any] = {"step": step, "runner": None, "before": None, "owed": int(owed)}
        if people is not None:
            known["people"] = json.dumps(list(people))
        if result is not None:
            known["result"] = json.dumps(result)
        self._change(film.id, **known)

    def fail(self, film: QueuedFilm, sentence: str) -> None:
        """Note why a film's step failed."""
        self._change(film.id, runner=None, before=None, failure=sentence)

    def release(self, film: QueuedFilm) -> None:
        """Give a film back as it is."""
        self._change(film.id, runner=None)

    def paid(self, film: QueuedFilm) -> None:
        """Note that the command for films that are done has run for this one."""
        self._change(film.id, owed=0)

    def owing(self) -> list[QueuedFilm]:
        """Return the films that are done, and whose command has not run yet."""
        rows = self._file.rows(
            f"SELECT {_COLUMNS} FROM films WHERE owed AND step = 'done' ORDER BY id"
        )
        return [self._film(row) for row in rows]

    def confirm(self, films: Sequence[QueuedFilm]) -> None:
        """Say that the people of films are right: they are rendered when it is their turn.

        Raises
        ------
        BatchError
            If one does not wait for that.
        """
        with self._file.transaction():
            for film in map(self.film, (one.id for one in films)):
                if film.state != "review":
                    raise BatchError(
                        f"{film.name} does not wait for a review: {_IT_IS[film.state]}."
                    )
                self._set(film.id, step="render")

    def retry(self, films: Sequence[QueuedFilm] | None = None) -> list[QueuedFilm]:
        """Let films that failed have another turn, by default all; return them.

        Raises
        ------
        BatchError
            If one was named that has not failed.
        """
        with self._file.transaction():
            asked = self.films() if films is None else [self.film(one.id) for one in films]
            for film in asked if films is not None else ():
                if film.state != "failed":
                    raise BatchError(f"{film.name} has not failed: {_IT_IS[film.state]}.")
            failed = [film for film in asked if film.state == "failed"]
            for film in failed:
                self._set(film.id, failure=None)
            return failed

    def remove(self, films: Sequence[QueuedFilm]) -> None:
        """Take films off the queue; their files stay.

        Raises
        ------
        BatchError
            If one is being worked on.
        """
        with self._file.transaction():
            self.free_lost()
            for film in map(self.film, (one.id for one in films)):
                if film.runner is not None:
                    raise BatchError(
                        f"{film.name} is being worked on: stop `refrestore batch run` first."
                    )
                self._file.execute("DELETE FROM films WHERE id = ?", (film.id,))

    def _film(self, row: Sequence[Any]) -> QueuedFilm:
        try:
            number, video, output, project, options, priority, step, runner, *rest = row
            failure, stage, done, total, before, people, result, owed = rest
            return QueuedFilm(
                number, Path(video), Path(output), Path(project), json.loads(options), priority,
                step, runner, failure, stage, done, total, before, tuple(json.loads(people)),
                None if result is None else json.loads(result), bool(owed),
            )  # fmt: skip
        except (ValueError, TypeError) as error:
            raise self._file.damage(str(error)) from error

    def _lock_file(self, runner: int) -> Path:
        return self.path.with_name(f".{self.path.name}.{runner}.lock")

    def _lives(self, runner: int) -> bool:
        path = self._lock_file(runner)
        if not path.exists():
            return False
        lock = FileLock(path)
        free = lock.acquire()
        lock.release()
        return not free

    def _free(self, runner: int) -> None:
        with self._file.transaction():
            self._file.execute("UPDATE films SET runner = NULL WHERE runner = ?", (runner,))

    def _change(self, number: int, **columns: Any) -> None:
        with self._file.transaction():
            self._set(number, **columns)

    def _set(self, number: int, **columns: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        self._file.execute(f"UPDATE films SET {names} WHERE id = ?", (*columns.values(), number))


_IT_IS: dict[State, str] = {
    "waiting": "it is still to be scanned",
    "scanning": "it is being scanned",
    "review": "it waits for a review",
    "ready": "it is to be rendered",
    "rendering": "it is being rendered",
    "done": "it is done",
    "failed": "it failed",
}
