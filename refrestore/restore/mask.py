"""Which part of a face's mesh hull is really face: not the hand, the microphone, the hair."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812  the field's name for it
from torch import Tensor, nn

from refrestore.restore.hull_mask import hull_mask
from refrestore.restore.light import averaged, stretch
from refrestore.restore.resize import nobody
from refrestore.restore.weights import load_weights, save_weights

MASK_SIZE = 128
"""Side of the network's input and output in pixels."""

HULL_EDGE = 2.0
"""Soft edge of the hull the network sees, in pixels of its input."""

REACH = 8
"""How far beyond the hull, in pixels of the network, what is seen at its rim is taken to go on:
repairs end a little outside the mesh (`restorer.HULL_GROWTH`), where the network says nothing."""

WIDTHS = (24, 48, 72, 96)
"""Channels at a half, a quarter, an eighth and a sixteenth of the input."""

SURE = (0.3, 0.7)
"""Probabilities at which nothing and everything is pasted. Beyond
them a network that is nearly sure does not thin the paste."""


COVERED, PLAINLY = 0.5, 0.04
"""A part is in front of the face if the network thinks so (below the first) and nearly knows it
somewhere (below the second, in `LEAST_SEED` pixels of the hull): hysteresis, as Canny's edges have
(1986). Of free faces shrunk to 24 px this takes away all of the 2.0 % that were lost (half of a
smiling face at times), and 1 of 100 parts of a hand that were found."""

LEAST_SEED = 3

SWEEPS = 4
"""Passes along rows and columns until parts hang together: 80 faces, half of them with something in
front, are as scipy labels them from 3 on."""


class FaceMask(Protocol):
    """Tells face from what is in front of it."""

    def visible(self, faces: Tensor, landmarks: Tensor) -> Tensor:
        """Return how much of each pixel may be repaired, (B, S, S), 0..1.

        Parameters
        ----------
        faces : (B, 3, S, S) float32
            RGB 0..1, aligned to the FFHQ template.
        landmarks : (B, 468, 2) float32
            Dense landmarks in pixels of these.
        """


def hull_input(landmarks: Tensor, side: int) -> Tensor:
    """Return the hull as the network sees it, (B, 1, 128, 128), from landmarks on `side` pixels."""
    points = (landmarks + 0.5) * (MASK_SIZE / side) - 0.5
    return hull_mask(points, MASK_SIZE, HULL_EDGE)[:, None]


def certain(probability: Tensor) -> Tensor:
    """Stretch probabilities between the two of `SURE` to 0..1; may write into its argument."""
    low, high = SURE
    return probability.sub_(low).div_(high - low).clamp_(0, 1)


def without_doubts(probability: Tensor, hull: Tensor) -> Tensor:
    """Return probabilities (B, 1, s, s) with 1 where only a doubt speaks against the face."""
    covered = (probability < COVERED)[:, 0]
    plainly = ((probability < PLAINLY) & (hull > COVERED)).flatten(1)
    if nobody(plainly):
        return torch.ones_like(probability)
    labels = _parts(covered)
    count = labels.new_zeros((len(labels), labels.shape[1] + 1))
    count.scatter_add_(1, labels, plainly.long())
    kept = (count.gather(1, labels) >= LEAST_SEED).reshape(covered.shape) & covered
    kept = _grown(_grown(kept))  # the rim of a part is where the network wavers
    return torch.where(kept[:, None], probability, 1.0)


def _parts(covered: Tensor) -> Tensor:
    """Label what hangs together by its sides, (B, s * s) int64: 0 elsewhere.

    Every pixel begins with a number of its own; the highest of a run in its row, then in its
    column, goes to all of the run. No loop ends by what it finds, as a GPU would wait for that;
    what winds more often than `SWEEPS` falls into several parts.
    """
    side = covered.shape[-1]
    line = torch.arange(side, device=covered.device) * (side + 1)
    # What is between two free pixels is a run; so is a free pixel and what follows it.
    along = [(~covered).cumsum(2) + line[:, None], (~covered).cumsum(1) + line]
    inside = covered.flatten(1).int()
    labels = torch.arange(1, side * side + 1, device=covered.device, dtype=torch.int32) * inside
    for runs in [part.flatten(1) for part in along] * SWEEPS:
        best = labels.new_zeros((len(labels), side * (side + 1)))
        labels = best.scatter_reduce_(1, runs, labels, "amax").gather(1, runs) * inside
    return labels.long()


