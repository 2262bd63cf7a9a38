"""What a class of faults is, and how its trials are run, counted and told."""

from __future__ import annotations

import json
import os
import platform
import random
import shutil
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from .stock import Stock
from .zygote import HANG_SECONDS, MOST_BYTES, Call, Child, Ended, Zygote, as_command, command

SENTENCE = "refrestore: "
EXPECTED_STATUS = range(1, 8)
"""Exit statuses of errors that input, environment or settings cause (refrestore/errors.py)."""


@dataclass(frozen=True)
class Failure:
    """A trial that did not end as promised."""

    row: str
    number: int
    sentence: str


@dataclass
class Trial:
    """One trial: its number, its own dice, an empty folder and a forking server.

    The dice depend on seed, class and number alone, so that any trial can be repeated by itself.
    """

    name: str
    number: int
    seed: int
    folder: Path
    zygote: Zygote
    stock: Stock
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.seed}:{self.name}:{self.number}")
        self.temporary = self.folder.with_name(f"{self.folder.name}.tmp")
        for folder in (self.folder, self.temporary):
            folder.mkdir(parents=True)

    @property
    def environment(self) -> dict[str, str]:
        """Surroundings in which nothing outside the trial's folders is written."""
        return {
            "TMPDIR": str(self.temporary),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "REFRESTORE_PROFILES": str(self.folder / "profiles"),
        }

    def count(self, what: str) -> None:
        """Count something that the table names."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def start(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        limits: Mapping[int, int] | None = None,
        folder: Path | None = None,
    ) -> Child:
        """Start a function in a process of its own."""
        call = Call(function, arguments, folder or self.folder, self.environment, limits or {})
        return self.zygote.start(call)

    def command(self, *arguments: object, **settings: Any) -> Child:
        """Start a command of the command line."""
        return self.start(command, *map(str, arguments), **settings)

    def told(self, function: Callable[..., None], *arguments: Any, **settings: Any) -> Child:
        """Start a function of the library whose errors are told as the command line tells them."""
        return self.start(as_command, function, *arguments, **settings)

    def close(self) -> None:
        """Remove everything."""
        for folder in (self.folder, self.temporary):
            shutil.rmtree(folder, ignore_errors=True)


class FaultClass(ABC):
    """A class of faults: what is promised, how many trials, and one trial."""

    name: ClassVar[str]
    promise: ClassVar[str]
    full: ClassVar[int]
    """Trials of a full round."""
    reduced: ClassVar[int]
    """Trials of the round that `make test` runs."""
    weight: ClassVar[int] = 1
    """How many of what the table counts a trial makes (connections, requests)."""
    alone: ClassVar[bool] = False
    """Whether trials are run one at a time, as they measure time or memory."""

    def prepare(self, trial: Trial) -> None:
        """Make what all trials need, in a folder that is kept."""
        return None

    def finish(self) -> str | None:
        """End what `prepare` began; return what was wrong all along."""
        return None

    @abstractmethod
    def row(self, number: int) -> str:
        """Return the row of the table to which a trial belongs."""

    @abstractmethod
    def run(self, trial: Trial) -> str | None:
        """Run a trial; return what was wrong, None if it ended as promised."""


@dataclass
class Row:
    """A row of the table."""

    name: str
    row: str
    trials: int = 0
    failures: int = 0
    counts: dict[str, int] = field(default_factory=dict)


@dataclass
class Report:
    """What a campaign found."""

    seed: int
    scale: str
    rows: list[Row] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def going_on(cls, path: Path, seed: int, scale: str) -> Report:
        """Return what a file has of this seed and round, an empty report where it has none."""
        try:
            found = json.loads(path.read_text())
        except OSError:
            found = {}
        if (found.get("seed"), found.get("round")) != (seed, scale):
            return cls(seed, scale)
        rows = [Row(**row) for row in found["rows"]]
        failed = [Failure(**failure) for failure in found["failures"]]
        return cls(seed, scale, rows, failed, found["seconds"])

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        from refrestore import __version__

        return {
            "version": __version__,
            "seed": self.seed,
            "round": self.scale,
            "date": time.strftime("%Y-%m-%d"),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "seconds": {name: round(value) for name, value in self.seconds.items()},
            "rows": [vars(row) for row in self.rows],
            "failures": [vars(failure) for failure in self.failed],
        }


class Campaign:
    """Runs classes of faults with a few workers, each with a forking server of its own."""

    def __init__(self, folder: Path, seed: int, *, workers: int = 2, keep: bool = False) -> None:
        self._folder, self._seed, self._keep = folder, seed, keep
        first = Zygote(folder / "server0")
        rest = [Zygote(folder / f"server{number}", first) for number in range(1, workers)]
        self._servers = [first, *rest]
        self._free = list(self._servers)
        self._stock = Stock(folder / "stock")
        self._mutex = threading.Lock()

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        if not self._keep:
            shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, fault: FaultClass, numbers: Sequence[int], report: Report) -> None:
        """Run trials of a class and add them to the report."""
        began = time.monotonic()
        kept = self._folder / fault.name / "material"
        try:
            fault.prepare(Trial(fault.name, -1, self._seed, kept, self._servers[0], self._stock))
        except Exception as error:  # without its material no trial of the class has passed
            report.rows.append(Row(fault.name, "not prepared", len(numbers), len(numbers)))
            report.failed.append(Failure(f"{fault.name}: preparation", -1, str(error)[-2000:]))
            return
        rows: dict[str, Row] = {}
        workers = 1 if fault.alone else len(self._servers)
        with ThreadPoolExecutor(workers) as pool:
            for number, wrong, counts in pool.map(lambda n: self._trial(fault, n), numbers):
                name = fault.row(number)
                row = rows.setdefault(name, Row(fault.name, name))
                row.trials += fault.weight
                for what, count in counts.items():
                    row.counts[what] = row.counts.get(what, 0) + count
                if wrong is not None:
                    row.failures += fault.weight
                    report.failed.append(Failure(f"{fault.name}: {name}", number, wrong))
        wrong = fault.finish()
        if wrong is not None:
            rows["all along"] = Row(fault.name, "all along", 1, 1)
            report.failed.append(Failure(f"{fault.name}: all of it", numbers[-1], wrong))
        report.rows += [rows[name] for name in sorted(rows)]
        report.seconds[fault.name] = time.monotonic() - began

    def _trial(self, fault: FaultClass, number: int) -> tuple[int, str | None, dict[str, int]]:
        with self._mutex:
            server = self._free.pop()
        folder = self._folder / fault.name / f"{number:05d}"
        try:
            trial = Trial(fault.name, number, self._seed, folder, server, self._stock)
            try:
                wrong = fault.run(trial)
            except Exception:  # a check that stumbles is a failure as well, told with its reason
                wrong = f"the check itself failed: {traceback.format_exc(limit=-3)}"
            if not self._keep:
                trial.close()
            return number, wrong, trial.counts
        finally:
            with self._mutex:
                self._free.append(server)


def complaint(ended: Ended, *, must: bool = False, what: str = "") -> str | None:
    """Return what is wrong with how a command ended.

    Parameters
    ----------
    must
        Whether it must have worked; otherwise an error in one sentence is as good.
    what
        Named before the complaint.
    """
    said = _complaint(ended, must)
    return said if said is None or not what else f"{what}: {said}"


def _complaint(ended: Ended, must: bool) -> str | None:
    tail = " | ".join(ended.err.strip().splitlines()[-3:])[-400:]
    if ended.hung:
        return f"still running after {HANG_SECONDS:.0f} s"
    if "Traceback (most recent call last)" in ended.err:
        return f"traceback: {tail}"
    if ended.status < 0:
        return f"died of signal {-ended.status}: {tail}"
    if ended.peak > MOST_BYTES:
        return f"held {ended.peak / 2**30:.1f} GB"
    if ended.status == 0:
        return None
    if must:
        return f"exit status {ended.status}: {tail}"
    if ended.status not in EXPECTED_STATUS:
        return f"exit status {ended.status}, which no error has: {tail}"
    lines = ended.err.strip("\n").split("\n")
    if sum(line.startswith(SENTENCE) for line in lines) != 1 or not lines[-1].startswith(SENTENCE):
        return f"not one sentence ({len(lines)} lines): {tail}"
    return None


def first(complaints: Iterator[str | None]) -> str | None:
    """Return the first complaint, doing no more checks after it."""
    return next((one for one in complaints if one is not None), None)


PARTIAL = (".candidates-", "refrestore-review-", ".partial", ".tmp", "-journal", ".replaced")


def leftovers(*folders: Path) -> list[str]:
    """Return names of what no ended command should leave."""
    return sorted(
        path.relative_to(folder).as_posix()
        for folder in folders
        for path in folder.rglob("*")
        if any(mark in path.name for mark in PARTIAL)
    )
