"""CUDA tensors without CUDA: shapes and devices are followed, nothing is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

_COPIES = {torch.ops.aten._to_copy.default: 0, torch.ops.aten.copy_.default: 1}
"""Operators that may carry a tensor to another device, and which argument that is."""


class Transfers(TorchDispatchMode):
    """Notes the shapes of what is fetched from the GPU: each is a wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _COPIES:
            source = args[_COPIES[func]]
            if source.device.type == "cuda" and result.device.type == "cpu":
                self.fetched.append(tuple(source.shape))
        return result


@contextmanager
def pretended() -> Iterator[Transfers]:
    """Let tensors made with `device="cuda"` be fake ones.

    To mix devices, to ask for a number, and shapes that depend on numbers raise torch's errors
    (`FakeTensorDeviceMismatchError`, `DataDependentOutputException`,
    `DynamicOutputShapeException`). Modules are built under `with torch.device("cuda")`.
    """
    with FakeTensorMode(allow_non_fake_inputs=False), Transfers() as transfers:
        yield transfers
