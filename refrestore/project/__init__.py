"""The project folder: what a scan found, and what the user decided.

Each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .close_ups import CloseUp
    from .edits import Edit
    from .identities import Unresolved
    from .project import Project
    from .scan_info import ScanInfo
    from .scanning import ScanWriter
    from .timing import Timeline
    from .video import VideoSource

_HOMES = {
    "CloseUp": "close_ups",
    "Edit": "edits",
    "Project": "project",
    "ScanInfo": "scan_info",
    "ScanWriter": "scanning",
    "Timeline": "timing",
    "Unresolved": "identities",
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
