"""The project folder and the profiles.

Each name is loaded when it is first used: who lists people needs none of what profiles need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .close_ups import CloseUp
    from .decisions import Unresolved
    from .edits import Edit
    from .profile import Match, Profile, match
    from .profile_store import ProfileStore
    from .project import Project, ScanInfo
    from .scanning import ScanWriter
    from .timing import Timeline
    from .video import VideoSource

_HOMES = {
    "CloseUp": "close_ups",
    "Edit": "edits",
    "Match": "profile",
    "Profile": "profile",
    "ProfileStore": "profile_store",
    "Project": "project",
    "ScanInfo": "project",
    "ScanWriter": "scanning",
    "Timeline": "timing",
    "Unresolved": "decisions",
    "VideoSource": "video",
    "match": "profile",
}

__all__ = [
    "CloseUp",
    "Edit",
    "Match",
    "Profile",
    "ProfileStore",
    "Project",
    "ScanInfo",
    "ScanWriter",
    "Timeline",
    "Unresolved",
    "VideoSource",
    "match",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
