from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
import torch

from refrestore.config import EncoderSettings
from refrestore.errors import DiskError, MediaError
from refrestore.media.compose import Patch, compose
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.join import join
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.segments import SegmentIndex, SegmentWriter, open_segment, segment_packets


def encoder_for(source, output, **settings):
    return resolve_encoder(EncoderSettings(**settings), probe(source), scale=1, output=output)


def write_segment(path, encoder, source, first=0, stop=None):
    with VideoReader(source) as reader, SegmentWriter(path, encoder) as writer:
        for frame in reader:
            if first <= frame.index < (stop or 10**9):
                writer.write(frame.picture, frame.time)
    return path


def payloads(path):
    with open_segment(path) as (container, stream):
        return [(tick, bytes(packet)) for tick, packet in segment_packets(container, stream)]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1"])
@pytest.mark.parametrize("name", ["variable_rate", "starts_late", "gap"])
def test_segment_keeps_every_time(codec, name, videos, tmp_path):
    source = videos(name)
    encoder = encoder_for(source, tmp_path / "out.mkv", codec=codec)
    path = write_segment(tmp_path / "one.segment", encoder, source)
    with VideoReader(source) as reader:
        ticks = [frame.time / encoder.time_base for frame in reader]
    assert sorted(SegmentIndex.read(path).timestamps) == ticks


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1"])
@pytest.mark.parametrize("pictures", [1, 2, 3])
def test_short_segments(codec, pictures, videos, tmp_path):
    source, output = videos("large"), tmp_path / "out.mkv"
    encoder = encoder_for(source, output, codec=codec)
    with VideoReader(source) as reader:
        ticks = [frame.time / encoder.time_base for frame in reader]
    cuts = (0, pictures, 2 * pictures, len(ticks))
    segments = [
        write_segment(tmp_path / f"{first}.segment", encoder, source, first, stop)
        for first, stop in pairwise(cuts)
    ]
    indices = [SegmentIndex.read(segment) for segment in segments]
    assert [len(index.timestamps) for index in indices] == [
        pictures,
        pictures,
        len(ticks) - 2 * pictures,
    ]
    join(segments, encoder, probe(source), output)
    with VideoReader(output) as reader:
        assert [frame.time / encoder.time_base for frame in reader] == ticks


@pytest.mark.parametrize("made_up", [None, 2**40, -(2**40)])
def test_decoding_times_of_the_encoder_are_not_needed(made_up, videos, tmp_path, monkeypatch):
    """x265 takes those of a segment of one picture or two from uninitialised memory."""
    source = videos("large")
    encoder = encoder_for(source, tmp_path / "out.mkv")
    right = write_segment(tmp_path / "right.segment", encoder, source)
    mux = SegmentWriter._mux

    def astray(writer, packet):
        packet.dts = made_up
        mux(writer, packet)

    monkeypatch.setattr(SegmentWriter, "_mux", astray)
    assert payloads(write_segment(tmp_path / "one.segment", encoder, source)) == payloads(right)


def test_same_input_same_bytes(videos, tmp_path):
    source = videos("large")
    encoder = encoder_for(source, tmp_path / "out.mp4")
    one = write_segment(tmp_path / "one.segment", encoder, source)
    other = write_segment(tmp_path / "other.segment", encoder, source)
    assert payloads(one) == payloads(other)
    joined = [tmp_path / "one.mp4", tmp_path / "other.mp4"]
    for output, segment in zip(joined, (one, other), strict=True):
        join([segment], encoder, probe(source), output)
    assert joined[0].read_bytes() == joined[1].read_bytes()


