"""Restores the faces of a video from the people's own close-ups."""

__version__ = "0.1.0"
