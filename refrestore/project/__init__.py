"""The project folder: what a scan found, and what the user decided.

Each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .close_ups import CloseUp
    from .decisions import Unresolved
    from .edits import Edit
    from .project import Project, ScanInfo
    from .scanning import ScanWriter
    from .timing import Timeline
    from .video import VideoSource

_HOMES = {
    "CloseUp": "close_ups",
    "Edit": "edits",
    "Project": "project",
    "ScanInfo": "project",
    "ScanWriter": "scanning",
    "Timeline": "timing",
    "Unresolved": "decisions",
    "VideoSource": "video",
}

__all__ = [
    "CloseUp",
    "Edit",
    "Project",
    "ScanInfo",
    "ScanWriter",
    "Timeline",
    "Unresolved",
    "VideoSource",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