DIGEST = """
import hashlib, sys
from pathlib import Path
from refrestore.config import EncoderSettings
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.segments import SegmentWriter, open_segment, segment_packets
source, path = Path(sys.argv[1]), Path(sys.argv[2])
settings = EncoderSettings(codec=sys.argv[3])
encoder = resolve_encoder(settings, probe(source), scale=1, output=path.with_suffix(".mkv"))
with VideoReader(source) as reader, SegmentWriter(path, encoder) as writer:
    for frame, _ in zip(reader, range(int(sys.argv[4]))):
        writer.write(frame.picture, frame.time)
with open_segment(path) as (container, stream):
    packets = [bytes(packet) for _, packet in segment_packets(container, stream)]
print(hashlib.sha256(b"".join(packets)).hexdigest())
"""


@pytest.mark.parametrize("pictures", ["1", "2", "9"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_bytes_do_not_depend_on_what_memory_held(videos, tmp_path, codec, pictures):
    """glibc fills new memory with the complement of MALLOC_PERTURB_."""
    digests = set()
    for value in ("128", "254"):
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MALLOC_PERTURB_": value
        }  # fmt: skip
        names = [videos("large"), tmp_path / "one.segment"]
        command = [sys.executable, "-c", DIGEST, *names, codec, pictures]
        result = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=True
        )
        digests.add(result.stdout)
    assert len(digests) == 1


def test_segments_are_closed(videos, tmp_path):
    source = videos("large")
    encoder = encoder_for(source, tmp_path / "out.mp4")
    whole = [write_segment(tmp_path / f"{n}.s", encoder, source, n, n + 4) for n in (0, 4, 8)]
    for path in whole:
        with open_segment(path) as (container, stream):
            first = next(packet for packet in container.demux(stream) if packet.size)
        assert first.is_keyframe
        with av.open(str(path)) as container:
            assert len(list(container.decode(video=0))) == 4
    again = write_segment(tmp_path / "again.s", encoder, source, 4, 8)
    assert payloads(again) == payloads(whole[1])


def test_nothing_appears_before_it_is_complete(videos, tmp_path):
    source = videos("plain")
    encoder = encoder_for(source, tmp_path / "out.mkv")
    path = tmp_path / "one.segment"
    with VideoReader(source) as reader:
        frame = next(reader)
    writer = SegmentWriter(path, encoder)
    writer.write(frame.picture, frame.time)
    assert not path.exists()
    writer.__exit__(KeyError, KeyError(), None)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="no picture"), SegmentWriter(path, encoder):
        pass
    assert list(tmp_path.iterdir()) == []


def test_times_must_ascend_and_fit(videos, tmp_path):
    source = videos("plain")
    encoder = encoder_for(source, tmp_path / "out.mkv")
    with VideoReader(source) as reader:
        frame = next(reader)
    writer = SegmentWriter(tmp_path / "one.segment", encoder)
    writer.write(frame.picture, Fraction(1))
    assert (frame.picture.pts * frame.picture.time_base, frame.picture.pict_type) == (0, 1)
    for time, words in [(Fraction(1), "not after"), (Fraction(1, 7919), "no multiple")]:
        with pytest.raises(ValueError, match=words):
            writer.write(frame.picture, time)
    with pytest.raises(ValueError, match="picture is"):
        writer.write(av.VideoFrame(16, 16, "yuv420p"), Fraction(2))
    writer.abort()


def test_segments_that_do_not_belong_together(videos, tmp_path):
    source, output = videos("plain"), tmp_path / "out.mp4"
    info = probe(source)
    encoder = encoder_for(source, output)
    other = encoder_for(source, output, codec="libx264", pixel_format="yuv444p")
    first = write_segment(tmp_path / "1.s", encoder, source, 0, 6)
    second = write_segment(tmp_path / "2.s", encoder, source, 6)
    strange = write_segment(tmp_path / "3.s", other, source, 6)
    damaged = tmp_path / "4.s"
    damaged.write_bytes(second.read_bytes()[:100])
    for segments, words in [
        ([second, first], "does not follow"),
        ([first, first], "does not follow"),
        ([first, strange], "other settings"),
        ([first, damaged], "missing or damaged"),
        ([first, tmp_path / "none.s"], "missing or damaged"),
        ([first, source], "not a segment"),
        ([], "no picture"),
    ]:
        with pytest.raises(MediaError, match=words):
            join(segments, encoder, info, output)
        assert not output.exists()
    join([first, second], encoder, info, output)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".mp4", *[".s"] * 4]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("name", ["plain", "starts_late"])
