"""Ctrl-C and SIGTERM: what was kept is said, and the command that goes on; nothing is left."""

from __future__ import annotations

import re
import shutil
import signal
from typing import ClassVar

from .campaign import SENTENCE, FaultClass, Trial, complaint, first, leftovers
from .zygote import Child, Ended

SECONDS = {"scan": 1.5, "render": 6.0, "run": 7.0, "review": 1.0}
"""Within which the signal comes: about what the command takes on the campaign's film."""

STOP = {signal.SIGINT: (130, -signal.SIGINT), signal.SIGTERM: (143, -signal.SIGTERM)}
"""Exit statuses by the shells' convention; or the signal's own."""

GOES_ON = re.compile(r"refrestore (scan|render|run|review) ")


class Signals(FaultClass):
    """A user or a system that stops a command."""

    name = "signals"
    promise = (
        "A command stopped by Ctrl-C or SIGTERM exits with 130 or 143, says in one sentence what "
        "was kept and which command goes on, and leaves no temporary files; that command works."
    )
    full, reduced = 100, 4
    rows: ClassVar[tuple[str, ...]] = ("scan", "render", "run", "review")

    def row(self, number: int) -> str:
        """Return the command that is stopped."""
        return self.rows[number % len(self.rows)]

    def run(self, trial: Trial) -> str | None:
        """Stop a command at a random moment."""
        name = self.row(trial.number)
        number = trial.random.choice(sorted(STOP))
        child = _started(trial, name)
        if name == "review" and not child.until("http"):
            return complaint(child.wait(), must=True)
        if not child.ends_within(trial.random.random() * SECONDS[name]):
            child.signal(number)
        ended = child.wait()
        left = leftovers(trial.folder, trial.temporary)
        left += [path.name for path in trial.temporary.iterdir()]
        left += [path.name for path in trial.folder.glob(".out.mkv.*") if _passing(path.name)]
        if name != "review" and (ended.status == 0 or _finished(ended, number)):
            trial.count("ended before the signal")
            return f"left behind: {left}" if left else None
        return first(
            wrong
            for wrong in (
                "traceback" if "Traceback" in ended.err else None,
                _status(name, ended.status, number),
                None if name == "review" else _said(ended.err),
                f"left behind: {', '.join(left)}" if left else None,
                complaint(_started(trial, name).wait(), must=True) if name == "scan" else None,
            )
        )


def _started(trial: Trial, name: str) -> Child:
    film = trial.stock.film(trial.zygote)
    if name == "scan":
        return trial.command("scan", film, "-p", "project", "--threads", "1")
    if name == "run":
        return trial.command("run", film, "-o", "out.mkv", "--threads", "1")
    shutil.copytree(trial.stock.project(trial.zygote), trial.folder / "project")
    if name == "render":
        return trial.command("render", "-p", "project", "-o", "out.mkv", "--threads", "1")
    return trial.command("review", "project", "--port", "0", "--no-browser")


def _finished(ended: Ended, number: int) -> bool:
    """Say whether its result was out, and the interpreter alone was still to end."""
    return ended.status == -number and bool(ended.out.strip()) and not ended.err.strip()


def _passing(name: str) -> bool:
    return not name.endswith((".refrestore", ".lock"))


def _status(name: str, status: int, number: int) -> str | None:
    right = (*STOP[signal.Signals(number)], *((0,) if name == "review" else ()))
    return None if status in right else f"exit status {status} after signal {number}"


def _said(err: str) -> str | None:
    lines = [line for line in err.splitlines() if line.startswith(SENTENCE)]
    if len(lines) != 1:
        return f"said {len(lines)} sentences: {err.strip()[-300:]}"
    return None if GOES_ON.search(lines[0]) else f"names no command to go on with: {lines[0]}"
