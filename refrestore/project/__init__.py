"""The project folder and the profiles."""

from .decisions import Unresolved
from .edits import Edit
from .project import Project, ScanInfo
from .scanning import ScanWriter
from .timing import Timeline
from .video import VideoSource

__all__ = ["Edit", "Project", "ScanInfo", "ScanWriter", "Timeline", "Unresolved", "VideoSource"]
