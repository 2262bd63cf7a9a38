"""The dense landmark network: plain 3x3 convolutions, a linear basis of meshes at the end."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

SIDE = 192
POINTS = 468
BASIS = 128
"""Numbers a mesh is made of; the first ones are its place, size and turn."""

FINE, COARSE = 8, 24
"""Channels that are read at 12x12 and at 6x6 without losing where they are."""


def _conv(inside: int, outside: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, size, stride, size // 2, bias=False), nn.BatchNorm2d(outside)
    )


class _Block(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = _conv(channels, channels)
        nn.init.zeros_(self.second[1].weight)

    def forward(self, features: Tensor) -> Tensor:
        inner = self.second(torch.relu(self.first(features)))
        return torch.relu(features + inner)


class MeshNetwork(nn.Module):
    """From (B, 192, 192, 3) RGB 0..1 to the mesh and a presence logit.

    Parameters
    ----------
    mean : (936,)
        The mean mesh, x and y in turn, in sides of the crop from its centre.
    basis : (936, BASIS)
        Principal components of meshes, each as long as its standard deviation; further trained.
    """

    def __init__(
        self,
        mean: np.ndarray | None = None,
        basis: np.ndarray | None = None,
        widths: tuple[int, ...] = (16, 32, 48, 96, 128),
        blocks: tuple[int, ...] = (1, 3, 2),
    ) -> None:
        super().__init__()
        stem, quarter, eighth, fine, coarse = widths
        self.stem = nn.Sequential(
            _conv(3, stem, 2), nn.ReLU(), _conv(stem, quarter, 2), nn.ReLU(),
            _conv(quarter, eighth, 2), nn.ReLU(), *(_Block(eighth) for _ in range(blocks[0])),
        )  # fmt: skip
        self.fine = nn.Sequential(
            _conv(eighth, fine, 2), nn.ReLU(), *(_Block(fine) for _ in range(blocks[1]))
        )
        self.coarse = nn.Sequential(
            _conv(fine, coarse, 2), nn.ReLU(), *(_Block(coarse) for _ in range(blocks[2]))
        )
        self.read_fine = _conv(fine, FINE, size=1)
        self.read_coarse = _conv(coarse, COARSE, size=1)
        length = (SIDE // 16) ** 2 * FINE + (SIDE // 32) ** 2 * COARSE
        self.numbers = nn.Linear(length, BASIS)
        self.mesh = nn.Linear(BASIS, 2 * POINTS)
        self.presence = nn.Linear(coarse, 1)
        with torch.no_grad():
            self.numbers.weight.mul_(0.5)
            if mean is not None and basis is not None:
                self.mesh.weight.copy_(torch.from_numpy(basis))
                self.mesh.bias.copy_(torch.from_numpy(mean))

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (B, 936) in sides of the crop from its centre, and logits (B, 1)."""
        features = picture.permute(0, 3, 1, 2) * 2 - 1
        fine = self.fine(self.stem(features))
        coarse = self.coarse(fine)
        read = [torch.relu(self.read_fine(fine)), torch.relu(self.read_coarse(coarse))]
        numbers = self.numbers(torch.cat([part.flatten(1) for part in read], 1))
        with torch.autocast("cpu", enabled=False):
            points = self.mesh(numbers.float())
        return points, self.presence(coarse.mean((2, 3))).float()


class Exported(nn.Module):
    """The network with the teacher's output: points in 0..192 with a depth of nought.

    Parameters
    ----------
    network
        A trained one; it is changed.
    """

    def __init__(self, network: MeshNetwork) -> None:
        super().__init__()
        self.network = network
        with torch.no_grad():
            network.mesh.weight.mul_(SIDE)
            network.mesh.bias.add_(0.5).mul_(SIDE)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return points (B, 468, 3) and logits (B, 1)."""
        points, presence = self.network(picture)
        return nn.functional.pad(points.view(-1, POINTS, 2), (0, 1)), presence
