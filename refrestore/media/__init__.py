"""Video in and out: probe, frames with exact times, composition, encoding, packet copy."""

from refrestore.media.compose import Patch, compose, read_region
from refrestore.media.pixels import display_rgb, rgb, rgb_deep
from refrestore.media.probe import StreamInfo, VideoInfo, probe
from refrestore.media.reader import VideoReader

__all__ = [
    "Patch",
    "StreamInfo",
    "VideoInfo",
    "VideoReader",
    "compose",
    "display_rgb",
    "probe",
    "read_region",
    "rgb",
    "rgb_deep",
]
