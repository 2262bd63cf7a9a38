"""Train the network that says whether eyes are shut.

    python -m training.lids.train BANK FILMS RUN [--minutes 20] [--seed 3]

BANK is what `training.common.faces` wrote, FILMS the same with `--films`, many pictures of each.
RUN receives checkpoints and `lids.safetensors`; the same command goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, IterableDataset

from refrestore.restore.lids import LidsNetwork, save_lids
from training.common.run import Run
from training.lids.data import Samples

BATCH, FRESH, KEPT = 128, 48, 65536
"""Faces a step, how many of them are new, and from how many of those before the others are."""

RATE = 2e-3


class Endless(IterableDataset):
    """Batches without end."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        torch.set_num_threads(1)
        while True:
            yield self.samples.batch(FRESH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("films", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--mesh", type=Path, default=Path("models/lite/landmarks.onnx"))
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--without", nargs="*", default=[], help="stems of clips to leave out")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    network = LidsNetwork().train()
    run = Run(
        arguments.run,
        network,
        minutes=arguments.minutes,
        rate=RATE,
        decay=1e-2,
        average=0.995,
        save=lambda mean: save_lids(mean, arguments.run / "lids.safetensors"),
    )
    seed = arguments.seed + 1000 * run.steps
    banks = arguments.bank, arguments.films
    samples = Samples(*banks, arguments.mesh, seed, frozenset(arguments.without))
    opened = sum(map(len, samples.open))
    shut = sum(len(rows) for _, rows in samples.shut)
    print(
        f"{shut} faces with shut eyes of {len(samples.shut)} people, {opened} with open", flush=True
    )
    # Another process makes them, beside this one that learns.
    batches = iter(DataLoader(Endless(samples), batch_size=None, num_workers=1, prefetch_factor=8))
    eyes, shut = torch.zeros(KEPT, 2, 40, 64, dtype=torch.float16), torch.zeros(KEPT)
    made = 0
    run.save()  # the clock starts now
    while run.more():
        fresh, truth = next(batches)
        rows = (torch.arange(FRESH) + made) % KEPT
        eyes[rows], shut[rows] = fresh.half(), truth.float()
        made += FRESH
        some = torch.cat([rows, torch.randint(min(made, KEPT), (BATCH - FRESH,))])
        batch, wanted = eyes[some].float(), shut[some]
        turned = torch.rand(BATCH) < 0.5
        batch[turned] = batch[turned].flip(1)  # either eye may be the first
        logits = network(batch)
        loss = F.binary_cross_entropy_with_logits(logits, wanted)
        right = ((logits > 0) == (wanted > 0.5)).float().mean()
        run.step({"total": loss, "right": right})


if __name__ == "__main__":
    main()
