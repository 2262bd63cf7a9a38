"""A stretch of a film, cut out as packets, is read as it is in the film."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from refrestore.errors import MediaError
from refrestore.media.entries import Entries
from refrestore.media.piece import cut_piece, open_piece
from refrestore.media.probe import VideoInfo, probe
from refrestore.media.reader import VideoReader
from refrestore.media.source import treated
from refrestore.media.treatment import Treatment
from refrestore.types import Frame

RATE, FRAMES = Fraction(25), 160

FILMS: dict[str, tuple[str, dict[str, str]]] = {
    "reordered.mp4": ("libx264", {"g": "40", "bf": "3", "sc_threshold": "0"}),
    "open.mkv": ("libx264", {"bf": "3", "x264-params": "open-gop=1:keyint=48:scenecut=0"}),
    "broadcast.ts": ("mpeg2video", {"g": "15", "bf": "2"}),
    "master.mov": ("prores_ks", {}),
    "old.avi": ("mjpeg", {}),
    "net.webm": ("libvpx-vp9", {"g": "40", "deadline": "realtime", "cpu-used": "8"}),
}


def write(path: Path) -> Path:
    codec, options = FILMS[path.name]
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    with av.open(str(path), "w") as output:
        film = output.add_stream(codec, rate=RATE, options=options)
        film.width, film.height = 64, 48
        film.pix_fmt = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}.get(codec, "yuv420p")
        film.codec_context.color_primaries = film.codec_context.colorspace = 5
        for number in range(FRAMES):
            moved = np.roll(noise, (number, 3 * number), (0, 1)) // 2 + number % 97
            picture = av.VideoFrame.from_ndarray(moved.astype(np.uint8))
            picture.pts, picture.time_base = number, 1 / RATE
            output.mux(film.encode(picture))
        output.mux(film.encode(None))
    return path


def content(frame: Frame) -> tuple[object, ...]:
    picture = frame.picture
    planes = [bytes(plane) for plane in picture.planes]
    return frame.index, frame.time, picture.colorspace, picture.color_range, planes


def read(info: VideoInfo, enter=None, stop: int = FRAMES) -> list[tuple[object, ...]]:
    frames = []
    with VideoReader(info.path, info=info, enter=enter) as reader:
        for frame in reader:
            if frame.index >= stop:
                break
            frames.append(content(frame))
    return frames


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize("deinterlace", ["off", "frame", "field"])
def test_it_is_read_as_in_the_film(tmp_path, name, deinterlace) -> None:
    info = treated(probe(write(tmp_path / name)), Treatment(deinterlace=deinterlace))
    whole = read(info, stop=FRAMES * info.treatment.frames)
    ticks = [int(one[1] / info.time_base) for one in whole]
    entries = Entries.of_all(np.array(ticks, np.int64), info.time_base)
    each = info.treatment.frames
    for first, stop in ((0, 30), (90 * each, 120 * each), (131 * each + each // 2, len(whole))):
        file = tmp_path / "piece"
        file.write_bytes(cut_piece(info, entries, first, stop))
        assert first == 0 or file.stat().st_size < 0.9 * info.size
        enter = None if first == 0 else (first, whole[first][1])
        assert read(open_piece(info, file), enter, stop) == whole[first:stop]


def test_where_little_is_known_the_rest_of_the_film_is_sent(tmp_path) -> None:
    info = probe(write(tmp_path / "reordered.mp4"))
    known = Entries(np.array([0, 100]), np.array([0, 100 * 512]), Fraction(1, 12800))
    file = tmp_path / "piece"
    file.write_bytes(cut_piece(info, known, 110, 120))
    found = read(open_piece(info, file), (100, Fraction(4)))
    assert [one[0] for one in found] == list(range(100, FRAMES))


def test_a_film_that_is_gone(tmp_path) -> None:
    info = probe(write(tmp_path / "reordered.mp4"))
    info.path.unlink()
    entries = Entries(np.array([0]), np.array([0]), info.time_base)
    with pytest.raises(MediaError, match=r"reordered\.mp4"):
        cut_piece(info, entries, 0, 10)
