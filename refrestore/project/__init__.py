"""The project folder and the profiles."""

from .close_ups import CloseUp
from .decisions import Unresolved
from .edits import Edit
from .profile import Match, Profile, match
from .profile_store import ProfileStore
from .project import Project, ScanInfo
from .scanning import ScanWriter
from .timing import Timeline
from .video import VideoSource

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
