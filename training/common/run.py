"""A training run that survives being stopped: schedule by time, moving average, checkpoints."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

SAVE_SECONDS = 120
WARM_STEPS = 50


class Run:
    """Optimiser, average and log of one network; `while run.more(): run.step(terms)`.

    Parameters
    ----------
    folder
        Receives `state.pt` (the same command goes on from it) and `log.jsonl`.
    network
        What is trained; AdamW, clipped gradients, a cosine over the minutes.
    minutes
        Length of the schedule, wall-clock minutes of training summed over restarts.
    rate
        Highest learning rate.
    average
        Decay of the moving average of weights and buffers.
    save
        Called with the average network at every checkpoint, to export it.
    """

    def __init__(
        self,
        folder: Path,
        network: nn.Module,
        *,
        minutes: float,
        rate: float,
        decay: float = 1e-4,
        average: float = 0.998,
        save: Callable[[nn.Module], None] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.network, self.minutes, self.rate = folder, network, minutes, rate
        self.mean = copy.deepcopy(network).requires_grad_(False)
        self.keep = average
        self._save_average = save
        flat = [v for v in network.parameters() if v.ndim <= 1]
        deep = [v for v in network.parameters() if v.ndim > 1]
        groups = [{"params": deep, "weight_decay": decay}, {"params": flat, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99))
        self.steps, self.spent = 0, 0.0
        self._sums: dict[str, list[float]] = {}
        path = folder / "state.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            network.load_state_dict(state["network"])
            self.mean.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.steps, self.spent = state["steps"], state["spent"]
        self._last = self._saved = time.monotonic()

    @property
    def progress(self) -> float:
        """Part of the schedule that is over, 0..1."""
        return min(1.0, self.spent / (60 * self.minutes))

    def more(self) -> bool:
        """Whether there is time left; saves when it is over."""
        if self.progress < 1:
            return True
        self.save()
        return False

    def step(self, terms: dict[str, torch.Tensor]) -> None:
        """Take one step down `terms["total"]`, log the others every 50."""
        rate = self.rate * min(1, (self.steps + 1) / WARM_STEPS)
        rate *= 0.01 + 0.99 * (1 + math.cos(math.pi * self.progress)) / 2
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        terms["total"].backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimiser.step()
        keep = min(self.keep, (self.steps + 1) / (self.steps + 20))
        with torch.no_grad():
            for mean, value in zip(
                self.mean.state_dict().values(), self.network.state_dict().values(), strict=True
            ):
                if mean.is_floating_point():
                    mean.lerp_(value, 1 - keep)
                else:
                    mean.copy_(value)
        self.steps += 1
        now = time.monotonic()
        self.spent += now - self._last
        self._last = now
        for name, value in {**terms, "norm": norm}.items():
            number = float(value.detach())
            if math.isfinite(number):
                self._sums.setdefault(name, []).append(number)
        if self.steps % 50 == 0:
            line = {name: round(sum(v) / len(v), 5) for name, v in self._sums.items()}
            line |= {"step": self.steps, "minutes": round(self.spent / 60, 2), "rate": rate}
            with (self.folder / "log.jsonl").open("a") as log:
                print(json.dumps(line), file=log)
            self._sums = {}
        if now - self._saved > SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write the checkpoint and export the average."""
        state = {
            "network": self.network.state_dict(),
            "average": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
            "spent": self.spent,
        }
        torch.save(state, self.folder / "state.tmp")
        (self.folder / "state.tmp").replace(self.folder / "state.pt")
        if self._save_average:
            self._save_average(copy.deepcopy(self.mean).eval())
        self._saved = self._last = time.monotonic()
