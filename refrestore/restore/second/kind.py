"""A kind of second stage: how its weights are told from others, and opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from refrestore.restore.second.stage import SecondStage


@dataclass(frozen=True, slots=True)
class Asked:
    """How a second stage is to be opened.

    Parameters
    ----------
    device, dtype
        Where and in what to compute.
    fidelity
        0 draws most freely, 1 stays nearest to what it is given; for those that can be told.
    folder
        Of its file, where what belongs to it lies.
    """

    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    fidelity: float | None = None
    folder: Path = Path()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of second stage.

    Parameters
    ----------
    name, title
        As people type it, and as they read it.
    licence
        As the publisher of its weights states it.
    detect
        Whether weights are of this kind, by their names.
    load
        Opens them; raises `ModelError` (a clause without the file's name) where they do not fit.
    restricted
        Whether the licence forbids commercial use altogether, so that a user accepts it by name
        before the network draws anything.
    takes_fidelity
        As in `Descriptor`.
    single
        Whether it computes in float32, whatever is asked.
    """

    name: str
    title: str
    licence: str
    detect: Callable[[Mapping[str, Tensor]], bool]
    load: Callable[[Mapping[str, Tensor], Asked], SecondStage]
    restricted: bool = False
    takes_fidelity: bool = False
    single: bool = False