def _grown(mask: Tensor) -> Tensor:
    """Add the four neighbours of every pixel to masks (B, s, s) bool."""
    wide = F.pad(mask, (1, 1, 1, 1))
    upright = wide[:, :-2, 1:-1] | wide[:, 2:, 1:-1]
    return mask | upright | wide[:, 1:-1, :-2] | wide[:, 1:-1, 2:]


class _Block(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(features + self.second(torch.relu(self.first(features))))


class MaskNetwork(nn.Module):
    """A small U-Net (Ronneberger et al., MICCAI 2015) over a face and its mesh hull.

    Parameters
    ----------
    widths
        Channels of the four resolutions, fine to coarse.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.widths = widths
        fine = widths[0]
        self.stem = nn.Conv2d(16, fine, 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(inner, outer, 3, stride=2, padding=1) for inner, outer in pairwise(widths)
        )
        self.blocks = nn.ModuleList(_Block(width) for width in widths[1:])
        self.up = nn.ModuleList(nn.Conv2d(outer, inner, 1) for inner, outer in pairwise(widths))
        self.merge = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths[:-1])
        self.head = nn.Conv2d(fine, 4, 3, padding=1)

    def forward(self, faces: Tensor, hull: Tensor) -> Tensor:
        """Return logits of "visible face", (B, 1, 128, 128).

        Parameters
        ----------
        faces : (B, 3, 128, 128)
            RGB 0..1.
        hull : (B, 1, 128, 128)
            Inside of the mesh, 0..1.
        """
        picture = torch.cat([faces * 2 - 1, hull * 2 - 1], 1)
        picture = F.pixel_unshuffle(picture.to(self.head.weight.dtype), 2)
        features = torch.relu(self.stem(picture))
        kept = []
        for down, block in zip(self.down, self.blocks, strict=True):
            kept.append(features)
            features = block(torch.relu(down(features)))
        for level in reversed(range(len(self.up))):
            wider = F.interpolate(self.up[level](features), scale_factor=2, mode="nearest")
            features = torch.relu(self.merge[level](kept[level] + wider))
        return F.pixel_shuffle(self.head(features), 2).float()


class LearntMask:
    """The face mask trained here.

    Parameters
    ----------
    network
        Trained; it is moved to `device` and `dtype`.
    """

    def __init__(
        self,
        network: MaskNetwork,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.device = torch.device(device)
        network = network.to(device=self.device, dtype=dtype)
        self.network = network.to(memory_format=torch.channels_last)
        self.network.eval().requires_grad_(False)

    def probability(self, faces: Tensor, hull: Tensor) -> Tensor:
        """Return the probability that a pixel is face, (B, 1, 128, 128).

        Parameters
        ----------
        faces : (B, 3, S, S) float32
            RGB 0..1, aligned to the FFHQ template.
        hull : (B, 1, 128, 128) float32
            `hull_input` of their meshes.
        """
        small = averaged(faces.to(self.device), MASK_SIZE)
        logits: Tensor = self.network(small, hull.to(self.device))
        return logits.sigmoid()

    def visible(self, faces: Tensor, landmarks: Tensor) -> Tensor:
        """Return how much of each pixel may be repaired; see `FaceMask`."""
        hull = hull_input(landmarks.to(self.device), faces.shape[-1])
        probability = without_doubts(self.probability(faces, hull), hull)
        size, pad = 2 * REACH + 1, REACH
        beyond = F.max_pool2d(probability, (size, 1), stride=1, padding=(pad, 0))
        beyond = F.max_pool2d(beyond, (1, size), stride=1, padding=(0, pad))
        probability = torch.lerp(beyond, probability, hull)
        size = faces.shape[-1]
        # Enlarged before it is stretched: the edge stays a curve and not a staircase.
        return certain(stretch(probability, size, size)[:, 0])


def save_mask(network: MaskNetwork, path: Path) -> None:
    """Write half-precision weights and the widths as safetensors."""
    save_weights(network, path, {"widths": network.widths})


def load_mask(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> LearntMask:
    """Read a network that `save_mask` wrote, ready for inference.

    Raises
    ------
    ModelError
        The file is missing, damaged or of another shape.
    """
    network = load_weights(
        path, lambda settings: MaskNetwork(tuple(settings["widths"])), what="face mask"
    )
    return LearntMask(network, device, dtype)
