"""One suite over every kind of source: what is read, and that a render changes nothing else."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from refrestore.media.pixels import display_rgb, rgb
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader


def copied_packets(path):
    """Payload, times and side data of all packets that are not the film's."""
    info = probe(path)
    result = {}
    with av.open(str(path)) as source:
        for packet in source.demux():
            stream = packet.stream
            if stream.index == info.stream or not packet.size or stream.type == "data":
                continue
            time = packet.pts * packet.time_base
            result.setdefault((stream.index, stream.type), []).append((time, bytes(packet)))
    return result


def declared(path):
    with av.open(str(path)) as source:
        streams = [
            (stream.type, stream.metadata.get("language", "und"))
            for stream in source.streams
            if stream.type != "data"
        ]
        attachments = [
            (stream.name, stream.mimetype, stream.data)
            for stream in source.streams
            if stream.type == "attachment"
        ]
        chapters = [
            (
                chapter["start"] * chapter["time_base"],
                chapter["end"] * chapter["time_base"],
                chapter["metadata"].get("title"),
            )
            for chapter in source.chapters()
        ]
        return streams, attachments, chapters, source.metadata.get("title")


def test_reader_tells_what_was_written(videos, kinds, kind):
    wanted = kinds[kind]
    info = probe(videos(kind))
    with VideoReader(videos(kind)) as reader:
        frames = list(reader)
    times = [tick / wanted.rate for tick in wanted.ticks]
    if kind == "transport_stream":  # has an offset of its own
        times = [time + frames[0].time - times[0] for time in times]
    assert [frame.time for frame in frames] == times
    assert [frame.index for frame in frames] == list(range(len(times)))
    assert reader.decode_failures == 0
    assert (info.geometry.width, info.geometry.height) == wanted.size
    assert info.geometry.sample_aspect == wanted.aspect or kind in ("aspect", "everything")
    assert info.geometry.rotation == wanted.rotation
    assert info.pixel_format == wanted.pixel_format
    assert info.interlaced == wanted.interlaced
    assert info.start == times[0]
    assert sum(stream.kind == "audio" for stream in info.streams) == wanted.sounds
    assert info.chapters == 2 * wanted.chapters
    if wanted.tags:
        assert (info.color.primaries, info.color.transfer) == wanted.tags[:2]
        assert (info.color.matrix, info.color.range) == wanted.tags[2:]


def test_pictures_as_arrays(videos, kind):
    with VideoReader(videos(kind)) as reader:
        frame = next(reader)
    geometry = frame.geometry
    storage = rgb(frame)
    assert storage.shape == (geometry.height, geometry.width, 3)
    assert storage.dtype == np.uint8
    assert np.array_equal(storage, rgb(frame))
    width, height = geometry.display_size
    assert display_rgb(frame).shape == (height, width, 3)
    small = display_rgb(frame, height=12)
    assert small.shape[0] == 12
    assert small.shape[1] == max(1, round(width * 12 / height))


def test_nothing_but_the_encoding_changes(videos, kind, render, samples, tmp_path):
    source, output = videos(kind), tmp_path / "out.mkv"
    encoder = render(source, output)
    before, after = probe(source), probe(output)
    with VideoReader(source) as reader, VideoReader(output) as again:
        frames, copies = list(reader), list(again)
    assert len(frames) == len(copies)
    for frame, copy in zip(frames, copies, strict=True):
        assert copy.time == frame.time
        for one, other in zip(samples(frame.picture), samples(copy.picture), strict=True):
            assert np.array_equal(one, other)
    assert after.geometry == before.geometry
    assert after.display_matrix == before.display_matrix
    assert after.color == encoder.color
    assert (after.color.primaries, after.color.transfer) == (
        before.color.primaries,
        before.color.transfer,
    )
    assert_same_packets(copied_packets(output), copied_packets(source), within=Fraction(1, 1000))
    assert declared(output) == declared(source)
    assert sorted(path.name for path in tmp_path.iterdir() if ".partial" in path.name) == []


def assert_same_packets(found, wanted, within):
    """Payloads are equal byte for byte, times as near as the container can say them."""
    assert found.keys() == wanted.keys()
    for key, packets in wanted.items():
        assert [payload for _, payload in found[key]] == [payload for _, payload in packets]
        for (time, _), (other, _) in zip(found[key], packets, strict=True):
            assert abs(time - other) <= within


def signalled(color):
    """Encoders need not say "limited range": it is what unsaid means."""
    return replace(color, range=color.range or 1)


@pytest.mark.parametrize(
    "name",
    ["plain", "b_frames", "gap", "starts_late", "aspect_mp4", "rotated_90", "rotated_270",
     "ten_bit_hevc", "bt601", "priming", "chapters_mp4", "no_sound", "prores_422_ten"],
)  # fmt: skip
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_mp4_keeps_exact_times(name, codec, videos, render, tmp_path):
    source, output = videos(name), tmp_path / "out.mp4"
    options = {} if codec == "libx264" else {"preset": "ultrafast"}
    encoder = render(source, output, codec=codec, **options)
    before, after = probe(source), probe(output)
    with VideoReader(source) as reader, VideoReader(output) as again:
        assert [frame.time for frame in again] == [frame.time for frame in reader]
    assert after.geometry == before.geometry
    assert signalled(after.color) == signalled(encoder.color)
    assert after.duration == before.duration
    assert copied_packets(output) == copied_packets(source)
    assert declared(output) == declared(source)
    with av.open(str(output)) as container:
        decoding = [packet.dts for packet in container.demux(video=0) if packet.size]
    assert decoding == sorted(set(decoding))
