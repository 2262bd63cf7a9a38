"""Small films of many kinds. Most are those of tests/media, which also say what must survive."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.media.conftest import KINDS, Kind, picture, write_video

QUIET = {"x265-params": "log-level=error"}
HDR = (
    "log-level=error:repeat-headers=1:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
)

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
    "negative_start": Kind(".mkv", "libx264", ticks=tuple(range(-5, 10))),
    "hdr10": Kind(
        ".mkv", "libx265", "yuv420p10le", tags=(9, 16, 9, 1), options={"x265-params": HDR}
    ),
    "twelve_bit_hevc": Kind(".mkv", "libx265", "yuv420p12le", options=QUIET),
    "alpha": Kind(pixel_format="yuva420p"),
    "alpha_prores": Kind(".mov", "prores_ks", "yuva444p10le"),
    "alpha_png": Kind(".mov", "png", "rgba"),
    "sixteen_bit": Kind(pixel_format="yuv420p16le"),
    "gray_sixteen": Kind(pixel_format="gray16le"),
    "aspect_rotated": Kind(".mp4", "libx264", aspect=Fraction(4, 3), rotation=270),
    "huge_aspect": Kind(".mp4", "libx264", aspect=Fraction(16, 1)),
    "ntsc": Kind(".mp4", "libx264", rate=Fraction(30000, 1001)),
    "fast": Kind(".mp4", "libx264", rate=Fraction(240)),
    "slow": Kind(".mkv", "libx264", rate=Fraction(1, 2)),
    "interlaced_h264": Kind(".mp4", "libx264", interlaced=True),
    "small": Kind(".mp4", "libx264", size=(16, 16)),
    "lossless_h264": Kind(".mkv", "libx264", "yuv444p", options={"qp": "0"}),
}
"""Kinds that tests/media has not."""


def _stretch(path: Path, codec: str, pixel_format: str, size: tuple[int, int], sound: str) -> None:
    """Write a film with uncompressed or unusual sound, and a timecode where QuickTime has one."""
    kind = Kind(path.suffix, codec, pixel_format, size=size)
    with av.open(str(path), "w") as file:
        film: Any = file.add_stream(codec, rate=25)
        film.width, film.height, film.pix_fmt = *size, pixel_format
        if path.suffix == ".mov":
            film.metadata["timecode"] = "01:00:00:00"
        audio: Any = file.add_stream(sound, rate=48_000)
        audio.layout = "stereo"
        for number in range(12):
            frame = picture(kind, number)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            file.mux(film.encode(frame))
            tone = np.zeros((1, 2 * 1920), np.int16)
            heard = av.AudioFrame.from_ndarray(tone, "s16", "stereo")
            heard.sample_rate, heard.pts = 48_000, number * 1920
            heard.time_base = Fraction(1, 48_000)
            file.mux(audio.encode(heard))
        file.mux(film.encode(None))
        file.mux(audio.encode(None))


SPECIAL: dict[str, tuple[str, Callable[[Path], None]]] = {
    "pcm_and_timecode": (
        ".mov",
        lambda path: _stretch(path, "libx264", "yuv420p", (64, 48), "pcm_s16le"),
    ),
    "flac": (".mkv", lambda path: _stretch(path, "ffv1", "yuv420p", (64, 48), "flac")),
    "pcm_matroska": (
        ".mkv",
        lambda path: _stretch(path, "libx264", "yuv420p", (64, 48), "pcm_s16le"),
    ),
    "pcm_avi": (".avi", lambda path: _stretch(path, "mpeg4", "yuv420p", (64, 48), "pcm_s16le")),
    "dv": (".mov", lambda path: _stretch(path, "dvvideo", "yuv420p", (720, 576), "pcm_s16le")),
}
"""Films that a `Kind` cannot say."""

ALL = {**KINDS, **MORE}

SUFFIXES = {
    **{name: kind.suffix for name, kind in ALL.items()},
    **{name: suffix for name, (suffix, _) in SPECIAL.items()},
}

REPEATED = {
    "large",
    "no_sound",
    "chapters_mp4",
    "avi_mjpeg",
    "hevc_mkv",
    "bt709_full",
    "rotated_180",
}
"""Kinds left out of the formats: others have all they have."""

FORMATS = tuple(sorted(SUFFIXES.keys() - REPEATED))


def write_samples(folder: str, names: list[str]) -> None:
    """Write films of the kinds named."""
    for name in names:
        path = Path(folder) / f"{name}{SUFFIXES[name]}"
        if path.exists():
            continue
        if name in SPECIAL:
            SPECIAL[name][1](path)
        else:
            write_video(path, ALL[name])
            path.with_suffix(".srt").unlink(missing_ok=True)
