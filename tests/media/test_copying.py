"""A film that needs no change: the same packets at the same times in another file."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from refrestore.errors import MediaError
from refrestore.media.copying import copy_film, resolve_copy
from refrestore.media.preflight import TRIAL_PACKETS
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures

from .test_conformance import assert_same_packets, copied_packets, declared

REFUSED = {("everything", ".mp4"), ("everything", ".mov"), ("variable_rate", ".mov")}
"""FFV1 in MOV, and subtitles and a font in both."""


def film_packets(path):
    info = probe(path)
    with av.open(str(path)) as source:
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in source.demux(source.streams[info.stream])
            if packet.size
        ]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize(
    "name",
    ["plain", "b_frames", "gap", "starts_late", "aspect_mp4", "rotated_270", "ten_bit_hevc",
     "priming", "chapters_mp4", "everything", "variable_rate", "interlaced"],
)  # fmt: skip
def test_every_packet_is_the_sources(name, suffix, videos, tmp_path):
    source, output = videos(name), tmp_path / f"out{suffix}"
    info = probe(source)
    if (name, suffix) in REFUSED:
        with pytest.raises(MediaError, match=r"ends in \.mkv\.$"):
            resolve_copy(info, output)
        return
    encoder = resolve_copy(info, output)
    copy_film(encoder, info, output)
    slack = Fraction(1, 1000) if suffix == ".mkv" else 0
    found, wanted = film_packets(output), film_packets(source)
    assert [data for _, data in found] == [data for _, data in wanted]
    assert all(abs(a - b) <= slack for (a, _), (b, _) in zip(found, wanted, strict=True))
    after = probe(output)
    assert after.geometry == info.geometry
    assert after.display_matrix == info.display_matrix
    assert abs(after.duration - info.duration) <= slack
    assert_same_packets(copied_packets(output), copied_packets(source), within=slack)
    assert declared(output)[1:] == declared(source)[1:]
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_packets_without_times_are_not_copied(tmp_path):
    """An elementary stream has no times at all."""
    source = tmp_path / "film.h264"
    with av.open(str(source), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(12):
            output.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        output.mux(stream.encode())
    with pytest.raises(MediaError, match="time of its own"):
        resolve_copy(probe(source), tmp_path / "out.mp4")


def test_pictures_out_of_order_are_not_copied_to_mxf(videos, tmp_path):
    with pytest.raises(MediaError, match="another order"):
        resolve_copy(probe(videos("b_frames")), tmp_path / "out.mxf")


def test_a_recording_that_began_anywhere_is_copied(tmp_path):
    """What comes before the first key frame shows nothing: a trial of it alone cannot be read."""
    whole, source, output = (tmp_path / name for name in ("whole.ts", "film.ts", "out.mkv"))
    options = {"g": "15", "bf": "0", "sc_threshold": "1000000000"}
    pictures = [np.full((48, 64, 3), 3 * number, np.uint8) for number in range(45)]
    write_pictures(whole, pictures, rate=Fraction(25), codec="mpeg2video", options=options)
    with av.open(str(whole)) as film, av.open(str(source), "w") as piece:
        target = piece.add_stream_from_template(film.streams.video[0])
        for packet in list(film.demux(video=0))[4:]:
            packet.stream = target
            if packet.size:
                piece.mux(packet)
    with av.open(str(source)) as film:
        first = next(n for n, one in enumerate(film.demux(video=0)) if one.is_keyframe)
    assert first > TRIAL_PACKETS
    info = probe(source)
    copy_film(resolve_copy(info, output), info, output)
    assert [data for _, data in film_packets(output)] == [data for _, data in film_packets(source)]
    with VideoReader(output) as copied, VideoReader(source) as original:
        assert len(list(copied)) == len(list(original)) == 30
