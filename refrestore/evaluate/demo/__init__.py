"""The demo film: made on the spot from pictures inside two packages, moved by camera paths.

No file of the project shows a real person. The people are those of the group photo that
insightface ships and of the portrait that scikit-image ships (NASA, public domain).
"""

from refrestore.evaluate.demo.demo_film import (
    MOVES,
    RATE,
    SIZE,
    CameraMove,
    far_moments,
    make_demo_film,
)
from refrestore.evaluate.demo.moves import CameraView
from refrestore.evaluate.demo.packaged import group_photo, portrait_photo

__all__ = [
    "MOVES",
    "RATE",
    "SIZE",
    "CameraMove",
    "CameraView",
    "far_moments",
    "group_photo",
    "make_demo_film",
    "portrait_photo",
]
