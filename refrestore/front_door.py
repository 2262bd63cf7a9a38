"""Names of a room that are loaded when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def opened(room: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package.

    Parameters
    ----------
    room
        The package.
    homes
        The module inside of each name; `module:name` where it has another name there.
    """

    def named(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        module, _, original = homes[name].partition(":")
        return getattr(importlib.import_module(f"{room}.{module}"), original or name)

    return named