def test_range_moves_everything_by_one_amount(name, suffix, videos, render, tmp_path):
    source, output = videos(name), tmp_path / f"out{suffix}"
    origin = probe(source).start
    start, end = origin + Fraction(3, 25), origin + Fraction(9, 25)
    render(source, output, codec="libx264", start=start, end=end, segments=2)
    with VideoReader(output) as reader:
        assert [frame.time for frame in reader] == [Fraction(n, 25) for n in range(6)]

    def sound(path):
        with av.open(str(path)) as container:
            return [
                (packet.pts * packet.time_base, bytes(packet))
                for packet in container.demux(audio=0)
                if packet.size
            ]

    wanted = [(time - start, data) for time, data in sound(source) if start <= time < end]
    found = sound(output)
    assert [data for _, data in found] == [data for _, data in wanted]
    slack = 0 if suffix == ".mp4" else Fraction(1, 1000)
    assert all(abs(a - b) <= slack for (a, _), (b, _) in zip(found, wanted, strict=True))


def test_range_clips_chapters_and_subtitles(videos, render, tmp_path):
    output = tmp_path / "out.mkv"
    render(videos("everything"), output, start=Fraction(6, 25), end=Fraction(10, 25))
    with av.open(str(output)) as container:
        chapters = [(c["start"], c["end"]) for c in container.chapters()]
        lines = [bytes(p) for p in container.demux(subtitles=0) if p.size]
    unit = Fraction(1, 10**9)
    assert [(a * unit, b * unit) for a, b in chapters] == [(0, Fraction(4, 25))]
    assert lines == [b"there"]


def test_patched_pictures_arrive(videos, render, tmp_path, samples):
    patch = Patch(8, 8, torch.full((16, 16, 3), 0.4), torch.ones(16, 16))
    edits = []

    def edit(frame):
        edits.append(samples(compose(frame, [patch], scale=2)))
        return compose(frame, [patch], scale=2)

    output = tmp_path / "out.mkv"
    render(videos("ten_bit_hdr"), output, edit=edit, scale=2)
    with VideoReader(output) as reader:
        frames = list(reader)
    assert reader.info.color.transfer == 16
    for frame, edited in zip(frames, edits, strict=True):
        for one, other in zip(samples(frame.picture), edited, strict=True):
            assert np.array_equal(one, other)


SMALL_DISK = """
import sys
from pathlib import Path
from refrestore.config import EncoderSettings
from refrestore.errors import RefrestoreError
from refrestore.media.compose import compose
from refrestore.media.encoder_choice import resolve_encoder
from refrestore.media.join import join
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.segments import SegmentWriter
source, small, large, what = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
info = probe(source)
output = small / "out.mkv" if what != "segment" else large / "out.mkv"
encoder = resolve_encoder(EncoderSettings(codec="ffv1"), info, scale=4, output=output)
place = (small if what == "segment" else large) / "one.segment"
try:
    with VideoReader(source) as reader, SegmentWriter(place, encoder) as writer:
        for frame in reader:
            writer.write(compose(frame, [], scale=4), frame.time)
    assert what != "segment"
    (small / "filler").write_bytes(bytes(int(sys.argv[5])))
    join([place], encoder, info, output)
except RefrestoreError as error:
    print(type(error).__name__, error)
print(sorted(path.name for path in small.iterdir()))
"""


