"""The mask network as it is trained: batch normalisation behind every convolution but the last."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from refrestore.restore.mask import MaskNetwork

LAST = "head"


def _holder(network: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return (network.get_submodule(path) if path else network), leaf


def normalised() -> MaskNetwork:
    """Return an untrained network with batch normalisation in it."""
    network = MaskNetwork()
    for name, layer in list(network.named_modules()):
        if not isinstance(layer, nn.Conv2d):
            continue
        if name == LAST:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
            continue
        parent, leaf = _holder(network, name)
        bare = nn.Conv2d(
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding,
            bias=False,
        )  # fmt: skip
        setattr(parent, leaf, nn.Sequential(bare, nn.BatchNorm2d(layer.out_channels)))
    return network


def folded(network: nn.Module) -> MaskNetwork:
    """Return a plain network that computes what the normalised one does in eval mode."""
    network = copy.deepcopy(network).eval().float()
    plain = MaskNetwork(network.widths)
    for name, layer in list(plain.named_modules()):
        if isinstance(layer, nn.Conv2d):
            trained = network.get_submodule(name)
            if isinstance(trained, nn.Sequential):
                trained = fuse_conv_bn_eval(trained[0], trained[1])
            layer.load_state_dict(trained.state_dict())
    return plain.eval()
