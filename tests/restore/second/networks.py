"""Second stages with random weights in the official layout, small or whole."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any

import pytest
import torch


def package(name: str, extra: str) -> Any:
    """Import an optional package, or skip (fail where the run demands everything)."""
    if importlib.util.find_spec(name.split(".", maxsplit=1)[0]) is None:
        reason = f"{name.split('.', maxsplit=1)[0]} is not installed ({extra})"
        if os.environ.get("REFRESTORE_REQUIRE_SHARED") == "1" and "optional" not in extra:
            pytest.fail(reason)
        pytest.skip(reason)
    # basicsr imports a module that torchvision renamed in 0.17.
    sys.modules.setdefault(
        "torchvision.transforms.functional_tensor",
        importlib.import_module("torchvision.transforms._functional_tensor"),
    )
    return importlib.import_module(name)


def stirred(network: torch.nn.Module) -> torch.nn.Module:
    """Move every parameter away from a trivial value, so that one left out is noticed."""
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith("bias") or value.numel() == 1:
                value.add_(0.3 * torch.randn_like(value))
    return network.eval().requires_grad_(False)
