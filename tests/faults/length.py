"""A film ten times as long takes no more memory and no more descriptors."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import ClassVar

from .campaign import FaultClass, Trial, complaint
from .stock import make_film
from .zygote import Child, Ended

TIMES = 10
EMPTY = 550
"""Frames without a face after the two shots with one: the long film must not take hours. The
short film must have more than two segments of ten seconds: a render holds that many anyhow."""

SECONDS = 900.0
MEMORY, DESCRIPTORS = 1.15, 3
"""How much more the long film may take: a share of the memory, a number of descriptors."""


class Length(FaultClass):
    """Scan and render of a short and of a long film."""

    name = "length"
    promise = "Memory and descriptors of a scan and of a render do not grow with the film."
    full, reduced = 2, 0
    alone = True
    rows: ClassVar[tuple[str, ...]] = ("scan", "render")

    def row(self, number: int) -> str:
        """Return the command."""
        return self.rows[number % len(self.rows)]

    def run(self, trial: Trial) -> str | None:
        """Measure a command on both films."""
        found = {}
        for times in (1, TIMES):
            film = trial.folder / f"film{times}.mp4"
            made = trial.start(make_film, str(film), times, EMPTY).wait(SECONDS)
            wrong = complaint(made, must=True)
            if wrong:
                return wrong
            project = trial.folder / f"project{times}"
            measured = _watched(trial.command("scan", film, "-p", project, "--threads", "1"))
            if self.row(trial.number) == "render" and not measured[0].status:
                measured = _watched(
                    trial.command(
                        *("render", "-p", project, "-o", trial.folder / f"out{times}.mp4"),
                        *("--threads", "1"),
                    )
                )
            wrong = complaint(measured[0], must=True)
            if wrong:
                return wrong
            found[times] = measured
        (short, few), (long, many) = found[1], found[TIMES]
        mebibytes = [round(ended.peak / 2**20) for ended in (short, long)]
        trial.counts["MiB for the short film"] = mebibytes[0]
        trial.counts["MiB for the long one"] = mebibytes[1]
        if long.peak > short.peak * MEMORY:
            return f"{mebibytes[1]} MiB instead of {mebibytes[0]}"
        return f"{many} descriptors instead of {few}" if many > few + DESCRIPTORS else None


def _watched(child: Child) -> tuple[Ended, int]:
    """Wait, counting the descriptors that are open at a time."""
    most = 0
    while not child.ends_within(0.05):
        with suppress(OSError):  # it has ended just now
            most = max(most, len(os.listdir(f"/proc/{child.pid}/fd")))
    return child.wait(SECONDS), most
