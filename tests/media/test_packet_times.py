"""Frames are numbered from packets as a decoder numbers them, or not at all."""

from __future__ import annotations

from itertools import pairwise

import av
import numpy as np
import pytest

from refrestore.media.packet_times import PacketTimes
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.source import treated
from refrestore.media.treatment import Treatment
from tests.media.test_piece import FILMS, FRAMES, read, write

LENGTH, BEYOND = 25, 10


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize("deinterlace", ["off", "field"])
def test_they_are_the_decoders(tmp_path, name, deinterlace) -> None:
    info = treated(probe(write(tmp_path / name)), Treatment(deinterlace=deinterlace))
    frames = FRAMES * info.treatment.frames
    whole = read(info, stop=frames)
    packets = PacketTimes(info)
    passages = []
    length = LENGTH * info.treatment.frames  # the first second of an AVI cannot be entered
    for one in packets.passages(lambda first: length, frames, BEYOND):
        assert len(packets.ticks) >= (one.limit or frames)
        passages.append(one)
    assert packets.entire
    assert packets.entries().complete
    assert [tick * info.time_base for tick in packets.ticks] == [one[1] for one in whole]
    assert len(passages) > 1
    assert (passages[0].first, passages[-1].stop) == (0, frames)
    assert all(early.stop == late.first for early, late in pairwise(passages))
    assert all(one.stop - one.first >= length for one in passages[:-1])
    for first, stop, limit in passages[1:]:
        assert read(info, (first, whole[first][1]), stop) == whole[first:stop]
        assert limit in {stop + BEYOND, None}
    assert passages[0].limit == passages[0].stop + BEYOND


def test_no_passage_is_longer_than_may_be(tmp_path) -> None:
    packets = PacketTimes(probe(write(tmp_path / "reordered.mp4")))  # a key frame in 40
    assert not list(packets.passages(lambda first: LENGTH, 39, BEYOND))
    assert not packets.entire


def test_packets_without_times_tell_nothing(tmp_path) -> None:
    path = tmp_path / "raw.h264"
    with av.open(str(path), "w", format="h264") as output:
        stream = output.add_stream("libx264", rate=25, options={"g": "5"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number, np.uint8))
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    packets = PacketTimes(probe(path))
    assert not list(packets.passages(lambda first: 5, 20, 1))
    assert not packets.entire
    with VideoReader(path) as reader:
        assert sum(1 for _ in reader) == 20