@pytest.mark.parametrize(("what", "size"), [("segment", 64), ("join", 512)])
def test_full_disk(videos, tmp_path, what, size):
    """On a real file system of so many KiB, or where none may be mounted, a limit of file size."""
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    arguments = [sys.executable, "-c", SMALL_DISK, videos("plain"), small, large, what, "450000"]
    quoted = " ".join(f"'{each}'" for each in map(str, arguments[3:]))
    script = f'mount -t tmpfs -o size={size}k none "{small}" && exec "$0" -c "$1" {quoted}'
    mounted = ["unshare", "--mount", "sh", "-c", script, sys.executable, SMALL_DISK]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(command):
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    try:
        result = run(mounted)
        real = "mount" not in result.stderr and "unshare" not in result.stderr
    except FileNotFoundError:
        real = False
    if not real:
        limited = ["sh", "-c", 'ulimit -f 100 && exec "$0" -c "$1" ' + quoted]
        result = run([*limited, sys.executable, SMALL_DISK])
    assert result.returncode == 0, result.stderr
    lines = result.stdout.strip().splitlines()
    assert lines[0].startswith(DiskError.__name__ + " No room left to write"), lines
    assert lines[-1] == ("[]" if what == "segment" else "['filler']")


def test_disk_that_is_certainly_too_small(videos, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskError, match="needs at least"):
        encoder_for(videos("plain"), tmp_path / "out.mkv", codec="ffv1")


@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
def test_a_film_from_before_zero_loses_nothing(name, videos, render, tmp_path):
    """QuickTime shows nothing from before 0: picture and sound are moved together."""
    source, output = videos("before_zero"), tmp_path / name
    render(source, output, codec="libx264", preset="ultrafast")
    with VideoReader(source) as reader, VideoReader(output) as again:
        times, moved = ([frame.time for frame in each] for each in (reader, again))
    assert times[0] == Fraction(-1, 5)
    assert moved == [time - times[0] for time in times]
    with av.open(str(source)) as one, av.open(str(output)) as other:
        was = [(p.pts * p.time_base, bytes(p)) for p in one.demux(audio=0) if p.size]
        found = [(p.pts * p.time_base, bytes(p)) for p in other.demux(audio=0) if p.size]
    assert [payload for _, payload in found] == [payload for _, payload in was]
    assert all(
        abs(at - before - Fraction(1, 5)) < Fraction(2, 1000)
        for (at, _), (before, _) in zip(found, was, strict=True)
    )


@pytest.mark.shared
def test_film_end_to_end(shared, render, tmp_path):
    source = shared / "data/film/tears_of_steel_720p.mp4"
    end = 20 + Fraction(1, 2)
    output = tmp_path / "out.mp4"
    render(source, output, codec="libx264", preset="ultrafast", end=end)
    info, before = probe(output), probe(source)
    assert info.geometry == before.geometry
    assert info.color == before.color
    assert info.start == 20
    with VideoReader(output) as reader, VideoReader(source, end=end) as original:
        assert [frame.time for frame in reader] == [frame.time for frame in original]
    with av.open(str(output)) as one, av.open(str(source)) as other:
        sound = [(p.pts, bytes(p)) for p in one.demux(audio=0) if p.size]
        whole = [(p.pts, bytes(p)) for p in other.demux(audio=0) if p.size]
    assert sound == whole[: len(sound)]
    assert 20 < len(sound) < 30


@pytest.mark.shared
def test_sound_of_a_whole_film_is_copied(shared, tmp_path):
    """The complete audio stream, against one second of picture as a stand-in for the render."""
    source = shared / "data/film/tears_of_steel_360p.mp4"
    info = probe(source)
    encoder = encoder_for(source, tmp_path / "out.mp4", preset="ultrafast")
    path = tmp_path / "1.s"
    with VideoReader(source, end=Fraction(1)) as reader, SegmentWriter(path, encoder) as writer:
        for frame in reader:
            writer.write(frame.picture, frame.time)
    join([tmp_path / "1.s"], encoder, info, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as one, av.open(str(source)) as other:
        found = [(p.pts, bytes(p)) for p in one.demux(audio=0) if p.size]
        assert found == [(p.pts, bytes(p)) for p in other.demux(audio=0) if p.size]
