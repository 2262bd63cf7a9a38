"""The student: a dense residual network, 112-px aligned face in, 512 numbers out."""

from __future__ import annotations

import torch
from torch import nn

STAGES = ((1, 64), (2, 128), (1, 192), (1, 192), (1, 192), (1, 192))
"""Blocks and channels up to each place where the teacher is looked up (`hints.py`)."""

HALVED = (True, True, True, False, False, False)
STEM = 32
REDUCED = 28
"""Channels in front of the fully connected layer."""

EMBEDDING = 512
LAST_SIDE = 7


class Block(nn.Module):
    """Two 3x3 convolutions beside a short cut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.short: nn.Module = nn.Identity()
        if before != after or stride != 1:
            self.short = nn.Sequential(
                nn.AvgPool2d(stride) if stride > 1 else nn.Identity(),
                nn.Conv2d(before, after, 1, bias=False),
                nn.BatchNorm2d(after),
            )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act(self.first_norm(self.first(x)))
        return self.act(self.second_norm(self.second(y)) + self.short(x))


class Student(nn.Module):
    """(N, 3, 112, 112) RGB in [-1, 1] → (N, 512), not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM, 3, 2, 1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU(inplace=True)
        )
        self.stages = nn.ModuleList()
        width = STEM
        for (blocks, after), halved in zip(STAGES, HALVED, strict=True):
            stage = [Block(width, after, 2 if halved else 1)]
            stage += [Block(after, after, 1) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(*stage))
            width = after
        self.reduce = nn.Sequential(nn.Conv2d(width, REDUCED, 1), nn.BatchNorm2d(REDUCED))
        self.embedding = nn.Linear(REDUCED * LAST_SIDE**2, EMBEDDING)

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The output of each stage."""
        x = self.stem(x)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def head(self, x: torch.Tensor) -> torch.Tensor:
        return self.embedding(self.reduce(x).flatten(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x)[-1])
