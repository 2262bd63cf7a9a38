"""A person's own small change to the fusion network: low-rank differences of its decoder.

How the network compares and mixes (`FusionNetwork.look`) stays everybody's, and so does how far it
trusts references; what it draws on top (`draw`) may be one person's. Large convolutions change by a
product of two thin matrices (LoRA: Hu et al., ICLR 2022), small ones freely; together 0.2 MB.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from refrestore.errors import ProfileError
from refrestore.restore.fusion import FusionNetwork

TUNED = ("see_fused", "decoder", "grow", "fine", "finest", "residual")
"""Parts of the network an adapter may change, by the first part of their parameters' names."""

RANK = 12
"""Of the differences of large weights."""

FREE = 20_000
"""Weights of fewer numbers change freely."""

UP, DOWN = ".up", ".down"


@dataclass(frozen=True, eq=False)
class Adapter:
    """Differences to the weights of one fusion network.

    Parameters
    ----------
    fusion
        SHA-256 of the weights file it was tuned on; it means nothing to any other.
    tensors
        float16; `NAME` is a parameter's difference, `NAME.up` times `NAME.down` that of a large
        one.
    """

    fusion: str
    tensors: Mapping[str, torch.Tensor]

    def __repr__(self) -> str:
        return f"Adapter({len(self.tensors)} tensors, {len(self.content)} bytes)"

    @cached_property
    def content(self) -> bytes:
        """The adapter as a file."""
        tensors = {name: one.contiguous() for name, one in self.tensors.items()}
        return save(tensors, {"fusion": self.fusion})  # one key: several have no order

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.content).hexdigest()

    def scaled(self, share: float) -> Adapter:
        """Return the adapter that goes only a share of the way."""
        parts = {
            name: one if name.endswith(DOWN) else one * share for name, one in self.tensors.items()
        }
        return Adapter(self.fusion, parts)

    def applied(self, network: FusionNetwork) -> FusionNetwork:
        """Return a copy of the network with the differences added.

        Raises
        ------
        ProfileError
            If they do not fit it.
        """
        own = copy.deepcopy(network).requires_grad_(False)
        parameters = dict(own.named_parameters())
        left = set(self.tensors)
        for name in tunable(own):
            value = parameters[name]
            if name in self.tensors:
                change, parts = self.tensors[name].float(), {name}
            elif {name + UP, name + DOWN} <= left:
                up, down = self.tensors[name + UP].float(), self.tensors[name + DOWN].float()
                fits = up.ndim == down.ndim == 2 and up.shape[1] == down.shape[0] <= value.numel()
                # Before they are multiplied: two thin matrices can make a very large one.
                if not fits or up.shape[0] * down.shape[1] != value.numel():
                    raise _unfit(name)
                change, parts = up @ down, {name + UP, name + DOWN}
            else:
                continue
            if change.numel() != value.numel() or not torch.isfinite(change).all():
                raise _unfit(name)
            left -= parts
            value.add_(change.reshape(value.shape).to(value.device, value.dtype))
        if left:
            raise _unfit(min(left))
        return own


def read_adapter(content: bytes) -> Adapter:
    """Return the adapter in a file's bytes.

    Raises
    ------
    ProfileError
        If they are no adapter.
    """
    try:
        tensors = load(content)
        fusion = _metadata(content)["fusion"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ProfileError(
            f"An adapter is damaged ({error}): run `refrestore profile tune` again."
        ) from error
    return Adapter(fusion, tensors)


def usable(content: bytes | None, fusion: str, name: str) -> tuple[Adapter | None, str | None]:
    """Return a profile's adapter if it is for these fusion weights, else a sentence that says so.

    Parameters
    ----------
    content
        The profile's adapter, if it has one.
    fusion
        SHA-256 of the weights in use.
    name
        The profile's, for the sentence.
    """
    if content is None:
        return None, None
    try:
        adapter = read_adapter(content)
    except ProfileError as error:
        raise ProfileError(
            f"The profile {name} cannot be used as it was tuned: run `refrestore profile tune "
            f"{name}` again, or `refrestore profile tune --forget {name}`."
        ) from error
    if adapter.fusion == fusion:
        return adapter, None
    return None, (
        f"The profile {name} was tuned for other fusion weights, so it is used untuned: run "
        f"`refrestore profile tune {name}` again."
    )


def _metadata(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:8], "little")
    return dict(json.loads(content[8 : 8 + length]).get("__metadata__") or {})


def _unfit(name: str) -> ProfileError:
    return ProfileError(
        f"An adapter does not fit the fusion network ({name}): run `refrestore profile tune` again."
    )


def tunable(network: FusionNetwork) -> Iterator[str]:
    """Yield the names of the parameters that an adapter may change."""
    for name, _ in network.named_parameters():
        if name.split(".", 1)[0] in TUNED:
            yield name


class _Sum(nn.Module):
    """A weight and a difference to it that can be learnt."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.low_rank = weight.numel() >= FREE
        if self.low_rank:
            rows, columns = weight.shape[0], weight[0].numel()
            self.up = nn.Parameter(torch.zeros(rows, RANK))
            self.down = nn.Parameter(torch.randn(RANK, columns) / columns**0.5)
        else:
            self.change = nn.Parameter(torch.zeros_like(weight))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        change = self.up @ self.down if self.low_rank else self.change
        return weight + change.reshape(weight.shape)

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        if self.low_rank:
            return {name + UP: self.up, name + DOWN: self.down}
        return {name: self.change}


class Tuning:
    """A copy of the network whose differences can be learnt.

    Parameters
    ----------
    network
        Stays as it is.
    fusion
        SHA-256 of its weights file.
    """

    def __init__(self, network: FusionNetwork, fusion: str) -> None:
        self.fusion = fusion
        self.original = network
        self.network = copy.deepcopy(network).float().requires_grad_(False)
        self._sums: dict[str, _Sum] = {}
        for name in list(tunable(self.network)):
            place, _, kind = name.rpartition(".")
            module = self.network.get_submodule(place)
            one = _Sum(getattr(module, kind)).to(getattr(module, kind).device)
            nn.utils.parametrize.register_parametrization(module, kind, one)
            self._sums[name] = one

    def parameters(self) -> list[nn.Parameter]:
        """Return what can be learnt."""
        return [value for one in self._sums.values() for value in one.parameters()]

    def adapter(self) -> Adapter:
        """Return the differences as they are now."""
        tensors: dict[str, torch.Tensor] = {}
        for name, one in self._sums.items():
            tensors |= one.tensors(name)
        return Adapter(
            self.fusion, {name: one.detach().half().cpu() for name, one in tensors.items()}
        )
