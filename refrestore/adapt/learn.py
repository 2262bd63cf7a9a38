"""The tuning itself: samples in, the differences that did best on references kept out, out."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from refrestore.adapt.likeness import Likeness
from refrestore.adapt.training_samples import TrainingSample
from refrestore.errors import Stopped
from refrestore.restore.adapter import Adapter, Tuning
from refrestore.restore.fusion import FusionNetwork
from refrestore.restore.fusion_types import WorkingFaces

_log = logging.getLogger(__name__)

BATCH = 4
POOL, FIRST = 120, 16
"""Samples that are held and drawn from (2 MB each), and with how many of them it begins: looking
costs as much as learning, so each is learnt from several times."""

RATE = 3e-4
WARM_STEPS = 10
LEAST_RATE = 0.05
LARGEST_GRADIENT = 1.0

PIXEL, COARSE, IDENTITY, PIVOT = 2.0, 8.0, 1.0, 10.0
"""Weights of the terms of the loss (`Losses`)."""

OUTSIDE = 0.3
"""Weight of a pixel outside the mesh hull."""

CHECKS = 8
"""Looks at the references kept out."""

PATIENCE = 4
"""Looks without a better one after which it stops."""

SHARES = (1.0, 0.7, 0.4)
"""Parts of the way that are looked at: what is half-way between two networks is often the better
one where they were not trained (WiSE-FT: Wortsman et al., CVPR 2022)."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """A sample and what is wanted of it.

    Parameters
    ----------
    sample
        Of one face.
    pivot
        What the untuned network makes of it, if that is what is wanted: it shows somebody else.
    """

    sample: TrainingSample
    pivot: torch.Tensor | None


class Losses:
    """What a batch costs.

    Charbonnier on a fourth of the working resolution and at the full one, and 1 - cosine of a
    recogniser's embedding to the person's mean. To the one photo's own it would learn the photos
    by heart; what is the person's in them is what they have in common. For somebody else's face it
    is the difference to what the untuned network makes of it.

    Parameters
    ----------
    likeness
        The recogniser.
    centroid : (1, 512)
        The person's unit mean embedding by it.
    """

    def __init__(self, likeness: Likeness, centroid: torch.Tensor) -> None:
        self.likeness, self.centroid = likeness, centroid

    def __call__(
        self, working: WorkingFaces, sample: TrainingSample, lessons: Sequence[Lesson]
    ) -> torch.Tensor:
        """Return the mean over the batch."""
        out = working.images
        others = [row for row, lesson in enumerate(lessons) if lesson.pivot is not None]
        own = [row for row, lesson in enumerate(lessons) if lesson.pivot is None]
        total = out.new_zeros(())
        if others:
            wanted = torch.cat([one.pivot for one in lessons if one.pivot is not None])
            total = total + PIVOT * _charbonnier(out[others] - wanted).mean(dim=(1, 2, 3)).sum()
        if own:
            total = total + self._own(out[own], sample, own)
        return total / len(lessons)

    def _own(self, out: torch.Tensor, sample: TrainingSample, rows: list[int]) -> torch.Tensor:
        error = out - sample.truth[rows]
        hull = F.interpolate(sample.seen.hull[rows], size=out.shape[-2:], mode="bilinear")
        place = OUTSIDE + (1 - OUTSIDE) * hull
        fourth = _charbonnier(F.avg_pool2d(error, 4)) * F.avg_pool2d(place, 4)
        embedding = self.likeness(out, sample.matrices[rows])
        terms = PIXEL * (_charbonnier(error) * place).mean(dim=(1, 2, 3))
        terms = terms + COARSE * fourth.mean(dim=(1, 2, 3))
        terms = terms + IDENTITY * (1 - (embedding * self.centroid).sum(1))
        total: torch.Tensor = terms.sum()
        return total


def _charbonnier(x: torch.Tensor) -> torch.Tensor:
    return torch.sqrt(x * x + 1e-6)


@dataclass(frozen=True)
class Course:
    """How a tuning went.

    Parameters
    ----------
    adapter
        The best differences; None if none did better than the untuned network.
    steps
        Taken in all.
    gain
        Of the best, on the references kept out.
    stopped
        Whether it ended because nothing got better any more.
    """

    adapter: Adapter | None
    steps: int
    gain: float
    stopped: bool


Check = Callable[[Adapter], float]
"""How much better than the untuned network it is; at or below 0 it is not."""


def learn(
    tuning: Tuning,
    draw: Callable[[], tuple[TrainingSample, bool]],
    losses: Losses,
    check: Check,
    *,
    seconds: float,
    dtype: torch.dtype,
    threads: int = 1,
    random: np.random.Generator,
    told: Callable[[int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Course:
    """Tune until the time is over, nothing gets better, or Ctrl-C; keep the best.

    Parameters
    ----------
    tuning
        What is tuned.
    draw
        Gives a sample, and whether it shows somebody else.
    losses
        What it learns by.
    check
        Judges what has been learnt, on references kept out.
    seconds
        For all of it.
    dtype
        What the network computes in.
    threads
        With more than one, samples are drawn beside.
    told
        Called with the seconds that have passed.
    clock
        What seconds are counted by.
    """
    device = next(tuning.network.parameters()).device
    optimiser = torch.optim.AdamW(tuning.parameters(), betas=(0.9, 0.99), weight_decay=1e-4)
    pool: list[Lesson] = []
    best, adapter, worse, steps, checked = 0.0, None, 0, 0, 0
    began = clock()
    lessons = _lessons(draw, tuning, dtype, threads)
    try:
        while (progress := (clock() - began) / seconds) < 1 and worse < PATIENCE:
            pool += [next(lessons) for _ in range(1 if pool else FIRST)]
            del pool[:-POOL]
            picked = [pool[int(row)] for row in random.choice(len(pool), BATCH, replace=False)]
            for group in optimiser.param_groups:
                group["lr"] = _rate(steps, progress)
            sample = TrainingSample.together([one.sample for one in picked])
            with torch.autocast(device.type, dtype, dtype != torch.float32):
                working = tuning.network.draw(sample.seen)
            optimiser.zero_grad(set_to_none=True)
            losses(working, sample, picked).backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(tuning.parameters(), LARGEST_GRADIENT)
            if torch.isfinite(norm):
                optimiser.step()
            steps += 1
            passed = clock() - began
            if told is not None:
                told(int(passed))
            if passed > seconds * (checked + 1) / CHECKS:
                checked = int(passed * CHECKS / seconds)
                now = tuning.adapter()
                worse += 1
                for part in [now.scaled(share) for share in SHARES]:
                    if (gain := check(part)) > best:
                        best, adapter, worse = gain, part, 0
    except (KeyboardInterrupt, Stopped) as stop:
        if isinstance(stop, Stopped) and stop.number != signal.SIGINT:
            raise  # not by hand: there may be no time to judge
        # What did best so far is judged as if the time were over.
        _log.warning("Learning has ended; what did best so far is judged (Ctrl-C: not even that).")
    finally:
        lessons.close()
    return Course(adapter, steps, best, worse >= PATIENCE)


def _rate(steps: int, progress: float) -> float:
    warm = min(1.0, (steps + 1) / WARM_STEPS)
    return RATE * warm * (LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * progress)) / 2)


def _lessons(
    draw: Callable[[], tuple[TrainingSample, bool]],
    tuning: Tuning,
    dtype: torch.dtype,
    threads: int,
) -> Generator[Lesson, None, None]:
    """Yield lessons for ever; drawn beside the learning if there are threads for it."""
    if threads < 2:
        while True:
            yield _lesson(*draw(), tuning, dtype)
    with ThreadPoolExecutor(1, "samples") as drawer:
        waiting: list[Future[tuple[TrainingSample, bool]]] = [drawer.submit(draw) for _ in range(2)]
        try:
            while True:
                sample, other = waiting.pop(0).result()
                waiting.append(drawer.submit(draw))
                yield _lesson(sample, other, tuning, dtype)
        finally:
            for one in waiting:
                one.cancel()


@torch.no_grad()
def _lesson(sample: TrainingSample, other: bool, tuning: Tuning, dtype: torch.dtype) -> Lesson:
    pivot = drawn(tuning.original, sample, dtype) if other else None
    return Lesson(sample, pivot)


@torch.no_grad()
def drawn(network: FusionNetwork, sample: TrainingSample, dtype: torch.dtype) -> torch.Tensor:
    """Return what a network makes of a sample, (B, 3, T, T)."""
    with torch.autocast(sample.truth.device.type, dtype, dtype != torch.float32):
        return network.draw(sample.seen).images
