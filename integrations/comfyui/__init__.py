"""ComfyUI loads the folder by these two names."""

from __future__ import annotations

from .nodes import RestoreFaces

NODE_CLASS_MAPPINGS = {"RefrestoreRestoreFaces": RestoreFaces}
NODE_DISPLAY_NAME_MAPPINGS = {"RefrestoreRestoreFaces": "Restore faces from a profile (refrestore)"}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
