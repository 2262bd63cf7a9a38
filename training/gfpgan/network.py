"""The stand-in's shape, how it starts, grows by an octave, and is written."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from refrestore.restore.second.gfpgan import GFPGAN, GFPGANConfig
from refrestore.restore.second.stylegan import SLOPE

SHAPE = {"style_size": 16, "channel_multiplier": 2, "narrow": 0.125, "mapping_layers": 1}
"""One mapping layer: nothing uses it, but official readers expect one."""

FAINT = 0.1
"""Factor of fresh layers that must not disturb trained ones."""


class Both(nn.Module):
    """Encoder and decoder as one function, for `torch.func.functional_call`."""

    def __init__(self, network: GFPGAN) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        codes = self.network.encode(x, previews=True)
        return self.network.decode(codes), codes.previews


def fresh(side: int) -> GFPGAN:
    """Return a network with random weights whose SFT starts near the identity."""
    network = GFPGAN(GFPGANConfig(side, **SHAPE))
    with torch.no_grad():
        for condition in network.condition_scale:
            condition[-1].weight.mul_(FAINT)
            condition[-1].bias.fill_(1)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        elif parameter.ndim == 5:
            parameter.data = parameter.data[0].contiguous(memory_format=torch.channels_last)[None]
    return network


@torch.no_grad()
def grown(small: GFPGAN) -> GFPGAN:
    """Return a network of twice the size that starts from a trained one.

    The new first block of the encoder passes the halved picture on to what was the first layer;
    the new last block of the generator adds little.
    """
    large = fresh(2 * small.config.out_size)
    state, trained = large.state_dict(), small.state_dict()
    for name, value in trained.items():
        if name.startswith("conv_body_down."):
            _, index, rest = name.split(".", 2)
            state[f"conv_body_down.{int(index) + 1}.{rest}"].copy_(value)
        elif not name.startswith("conv_body_first."):
            state[name][: len(value)].copy_(value)
    large.stylegan_decoder.to_rgbs[-1].modulated_conv.weight.mul_(FAINT)
    first, down = large.conv_body_first, large.conv_body_down[0]
    # lrelu(x) - lrelu(-x) = (1 + slope) x: pairs of channels carry the picture as it is.
    pair = torch.cat([torch.eye(3), -torch.eye(3)])
    back = torch.cat([torch.eye(3), -torch.eye(3)], 1) / (1 + SLOPE)
    first.weight[:6, :, 0, 0].copy_(pair)
    first.bias[:6].zero_()
    for layer, matrix in ((down.conv1, pair @ back), (down.conv2, None)):
        layer.weight.mul_(FAINT)
        rows = matrix if matrix is not None else trained["conv_body_first.weight"][..., 0, 0] @ back
        layer.weight[: len(rows), :6].zero_()
        layer.weight[: len(rows), :6, 1, 1].copy_(rows)
        layer.bias[: len(rows)].zero_()
    down.conv2.bias.copy_(trained["conv_body_first.bias"])
    down.skip.weight.mul_(FAINT)
    return large


def save(network: GFPGAN, path: Path) -> None:
    """Write weights in half precision and the noise, which is random anyway, in eight bits."""
    tensors = {
        name: value.to(torch.float8_e4m3fn if ".noises." in name else torch.float16).contiguous()
        for name, value in network.state_dict().items()
    }
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary)
    temporary.replace(path)
