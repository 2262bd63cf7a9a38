"""CUDA tensors without CUDA: shapes and devices are followed, nothing is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from torch import Tensor
from torch._subclasses import fake_tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Transfers(TorchDispatchMode):
    """Notes the shapes of what is fetched from the GPU: each is a wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.device.type == "cpu":
            self.fetched += [
                tuple(one.shape)
                for one in args
                if isinstance(one, Tensor) and one.device.type == "cuda"
            ]
        return result


@contextmanager
def pretended() -> Iterator[Transfers]:
    """Let tensors made with `device="cuda"` be fake ones.

    To mix devices, to ask for a number, and shapes that depend on numbers raise torch's errors
    (`FakeTensorDeviceMismatchError`, `DataDependentOutputException`,
    `DynamicOutputShapeException`). Modules are built under `with torch.device("cuda")`.
    """
    # Tensors of one number are computed as well, which asks for the GPU itself.
    with (
        patch.object(fake_tensor, "CONSTANT_NUMEL_LIMIT", 0),
        fake_tensor.FakeTensorMode(),
        Transfers() as transfers,
    ):
        yield transfers
