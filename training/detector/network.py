"""The student: an SCRFD-shaped detector of dense convolutions, small enough for one core."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

STRIDES = (8, 16, 32)
ANCHORS = 2
ANCHOR_SIZES = ((16, 32), (64, 128), (256, 512))
"""Sides in pixels of the two anchors of a cell, SCRFD's own (insightface, scrfd_2.5g_bnkps.py)."""

POINTS = 5
CHANNELS = 1 + 4 + 2 * POINTS


def conv(inputs: int, outputs: int, *, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Block(nn.Module):
    """A basic residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )
        nn.init.zeros_(self.second[1].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x + self.second(self.first(x)))


class DetectorNet(nn.Module):
    """Stem to stride 4, three stages, a top-down path, one convolution of head per level.

    Parameters
    ----------
    stem
        Channels at strides 2 and 4.
    stages
        Channels at strides 8, 16 and 32.
    blocks
        Residual blocks of each stage.
    neck, head
        Channels of the top-down path and of the heads.
    """

    def __init__(
        self,
        stem: tuple[int, int] = (16, 32),
        stages: tuple[int, int, int] = (32, 64, 96),
        blocks: tuple[int, int, int] = (2, 3, 2),
        neck: int = 32,
        head: int = 64,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, stem[0], stride=2), conv(stem[0], stem[1], stride=2))
        self.stages = nn.ModuleList()
        before = stem[1]
        for channels, depth in zip(stages, blocks, strict=True):
            body = [Block(channels) for _ in range(depth)]
            self.stages.append(nn.Sequential(conv(before, channels, stride=2), *body))
            before = channels
        self.lateral = nn.ModuleList(conv(channels, neck, size=1) for channels in stages)
        self.head = nn.ModuleList(conv(neck, head) for _ in STRIDES)
        self.out = nn.ModuleList(nn.Conv2d(head, ANCHORS * CHANNELS, 1) for _ in STRIDES)
        for out in self.out:
            nn.init.normal_(out.weight, std=0.01)
            bias = torch.zeros(ANCHORS, CHANNELS)
            bias[:, 0] = -4.0
            # An anchor's own extent, in strides: 1 and 2 to each side.
            bias[0, 1:5], bias[1, 1:5] = 1.0, 2.0
            out.bias = nn.Parameter(bias.flatten())

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return (B, cells * 2, 15) per level: score before the sigmoid, distances, offsets.

        Parameters
        ----------
        images : (B, 3, H, W)
            RGB, `(x - 127.5) / 128`; sides are multiples of 32.
        """
        features = []
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        levels = [lateral(f) for lateral, f in zip(self.lateral, features, strict=True)]
        for low in (1, 0):
            levels[low] = levels[low] + functional.interpolate(levels[low + 1], scale_factor=2.0)
        found = []
        for x, head, out in zip(levels, self.head, self.out, strict=True):
            y = out(head(x)).permute(0, 2, 3, 1)
            found.append(y.reshape(images.shape[0], -1, CHANNELS))
        return found


class Exported(nn.Module):
    """The nine outputs that insightface's SCRFD reads.

    Parameters
    ----------
    network
        In eval mode.
    shift
        Added to the scores before the sigmoid, so that 0.5 is the working threshold.
    """

    def __init__(self, network: DetectorNet, shift: float = 0.0) -> None:
        super().__init__()
        self.network, self.shift = network, shift

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        levels = self.network(images)
        scores = [torch.sigmoid(level[..., :1] + self.shift) for level in levels]
        boxes = [level[..., 1:5] for level in levels]
        points = [level[..., 5:] for level in levels]
        return (*scores, *boxes, *points)
