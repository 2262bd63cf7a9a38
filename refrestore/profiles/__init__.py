"""Profiles: what a person looks like, kept beyond one film.

Each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .profile import Match, Profile, match
    from .store import ProfileStore

_HOMES = {
    "Match": "profile",
    "Profile": "profile",
    "ProfileStore": "store",
    "match": "profile",
}

__all__ = ["Match", "Profile", "ProfileStore", "match"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
