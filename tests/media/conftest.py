"""Small real videos of every kind that the media room must carry, written with PyAV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from refrestore.config import EncoderSettings
from refrestore.media.compose import compose
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.join import join
from refrestore.media.planes import planar, plane_views
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.segments import SegmentWriter

SUBTITLES = "1\n00:00:00,040 --> 00:00:00,200\nHello\n\n2\n00:00:00,240 --> 00:00:00,440\nthere\n"


@dataclass(frozen=True)
class Kind:
    """What a source is like; every field is a fact that must survive."""

    suffix: str = ".mkv"
    codec: str = "ffv1"
    pixel_format: str = "yuv420p"
    size: tuple[int, int] = (64, 48)
    rate: Fraction = Fraction(25)
    ticks: Sequence[int] = tuple(range(12))
    aspect: Fraction = Fraction(1)
    rotation: int = 0
    tags: tuple[int, int, int, int] | None = None
    interlaced: bool = False
    sounds: int = 1
    sound_start: int = 0
    subtitles: bool = False
    attachment: bool = False
    chapters: bool = False
    options: dict[str, str] = field(default_factory=dict)


KINDS = {
    "plain": Kind(".mp4", "libx264"),
    "b_frames": Kind(".mp4", "libx264", options={"bf": "3", "b-adapt": "0"}),
    "large": Kind(".mp4", "libx264", size=(160, 128)),
    "variable_rate": Kind(ticks=(0, 1, 2, 5, 6, 11, 13, 14, 40, 41)),
    "gap": Kind(".mp4", "libx264", ticks=(0, 1, 2, 3, 100, 101, 102)),
    "starts_late": Kind(".mp4", "libx264", ticks=tuple(range(500, 512)), sound_start=960_000),
    "before_zero": Kind(".mkv", "libx264", ticks=tuple(range(-5, 10)), sound_start=-9600),
    "sound_first": Kind(".mkv", "libx264", ticks=tuple(range(5, 17))),
    "priming": Kind(".mp4", "libx264", sound_start=-1024),
    "aspect": Kind(aspect=Fraction(27, 20), size=(64, 36)),
    "aspect_mp4": Kind(".mp4", "libx264", aspect=Fraction(27, 20)),
    "rotated_90": Kind(".mp4", "libx264", rotation=90),
    "rotated_180": Kind(rotation=180),
    "rotated_270": Kind(".mov", "libx264", rotation=270, aspect=Fraction(4, 3)),
    "ten_bit_hdr": Kind(pixel_format="yuv420p10le", tags=(9, 16, 9, 1)),
    "ten_bit_hevc": Kind(
        ".mp4", "libx265", "yuv420p10le", tags=(9, 14, 9, 1),
        options={"x265-params": "log-level=error"},
    ),
    "bt709_full": Kind(tags=(1, 1, 1, 2)),
    "bt601": Kind(".mp4", "libx264", tags=(6, 6, 6, 1)),
    "mjpeg": Kind(".mov", "mjpeg", "yuvj420p"),
    "yuv422": Kind(pixel_format="yuv422p"),
    "prores_422_ten": Kind(".mov", "prores_ks", "yuv422p10le"),
    "yuv444": Kind(pixel_format="yuv444p"),
    "yuv444_twelve": Kind(pixel_format="yuv444p12le"),
    "rgb": Kind(".mov", "png", "rgb24"),
    "rgb_ten": Kind(pixel_format="gbrp10le"),
    "rgb_packed": Kind(pixel_format="bgr0"),
    "gray": Kind(pixel_format="gray"),
    "gray_ten": Kind(pixel_format="gray10le"),
    "odd": Kind(size=(33, 17)),
    "odd_yuv422": Kind(size=(33, 17), pixel_format="yuv422p10le"),
    "interlaced": Kind(".mkv", "mpeg2video", interlaced=True, tags=(6, 6, 6, 1)),
    "no_sound": Kind(".mp4", "libx264", sounds=0),
    "two_sounds": Kind(sounds=2),
    "subtitles": Kind(subtitles=True),
    "attachment": Kind(attachment=True),
    "chapters": Kind(chapters=True),
    "chapters_mp4": Kind(".mp4", "libx264", chapters=True),
    "everything": Kind(
        sounds=2, subtitles=True, attachment=True, chapters=True, aspect=Fraction(4, 3),
        rotation=90, tags=(1, 1, 1, 1),
    ),
    "one_frame": Kind(ticks=(0,)),
    "vp9": Kind(".webm", "libvpx-vp9", sounds=0, options={"deadline": "realtime"}),
    "transport_stream": Kind(".ts", "mpeg2video"),
}  # fmt: skip


def picture(kind: Kind, number: int) -> av.VideoFrame:
    """A moving pattern that differs in every plane and picture."""
    result = av.VideoFrame(*kind.size, kind.pixel_format)
    try:
        views = plane_views(result) if planar(result) is result else None
    except ValueError:
        views = None
    if views is None:
        rng = np.random.default_rng(number)
        for plane in result.planes:
            plane.update(rng.integers(0, 255, plane.buffer_size, np.uint8).tobytes())
        return result
    for index, view in enumerate(views):
        rows, columns = np.mgrid[: view.shape[0], : view.shape[1]]
        wave = np.sin(columns / 7 + number / 3 + index) + np.cos(rows / 5 - number / 4)
        depth = result.format.components[index].bits
        view[:] = ((128 + 45 * wave) * 2 ** (depth - 8)).astype(view.dtype)
    return result


def write_video(path: Path, kind: Kind) -> Path:
    """Write a video of that kind."""
    options = {"avoid_negative_ts": "disabled"} if kind.suffix == ".mkv" else {}
    with av.open(str(path), "w", container_options=options) as output:
        film: Any = output.add_stream(kind.codec, rate=kind.rate, options=dict(kind.options))
        film.width, film.height = kind.size
        film.pix_fmt = kind.pixel_format
        context = film.codec_context
        context.time_base = 1 / kind.rate
        context.sample_aspect_ratio = kind.aspect
        if kind.tags:
            context.color_primaries, context.color_trc = kind.tags[:2]
            context.colorspace, context.color_range = kind.tags[2:]
        if kind.interlaced:
            context.flags |= 1 << 18 | 1 << 29
        if kind.rotation:
            film.set_display_rotation(-kind.rotation)
        sounds = [_sound(output, kind) for _ in range(kind.sounds)]
        for number, sound in enumerate(sounds):
            sound.metadata["language"] = ("eng", "deu")[number]
        subtitle = _subtitle(output, path.with_suffix(".srt")) if kind.subtitles else None
        if kind.attachment:
            output.add_attachment("font.ttf", "application/x-truetype-font", b"\0not a font" * 9)
        if kind.chapters:
            output.set_chapters([
                _chapter(1, 0, 200, "Opening"),
                _chapter(2, 200, 480, "The rest"),
            ])  # fmt: skip
        output.metadata["title"] = "A small film"
        packets: list[Any] = []
        for number, tick in enumerate(kind.ticks):
            frame = picture(kind, number)
            frame.pts, frame.time_base = tick, 1 / kind.rate
            if kind.tags:
                frame.colorspace, frame.color_range = kind.tags[2:]
            packets += film.encode(frame)
        packets += film.encode(None)
        for number, sound in enumerate(sounds):
            packets += _sound_packets(sound, kind, number)
        packets += subtitle or []
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        output.start_encoding()
        output.mux(packets)
    return path


def _chapter(number: int, start: int, end: int, title: str) -> Any:
    return {
        "id": number,
        "start": start,
        "end": end,
        "time_base": Fraction(1, 1000),
        "metadata": {"title": title},
    }


def _sound(output: Any, kind: Kind) -> Any:
    codec = {".ts": "mp2", ".webm": "libopus"}.get(kind.suffix, "aac")
    sound = output.add_stream(codec, rate=48_000)
    sound.layout = "mono"
    return sound


def _sound_packets(sound: Any, kind: Kind, number: int) -> list[Any]:
    packets = []
    frame_format = sound.codec_context.format.name
    dtype = np.float32 if frame_format == "fltp" else np.int16
    size = sound.codec_context.frame_size or 1024
    for block in range(20):
        phase = np.arange(block * size, (block + 1) * size) / 48_000 * 2 * np.pi * 440
        wave = np.sin(phase * (number + 1)) * (0.3 if dtype == np.float32 else 9000)
        frame = av.AudioFrame.from_ndarray(wave.astype(dtype)[None], frame_format, "mono")
        frame.sample_rate = 48_000
        frame.pts = kind.sound_start + block * size
        frame.time_base = Fraction(1, 48_000)
        packets += sound.encode(frame)
    return packets + sound.encode(None)


def _subtitle(output: Any, path: Path) -> list[Any]:
    path.write_text(SUBTITLES)
    with av.open(str(path)) as source:
        stream = output.add_stream_from_template(source.streams[0])
        packets = [packet for packet in source.demux() if packet.size]
    for packet in packets:
        packet.stream = stream
    return packets


def remake(
    source: Path,
    output: Path,
    *,
    codec: str = "ffv1",
    segments: int = 3,
    start: Fraction | None = None,
    end: Fraction | None = None,
    edit: Callable[[Any], av.VideoFrame] = lambda frame: compose(frame, []),
    scale: int = 1,
    **settings: Any,
) -> Any:
    """Read, compose, encode in segments and join, as a render does."""
    info = probe(source)
    encoder = resolve_encoder(
        EncoderSettings(codec=codec, **settings), info, scale=scale, output=output
    )
    paths = []
    with VideoReader(source, start=start, end=end) as reader:
        frames = list(reader)
    for part in np.array_split(np.arange(len(frames)), min(segments, len(frames))):
        paths.append(output.with_name(f"{output.stem}-{len(paths)}.segment"))
        with SegmentWriter(paths[-1], encoder) as writer:
            for index in part:
                writer.write(edit(frames[index]), frames[index].time)
    join(paths, encoder, info, output, start=start, end=end)
    return encoder


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a kind's name to a video of it, written once."""
    folder = tmp_path_factory.mktemp("videos")

    def video(name: str) -> Path:
        path = folder / f"{name}{KINDS[name].suffix}"
        return path if path.exists() else write_video(path, KINDS[name])

    return video


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def kinds() -> dict[str, Kind]:
    return KINDS


@pytest.fixture(scope="session")
def render() -> Callable[..., Any]:
    return remake


@pytest.fixture(scope="session")
def samples() -> Callable[[av.VideoFrame], list[np.ndarray]]:
    """Return a function that copies a picture's planes."""
    return lambda frame: [view.copy() for view in plane_views(planar(frame))]
