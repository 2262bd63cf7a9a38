"""Small films of many kinds. Most are those of tests/media, which also say what must survive."""

from __future__ import annotations

from pathlib import Path

from tests.media.conftest import KINDS, Kind, write_video

QUIET = {"x265-params": "log-level=error"}

MORE = {
    "avi": Kind(".avi", "mpeg4"),
    "avi_mjpeg": Kind(".avi", "mjpeg", "yuvj420p"),
    "program_stream": Kind(".mpg", "mpeg2video", sounds=0),
    "windows_media": Kind(".wmv", "wmv2"),
    "flash": Kind(".flv", "flv1"),
    "h263_3gp": Kind(".3gp", "mpeg4"),
    "h264_ts": Kind(".ts", "libx264"),
    "hevc_mkv": Kind(".mkv", "libx265", options=QUIET),
    "subtitles_b_frames": Kind(".mkv", "libx264", subtitles=True, chapters=True, sounds=2),
    "vp8_webm": Kind(".webm", "libvpx", sounds=1, options={"deadline": "realtime"}),
}
"""Kinds that tests/media has not."""

ALL = {**KINDS, **MORE}


def write_samples(folder: str, names: list[str]) -> None:
    """Write films of the kinds named."""
    for name in names:
        path = Path(folder) / f"{name}{ALL[name].suffix}"
        if not path.exists():
            write_video(path, ALL[name])
