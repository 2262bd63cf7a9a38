"""Restores the faces of a video from the people's own close-ups.

    from refrestore import Project, render_project, scan_video

The names below are the library; they are loaded when first used, so that importing the package
costs nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from refrestore.front_door import opened

__version__ = "0.1.0"

# Nothing leaves the machine. onnxruntime reports to its maker from its import on (its Privacy.md),
# unless this is set before.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from refrestore.adapt.tune import tune_profile
    from refrestore.config import (
        EncoderSettings,
        EngineSettings,
        RenderSettings,
        RuntimeSettings,
        ScanSettings,
    )
    from refrestore.engine.local import render as render_project
    from refrestore.engine.run import run
    from refrestore.engine.still_files import restore_pictures
    from refrestore.engine.whole_scan import scan as scan_video
    from refrestore.errors import RefrestoreError
    from refrestore.moment import parse_moment
    from refrestore.profiles import Profile, ProfileStore
    from refrestore.project import Project
    from refrestore.render.preview import preview
    from refrestore.render.still import restore_picture
    from refrestore.render.toolbox import open_toolbox
    from refrestore.scan.build import build_profile, update_profile
    from refrestore.types import Faces, Identity, Reference, Track

# `scan` and `render` are rooms of the package; the functions carry what they work on in their name.
_HOMES = {
    "EncoderSettings": "config",
    "EngineSettings": "config",
    "Faces": "types",
    "Identity": "types",
    "Profile": "profiles",
    "ProfileStore": "profiles",
    "Project": "project",
    "Reference": "types",
    "RefrestoreError": "errors",
    "RenderSettings": "config",
    "RuntimeSettings": "config",
    "ScanSettings": "config",
    "Track": "types",
    "build_profile": "scan.build",
    "open_toolbox": "render.toolbox",
    "parse_moment": "moment",
    "preview": "render.preview",
    "render_project": "engine.local:render",
    "restore_picture": "render.still",
    "restore_pictures": "engine.still_files",
    "run": "engine.run",
    "scan_video": "engine.whole_scan:scan",
    "tune_profile": "adapt.tune",
    "update_profile": "scan.build",
}

__all__ = [
    "EncoderSettings",
    "EngineSettings",
    "Faces",
    "Identity",
    "Profile",
    "ProfileStore",
    "Project",
    "Reference",
    "RefrestoreError",
    "RenderSettings",
    "RuntimeSettings",
    "ScanSettings",
    "Track",
    "build_profile",
    "open_toolbox",
    "parse_moment",
    "preview",
    "render_project",
    "restore_picture",
    "restore_pictures",
    "run",
    "scan_video",
    "tune_profile",
    "update_profile",
]


__getattr__ = opened(__name__, _HOMES)
