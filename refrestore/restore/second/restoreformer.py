"""RestoreFormer and RestoreFormer++, whose network is spandrel's.

Wang et al., "RestoreFormer: High-Quality Blind Face Restoration from Undegraded Key-Value Pairs",
CVPR 2022, and TPAMI 2023. The second has four heads where the first has eight, and attends at
32 px too: its decoder is spandrel's with one resolution more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from refrestore.errors import ModelError
from refrestore.restore.second.kind import Asked, Kind
from refrestore.restore.second.stage import Descriptor, PlainStage

NAME, TITLE = "restoreformer", "RestoreFormer"

PLUS = "RestoreFormer++"

LICENCE = "Apache-2.0"

SIDE = 512
"""Pixels a side that both were trained at."""

HEADS, HEADS_PLUS = 8, 4
"""Attention heads; the weights do not say."""

_TRAINED_IN = "vqvae."
"""Begins the network's names in the authors' own checkpoints, beside losses and discriminators."""

_DEEPER = "decoder.up.4.attn.0.q.weight"
"""Only RestoreFormer++ has attention there."""

_NEEDED = (
    "quantize.embedding.weight",
    "encoder.conv_in.weight",
    "quant_conv.weight",
    "decoder.conv_out.weight",
    "decoder.mid.attn_1.norm2.weight",
)


class _Network(nn.Module):
    """spandrel's network, which gives its decoder what the encoder saw at each attended size."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> Tensor:
        network: Any = self.network
        quantised, _, _, seen = network.encode(faces)
        beside = {f"{name}_atten": value for name, value in seen.items() if name == "block_4"}
        made: Tensor = network.decode(quantised, seen | beside)
        return made


def _own(weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    own = {
        name.removeprefix(_TRAINED_IN): value
        for name, value in weights.items()
        if name.startswith(_TRAINED_IN)
    }
    return own or weights


def _detect(weights: Mapping[str, Tensor]) -> bool:
    return set(_NEEDED) <= _own(weights).keys()


def _load(weights: Mapping[str, Tensor], asked: Asked) -> PlainStage:
    own = dict(_own(weights))
    plus = _DEEPER in own
    about = Descriptor(NAME, PLUS if plus else TITLE, SIDE, LICENCE)
    about.check(asked.dtype)
    try:
        with torch.device("meta"):  # no random weights that are overwritten at once
            network = _built(own, plus=plus)
        network.load_state_dict(own, assign=True)
    except (RuntimeError, KeyError, IndexError, ValueError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
        raise ModelError(f"the weights do not fit the {about.title} network: {reason}") from error
    ready = _Network(network).to(device=asked.device, dtype=asked.dtype)
    return PlainStage(about, ready.eval().requires_grad_(False), asked.dtype)


def _built(weights: Mapping[str, Tensor], *, plus: bool) -> nn.Module:
    try:
        from spandrel.architectures.RestoreFormer import RestoreFormer
        from spandrel.architectures.RestoreFormer.__arch import restoreformer_arch as parts
    except ImportError as error:
        raise ModelError(
            "RestoreFormer needs the package spandrel, which is not installed here; "
            "run: pip install 'refrestore[background]'"
        ) from error
    first = weights["encoder.conv_in.weight"].shape[0]
    depth = len({name.split(".")[2] for name in weights if name.startswith("encoder.down.")})
    levels = [weights[f"encoder.down.{level}.block.0.conv2.weight"] for level in range(depth)]
    blocks = {name.split(".")[4] for name in weights if name.startswith("encoder.down.0.block.")}
    shape: dict[str, Any] = {
        "ch": first,
        "out_ch": 3,
        "ch_mult": tuple(one.shape[0] // first for one in levels),
        "num_res_blocks": len(blocks),
        "attn_resolutions": (SIDE >> (depth - 1),),
        "resolution": SIDE,
        "z_channels": weights["quant_conv.weight"].shape[1],
        "head_size": HEADS_PLUS if plus else HEADS,
    }
    codes, length = weights["quantize.embedding.weight"].shape
    network: nn.Module = RestoreFormer(n_embed=codes, embed_dim=length, **shape)
    if plus:
        deeper = (SIDE >> (depth - 1), SIDE >> (depth - 2))
        decoder = parts.MultiHeadDecoderTransformer(**{**shape, "attn_resolutions": deeper})
        network.decoder = decoder
    return network


KIND = Kind(NAME, TITLE, LICENCE, _detect, _load)
