"""Perceptual distance: how different two faces look to a network that knows pictures.

LPIPS (Zhang et al., CVPR 2018) where its weights are, else the distance of SqueezeNet's features
without learnt weights, under its own name: the two cannot be compared. Only the face counts
(ReF-LDM, section 5.1: the background would dominate).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from refrestore.errors import ModelError
from refrestore.restore.weights import read_tensors
from refrestore.types import ImageArray

SQUEEZENET_FILE = "squeezenet1_1_caffe.pth"
ALEXNET_FILE = "alexnet-owt-7be5be79.pth"
"""torchvision's name; it ends in the first digits of the file's SHA-256, as torch.hub checks."""

LPIPS_FILE = "alex.pth"
"""LPIPS' linear layers, version 0.1, as the lpips package ships them."""

_SQUEEZENET_TAPS = (1, 4, 7, 9, 10, 11, 12)
_ALEXNET_TAPS = (1, 4, 7, 9, 11)
"""Layers of torchvision's `features` whose output counts: those LPIPS takes of each network."""

_CAFFE_MEAN = (123.0, 117.0, 104.0)
_LPIPS_MEAN, _LPIPS_DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""What the networks were trained on: RGB 0..255, and LPIPS' scaling of RGB -1..1."""


@dataclass(frozen=True, eq=False)
class PerceptualDistance:
    """A distance between pictures in the features of a network.

    Parameters
    ----------
    name
        What it may be called.
    layers
        The network's, up to the last tap.
    taps
        Those whose output is compared.
    mean, deviation
        The network takes (255 x - mean) / deviation, x in 0..1.
    weights
        Per tap, (C,) weights of the channels, or None: all count the same.
    """

    name: str
    layers: nn.Sequential
    taps: Sequence[int]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    weights: Sequence[Tensor] | None = None

    def __call__(
        self, image: ImageArray, truth: ImageArray, mask: NDArray[np.floating] | None = None
    ) -> float:
        """Return the distance, 0 for equal pictures.

        At each tap features are scaled to unit length; their squared difference is summed over
        channels (weighted), averaged over the mask, and summed over taps (LPIPS) or averaged.

        Parameters
        ----------
        image, truth : (H, W, 3) uint8
            RGB.
        mask : (H, W) 0..1, optional
            Weight of each pixel.
        """
        return self.between(self.features(image), self.features(truth), mask)

    @torch.inference_mode()
    def features(self, image: ImageArray) -> list[Tensor]:
        """Return a picture's features at each tap, (C, h, w) of unit length in C."""
        planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
        mean, deviation = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.deviation)
        )
        features = ((planes - mean) / deviation).contiguous(memory_format=torch.channels_last)
        found = []
        for number, layer in enumerate(self.layers):
            features = layer(features)
            if number in self.taps:
                # As LPIPS writes it: the length plus a little, not the length with a floor.
                found.append((features / (features.norm(dim=1, keepdim=True) + 1e-10))[0])
        return found

    @torch.inference_mode()
    def between(
        self,
        one: Sequence[Tensor],
        other: Sequence[Tensor],
        mask: NDArray[np.floating] | None = None,
    ) -> float:
        """Return the distance of two pictures' `features`."""
        shown = None if mask is None else torch.as_tensor(mask).float()[None, None]
        levels: list[float] = []
        for level, (first, second) in enumerate(zip(one, other, strict=True)):
            apart = (first - second).square()
            if self.weights is not None:
                apart = apart * self.weights[level][:, None, None]
            each = apart.sum(dim=0)
            share = (
                torch.ones_like(each)
                if shown is None
                else functional.interpolate(shown, size=each.shape, mode="area")[0, 0]
            )
            levels.append(float((each * share).sum() / share.sum().clamp_min(1e-9)))
        return sum(levels) if self.weights is not None else sum(levels) / len(levels)


def squeezenet_distance(path: Path) -> PerceptualDistance:
    """Open the distance of SqueezeNet 1.1's features. It is not LPIPS.

    Raises
    ------
    ModelError
        If the file is not that network.
    """
    from torchvision.models import squeezenet1_1

    layers = _features(
        squeezenet1_1(weights=None).features, read_tensors(path), path, _SQUEEZENET_TAPS
    )
    name = "SqueezeNet distance"
    return PerceptualDistance(name, layers, _SQUEEZENET_TAPS, _CAFFE_MEAN, (1.0, 1.0, 1.0))


def lpips(backbone: Path, linear: Path) -> PerceptualDistance:
    """Open LPIPS 0.1 with AlexNet.

    Raises
    ------
    ModelError
        If the files are not these networks.
    """
    from torchvision.models import alexnet

    layers = _features(
        alexnet(weights=None).features, read_tensors(backbone), backbone, _ALEXNET_TAPS
    )
    learnt = read_tensors(linear)
    try:
        weights = [learnt[f"lin{tap}.model.1.weight"].flatten() for tap in range(5)]
    except KeyError as error:
        raise ModelError(f"{linear} does not hold LPIPS' linear layers for AlexNet.") from error
    mean = tuple(127.5 * (value + 1) for value in _LPIPS_MEAN)
    deviation = tuple(127.5 * value for value in _LPIPS_DEVIATION)
    return PerceptualDistance("LPIPS", layers, _ALEXNET_TAPS, mean, deviation, weights)


def named_by_digest(path: Path) -> bool:
    """Say whether a file's SHA-256 begins with the digits that its name ends in."""
    digits = path.stem.rsplit("-", 1)[-1]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else None
        digest = found.hexdigest() if found else hashlib.sha256(file.read()).hexdigest()
    return digest.startswith(digits)


def _features(
    network: nn.Sequential, state: Mapping[str, Tensor], path: Path, taps: Sequence[int]
) -> nn.Sequential:
    own = {
        key.removeprefix("features."): value
        for key, value in state.items()
        if key.startswith("features.")
    }
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise ModelError(f"{path} holds the weights of another network.") from error
    # In place, a later ReLU would overwrite what a tap has given.
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return network[: taps[-1] + 1].eval().requires_grad_(False)
