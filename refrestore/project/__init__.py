"""The project folder: what a scan found, and what the user decided.

Each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refrestore.front_door import opened

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


__getattr__ = opened(__name__, _HOMES)
