"""Distil the recogniser: the student's view is spoiled, the target is the clean face's.

    python -m training.recogniser.train CACHE MODELS RUN [--minutes 60]

CACHE is what `prepare.py` wrote, and receives what the teacher says besides; MODELS holds
`edgeface_xs.fp32.onnx`. RUN receives `state.pt` (the same command goes on from it),
`log.jsonl` and `recogniser.onnx`, the moving average of the weights.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from training.common.export import export
from training.common.run import Run
from training.recogniser.hints import STEPS, Hints, Trained
from training.recogniser.views import plain_view, view

STORED = 40000
MIXES = 15000
"""Faces of the cache that are used, real ones first, and mixes of them."""

REAL = 0.15
"""Share of real faces in a batch. With 0.4 the student knew the training people by heart."""

PLAIN = (0.75, 0.3)
"""Share of faces shown nearly as they are, with hints, at the beginning and at the end."""

PULL = 0.35
"""How far the target of a spoiled real face lies towards the mean of its person."""

BANK = 2048
"""Faces that one is compared with, drawn anew for every batch."""

SHARPNESS = 14.0
WEIGHTS = {"cosine": 1.0, "relation": 10.0, "ranking": 0.15}
HINTS = (1.0, 0.3)
"""Weight of each hint at the beginning and at the end."""

ABOUT = "112-px ArcFace-aligned RGB, (x - 127.5) / 127.5, to an identity embedding like EdgeFace's"


@dataclass(frozen=True)
class Batch:
    """The plain views come first; only they have hints."""

    pictures: torch.Tensor
    """(B, 3, 112, 112), in [-1, 1]."""
    target: torch.Tensor
    """(B, 512), unit."""
    inner: torch.Tensor
    """(P, LENGTH), what the teacher computes on the way of the first P faces, standardised."""
    bank: torch.Tensor
    """(K, 512), embeddings of other faces."""


class Samples:
    """Batches of views with targets; half of the real ones are drawn by person."""

    def __init__(self, cache: Path, models: Path, batch: int, random: np.random.Generator) -> None:
        faces = np.load(cache / "faces.npy", mmap_mode="r")[:STORED]
        rows = np.load(cache / "rows.npz")
        self.hints = Hints(cache, models / "edgeface_xs.fp32.onnx", faces, MIXES)
        self.averaged = rows["embedding"][:STORED]
        self.person = rows["person"][:STORED]
        self.real = int((self.person >= 0).sum())
        self.batch, self.random = batch, random
        named = self.person[: self.real]
        self.of = [np.flatnonzero(named == who) for who in range(named.max() + 1)]
        centres = np.stack([self.averaged[rows].mean(0) for rows in self.of])
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        several = (np.bincount(named)[named] > 1)[:, None]
        mixed = (1 - PULL) * self.averaged[: self.real] + PULL * centres[named]
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
        self.averaged[: self.real] = np.where(several, mixed, self.averaged[: self.real])

    def draw(self, progress: float) -> Batch:
        random, hints = self.random, self.hints
        real = round(self.batch * REAL)
        by_person = random.choice(len(self.of), real // 2, replace=False)
        rows = [
            np.array([random.choice(self.of[who]) for who in by_person]),
            random.integers(self.real, size=real - real // 2),
            random.integers(self.real, len(hints), size=self.batch - real),
        ]
        numbers = random.permutation(np.concatenate(rows))
        plain = round(self.batch * (PLAIN[0] + (PLAIN[1] - PLAIN[0]) * progress))
        faces = np.stack([hints.face(number) for number in numbers])
        own = numbers >= hints.stored
        own[:plain] = True
        hints.fetch(faces[own], numbers[own])
        views = [plain_view(face, random) for face in faces[:plain]]
        views += [view(face, random) for face in faces[plain:]]
        pictures = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float()
        target = np.where(
            own[:, None],
            hints.embedding[numbers],
            self.averaged[np.minimum(numbers, hints.stored - 1)],
        )
        inner = hints.inner[numbers[:plain]].astype(np.float32) / STEPS
        bank = self.averaged[random.integers(hints.stored, size=BANK)]
        return Batch(
            pictures.sub(127.5).div(127.5).contiguous(memory_format=torch.channels_last),
            torch.from_numpy(target),
            torch.from_numpy(inner),
            torch.from_numpy(bank),
        )


def losses(mine: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the terms of the embedding.

    `cosine` to the target; `relation`: the batch's cosines as the targets' are (Park et al., CVPR
    2019); `ranking`: the same order among many other faces, by cross entropy of the soft
    assignment.
    """
    mine, target = F.normalize(mine.float()), batch.target
    terms = {"cosine": (1 - (mine * target).sum(1)).mean()}
    terms["relation"] = (mine @ mine.T - target @ target.T).square().mean()
    others = torch.cat([target, batch.bank])
    wanted = (SHARPNESS * target @ others.T).softmax(1)
    entropy = -(wanted * wanted.clamp_min(1e-9).log()).sum(1).mean()
    found = (SHARPNESS * mine @ others.T).log_softmax(1)
    terms["ranking"] = -(wanted * found).sum(1).mean() - entropy
    terms["total"] = sum(WEIGHTS[name] * value for name, value in terms.items())
    return terms


def write(network: nn.Module, path: Path) -> None:
    export(
        network,
        path,
        torch.zeros(1, 3, 112, 112),
        inputs="input",
        outputs=["embedding"],
        axes={"input": {0: "faces"}, "embedding": {0: "faces"}},
        about=ABOUT,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    network = Trained().to(memory_format=torch.channels_last)
    run = Run(
        arguments.run,
        network,
        minutes=arguments.minutes,
        rate=arguments.rate,
        decay=0.02,
        save=lambda mean: write(mean.student, arguments.run / "recogniser.onnx"),
    )
    random = np.random.default_rng([arguments.seed, run.steps])
    samples = Samples(arguments.cache, arguments.models, arguments.batch, random)
    network.train()
    while run.more():
        batch = samples.draw(run.progress)
        with torch.autocast("cpu", torch.bfloat16):
            stages = network.student.features(batch.pictures)
            mine = network.student.head(stages[-1])
            errors = network.heads([stage[: len(batch.inner)] for stage in stages], batch.inner)
        terms = losses(mine, batch)
        weight = HINTS[0] + (HINTS[1] - HINTS[0]) * run.progress
        terms["total"] = terms["total"] + weight * errors.sum()
        run.step(terms | {f"hint{i}": error for i, error in enumerate(errors)})


if __name__ == "__main__":
    main()
