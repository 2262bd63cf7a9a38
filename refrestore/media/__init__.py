"""Video in and out: probe, frames with exact times, composition, encoding, packet copy."""

from refrestore.media.coding import read_region
from refrestore.media.compose import compose
from refrestore.media.encoder import Encoder, resolve_encoder
from refrestore.media.join import join
from refrestore.media.patch import Patch
from refrestore.media.pixels import display_rgb, rgb, rgb_deep
from refrestore.media.probe import StreamInfo, VideoInfo, probe
from refrestore.media.reader import VideoReader
from refrestore.media.segments import SegmentWriter
from refrestore.media.stills import read_picture, write_picture

__all__ = [
    "Encoder",
    "Patch",
    "SegmentWriter",
    "StreamInfo",
    "VideoInfo",
    "VideoReader",
    "compose",
    "display_rgb",
    "join",
    "probe",
    "read_picture",
    "read_region",
    "resolve_encoder",
    "rgb",
    "rgb_deep",
    "write_picture",
]
