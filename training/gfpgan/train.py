"""Train the stand-in for GFPGAN's official weights on a CPU.

    python -m training.gfpgan.train PAIRS MODELS RUN --minutes 12 28 55

PAIRS is what `prepare` wrote, MODELS holds the recogniser and SqueezeNet. A network of 64 px is
trained first and grows by an octave twice; `--minutes` are those of 64, 128 and 256 px. RUN
receives a folder for each with `state.pt` (the same command goes on after a stop) and `log.jsonl`,
and `gfpgan.safetensors`, the moving average of the weights so far.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch.nn import functional as F  # noqa: N812

from refrestore.restore.second.gfpgan import GFPGAN
from training.common.run import Run
from training.fusion.losses import Patches
from training.gfpgan.data import Batches
from training.gfpgan.losses import WEIGHTS, Losses
from training.gfpgan.network import Both, fresh, grown, save

SIDES = (64, 128, 256)
BATCHES = (16, 8, 4)
SCHEDULE = (12.0, 28.0, 55.0)
RATES = (3e-3, 2e-3, 1e-3)


class Judge:
    """The patch discriminator and its training (hinge loss)."""

    def __init__(self, path: Path) -> None:
        self.path, self.network = path, Patches()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=3e-4, betas=(0.5, 0.99))
        if path.exists():
            self.network.load_state_dict(torch.load(path, weights_only=True))

    def save(self) -> None:
        torch.save(self.network.state_dict(), self.path)

    def __call__(self, images: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor | None:
        """Learn from a batch and return what it says of the images, None for soft truths only."""
        rows = batch["sharp"] > 0.8
        if not rows.any():
            return None
        truth, made = batch["truth"][rows], images[rows]
        with torch.autocast("cpu", torch.bfloat16):
            real, fake = self.network(truth), self.network(made.detach())
        loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        with torch.autocast("cpu", torch.bfloat16):
            return -self.network(made).mean()


def train(network: GFPGAN, index: int, arguments: argparse.Namespace) -> GFPGAN:
    """Train a network of one size to the end of its schedule and return the average."""
    side = SIDES[index]
    judge = Judge(arguments.run / f"{side}" / "judge.pt")

    def checkpoint(mean: torch.nn.Module) -> None:
        judge.save()
        save(mean, arguments.run / "gfpgan.safetensors")

    run = Run(
        arguments.run / f"{side}",
        network,
        minutes=arguments.minutes[index],
        rate=arguments.rate[index],
        save=checkpoint,
    )
    seed = arguments.seed + 1000 * run.steps + index
    torch.manual_seed(seed)
    batches = Batches(arguments.pairs, seed)
    last = side == SIDES[-1]
    losses = Losses(
        arguments.models, {name: getattr(arguments, name) for name in WEIGHTS}, identity=last
    )
    both = Both(network)
    while run.more():
        batch = batches.batch(BATCHES[index])
        for name in ("given", "truth"):
            batch[name] = F.avg_pool2d(batch[name], SIDES[-1] // side)
        # Copies in half precision: autocast would keep what is between convolutions in single.
        half = {
            name: value.to(torch.bfloat16)
            for name, value in (*both.named_parameters(), *both.named_buffers())
        }
        given = (batch["given"] * 2 - 1).to(torch.bfloat16)
        out, previews = torch.func.functional_call(both, half, (given,))
        out = out.float() / 2 + 0.5
        terms = losses(out, tuple(preview.float() / 2 + 0.5 for preview in previews), batch)
        if last and run.progress >= arguments.adversarial:
            said = judge(out, batch)
            if said is not None:
                terms["patches"] = said
        terms["total"] = losses.total(terms)
        run.step(terms)
    return run.mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, nargs=3, default=SCHEDULE)
    parser.add_argument("--rate", type=float, nargs=3, default=RATES)
    parser.add_argument("--adversarial", type=float, default=1.0, metavar="PROGRESS")
    for name, weight in WEIGHTS.items():
        parser.add_argument(f"--{name}", type=float, default=weight)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    network = train(fresh(SIDES[0]), 0, arguments)
    for index in range(1, len(SIDES)):
        network = train(grown(network), index, arguments)


if __name__ == "__main__":
    main()
