"""Weights of our own networks: half precision in safetensors, with what builds the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from refrestore.errors import ModelError

Network = TypeVar("Network", bound=nn.Module)


def save_weights(network: nn.Module, path: Path, settings: Mapping[str, Any]) -> None:
    """Write the weights in half precision; each of `settings` becomes a JSON text beside them."""
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, path, metadata={key: json.dumps(value) for key, value in settings.items()})


def load_weights(
    path: Path, build: Callable[[Mapping[str, Any]], Network], *, what: str
) -> Network:
    """Read a network that `save_weights` wrote, in single precision.

    Parameters
    ----------
    path
        The file.
    build
        Makes the network from the settings it was written with.
    what
        What it is, for messages.

    Raises
    ------
    ModelError
        The file is missing, damaged or of another shape.
    """
    try:
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network = build({key: json.loads(value) for key, value in texts.items()})
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"The {what} weights {path} cannot be used ({type(error).__name__}: {error}); "
            f"put back models/lite/{path.name} of this version."
        ) from error
    return network
