"""Train the face mask network.

    python -m training.mask.train CACHE HANDS RUN [--minutes 14] [--seed 5]

CACHE is what `training.common.faces` wrote, HANDS what `training.mask.real_hands` wrote. RUN
receives checkpoints and `mask.safetensors`; the same command goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import torch
from torch.nn import functional as F  # noqa: N812

from refrestore.restore.mask import save_mask
from training.common.faces import Bank
from training.common.run import Run
from training.mask.data import Samples, real_hands
from training.mask.network import folded, normalised

BATCH = 16
FRESH = 8
"""New samples a step; the rest of a batch was made before and is mirrored at random."""

KEPT = 4096
RATE = 3e-3
OVERLAP = 0.3
"""Weight of the soft Dice loss beside the cross entropy."""


class Pool:
    """The last samples made, to be used again: making one costs as much as learning from four."""

    def __init__(self, samples: Samples, seed: int) -> None:
        self.samples, self.made = samples, 0
        self.kept: dict[str, torch.Tensor] = {}
        self.random = torch.Generator().manual_seed(seed)

    def batch(self) -> dict[str, torch.Tensor]:
        fresh = self.samples.batch(FRESH if self.made else BATCH)
        count = len(fresh["truth"])
        if not self.kept:
            self.kept = {
                name: torch.zeros(KEPT, *value.shape[1:], dtype=torch.uint8)
                for name, value in fresh.items()
            }
        old = torch.randint(min(max(self.made, 1), KEPT), (BATCH - count,), generator=self.random)
        batch = {}
        for name, value in fresh.items():
            rows = (torch.arange(count) + self.made) % KEPT
            scale = 100 if name == "weight" else 255
            again = self.kept[name][old].float() / scale
            batch[name] = torch.cat([value, again]) if len(old) else value
            self.kept[name][rows] = (value * scale).round().to(torch.uint8)
        turned = torch.rand(BATCH, generator=self.random) < 0.5
        for value in batch.values():
            value[turned] = value[turned].flip(-1)
        self.made += count
        return batch


def losses(logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weighted cross entropy, overlap, and two rates to watch."""
    truth, weight = batch["truth"], batch["weight"]
    crossed = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    entropy = (crossed * weight).sum() / weight.sum()
    seen = logits.sigmoid()
    both = (seen * truth).sum((1, 2, 3))
    dice = 1 - (2 * both + 1) / (seen.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 1)
    hard = (logits > 0) & (batch["hull"] > 0.5)
    met = (hard & (truth > 0.5)).sum() / (hard | (truth > 0.5)).sum().clamp(min=1)
    terms = {"entropy": entropy, "dice": dice.mean(), "overlap": met}
    return {"total": entropy + OVERLAP * terms["dice"], **terms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("hands", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, default=14)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    network = normalised().to(memory_format=torch.channels_last).train()
    run = Run(
        arguments.run,
        network,
        minutes=arguments.minutes,
        rate=RATE,
        average=0.995,
        save=lambda mean: save_mask(folded(mean), arguments.run / "mask.safetensors"),
    )
    # A run that goes on does not see the same samples again.
    seed = arguments.seed + 1000 * run.steps
    samples = Samples(Bank.open(arguments.cache), seed, hands=real_hands(arguments.hands))
    pool = Pool(samples, seed)
    print(f"{len(samples.rows)} faces, {len(samples.textures.hands)} hands", flush=True)
    run.save()  # the clock starts now
    while run.more():
        batch = pool.batch()
        with torch.autocast("cpu", torch.bfloat16):
            picture = batch["picture"].to(memory_format=torch.channels_last)
            logits = network(picture, batch["hull"])
        run.step(losses(logits, batch))


if __name__ == "__main__":
    main()
