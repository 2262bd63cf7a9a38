from __future__ import annotations

import threading
import time
import zipfile
from fractions import Fraction

import av
import numpy as np
import pytest

from refrestore.compare.pairs import presentation_times
from refrestore.errors import MediaError
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures


def decode_threads():
    return [thread for thread in threading.enumerate() if thread.name == "decode"]


@pytest.mark.parametrize(
    ("start", "end", "indices"),
    [
        (None, None, range(12)),
        (Fraction(2, 25), None, range(2, 12)),
        (Fraction(2, 25) + Fraction(1, 1000), Fraction(5, 25), range(3, 5)),
        (None, Fraction(5, 25), range(5)),
        (Fraction(100), None, range(0)),
    ],
)
def test_range_keeps_indices_of_the_whole_video(videos, start, end, indices):
    with VideoReader(videos("b_frames"), start=start, end=end) as reader:
        frames = list(reader)
    assert [frame.index for frame in frames] == list(indices)
    assert [frame.time for frame in frames] == [Fraction(index, 25) for index in indices]


def test_leaving_early_ends_the_thread(videos):
    with VideoReader(videos("plain"), queue=1) as reader:
        assert next(reader).index == 0
        assert decode_threads()
    assert not decode_threads()
    with pytest.raises(StopIteration):
        next(reader)


def test_queue_is_bounded(videos):
    with VideoReader(videos("plain"), queue=2) as reader:
        next(reader)
        time.sleep(0.05)
        assert reader._queue.qsize() <= 2


def test_errors_of_the_thread_reach_the_consumer(videos, tmp_path):
    path = tmp_path / "gone.mp4"
    path.write_bytes(videos("plain").read_bytes())
    reader = VideoReader(path)
    path.unlink()
    with pytest.raises(MediaError, match="no file"), reader:
        next(reader)
    assert not decode_threads()


@pytest.mark.parametrize("share", [0.75, 0.9])
@pytest.mark.parametrize("name", ["plain", "odd", "transport_stream", "b_frames"])
def test_truncated_file_gives_what_is_there(videos, tmp_path, name, share):
    whole = videos(name)
    data = whole.read_bytes()
    path = tmp_path / f"short{whole.suffix}"
    if whole.suffix == ".mp4":  # header first, or a truncated file has none
        with (
            av.open(str(whole)) as source,
            av.open(str(path), "w", container_options={"movflags": "faststart"}) as output,
        ):
            stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
        data = path.read_bytes()
    payload = max(0, data.find(b"mdat"))
    path.write_bytes(data[: payload + int((len(data) - payload) * share)])
    with VideoReader(path) as reader:
        times = [frame.time for frame in reader]
    assert 0 < len(times) <= 12
    assert times == sorted(set(times))


def test_corrupt_packets_are_counted_and_passed_over(videos, tmp_path):
    data = bytearray(videos("mjpeg").read_bytes())
    with av.open(str(videos("mjpeg"))) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
        payload = bytes(packets[5])
    where = bytes(data).index(payload)
    data[where : where + len(payload)] = b"\xff" * len(payload)
    path = tmp_path / "corrupt.mov"
    path.write_bytes(bytes(data))
    with VideoReader(path) as reader:
        frames = list(reader)
    assert reader.decode_failures > 0
    assert len(frames) >= 11
    assert frames[-1].time == Fraction(11, 25)


def test_decoder_is_deterministic(videos, samples):
    runs = []
    for _ in range(2):
        with VideoReader(videos("b_frames")) as reader:
            runs.append([b"".join(p.tobytes() for p in samples(f.picture)) for f in reader])
    assert runs[0] == runs[1]


def test_what_is_no_video(tmp_path, videos):
    missing, folder, empty = tmp_path / "none.mp4", tmp_path, tmp_path / "empty.mp4"
    text, headless = tmp_path / "text.mp4", tmp_path / "headless.mp4"
    empty.touch()
    text.write_text("This is not a video, whatever its name says.\n" * 50)
    headless.write_bytes(videos("plain").read_bytes()[:900])
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame("s16", "mono", 800)
        frame.sample_rate = 8000
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    for path, words in [
        (missing, "no file"),
        (folder, "not a file"),
        (empty, "empty"),
        (text, "not a video"),
        (headless, "not a video"),
        (sound, "no video stream"),
    ]:
        with pytest.raises(MediaError, match=words) as error:
            probe(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_fingerprint_tells_contents_apart(videos, tmp_path):
    first = probe(videos("plain"))
    same = tmp_path / "renamed.mp4"
    same.write_bytes(videos("plain").read_bytes())
    assert probe(same).fingerprint == first.fingerprint
    assert probe(videos("gap")).fingerprint != first.fingerprint


@pytest.mark.shared
def test_film_that_starts_late(shared):
    with VideoReader(shared / "data/film/tears_of_steel_720p.mp4", end=Fraction(21)) as reader:
        frames = list(reader)
    assert reader.info.start == frames[0].time == 20
    assert reader.info.geometry.sample_aspect == Fraction(27, 20)
    assert reader.info.frames == 541
    assert [frame.time for frame in frames] == [20 + Fraction(n, 30) for n in range(30)]


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(120)])
@pytest.mark.parametrize(
    ("codec", "early"), [("libx264", 50), ("libx264", 1), ("mpeg4", 50), ("mpeg4", 5)]
)
def test_pictures_before_the_first_time_are_counted_back_from_it(tmp_path, rate, codec, early):
    """Of times before 0 libav tells nothing where Matroska holds H.264."""
    path = tmp_path / "early.mkv"
    with av.open(str(path), "w", container_options={"avoid_negative_ts": "disabled"}) as output:
        film = output.add_stream(codec, rate=rate, options={"bf": "2"})
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        for number in range(-early, 30):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90 + number, np.uint8))
            picture.pts, picture.time_base = number, 1 / rate
            output.mux(film.encode(picture))
        output.mux(film.encode(None))
    info = probe(path)
    with VideoReader(path) as reader:
        times = [frame.time for frame in reader]
    assert len(times) == early + 30
    assert info.start == times[0]
    wrong = [abs(time - number / rate) for number, time in enumerate(times, -early)]
    assert max(wrong) <= Fraction(1, 1000)  # Matroska's unit
    with VideoReader(path, enter=(early + 20, times[early + 20])) as reader:
        assert [frame.time for frame in reader][-10:] == times[-10:]
    assert np.abs(presentation_times(info) - [float(time) for time in times]).max() <= 1e-3


def test_an_elementary_stream_counts_from_zero(tmp_path):
    path = tmp_path / "film.h264"
    pictures = (np.full((32, 32, 3), number, np.uint8) for number in range(12))
    write_pictures(path, pictures, rate=Fraction(25), options={"bf": "2"})
    with VideoReader(path) as reader:
        assert [frame.time for frame in reader] == [Fraction(n, 25) for n in range(12)]


ENTERED = {
    "closed.mp4": ("libx264", {"g": "24", "bf": "3"}),
    "open.mkv": ("libx264", {"g": "24", "bf": "3", "x264-params": "open-gop=1:keyint=24"}),
    "open.ts": ("libx264", {"g": "24", "bf": "3", "x264-params": "open-gop=1:keyint=24"}),
    "refresh.mp4": ("libx264", {"g": "24", "x264-params": "intra-refresh=1:bframes=0"}),
    "hevc.mp4": ("libx265", {"x265-params": "keyint=24:bframes=4:open-gop=1:log-level=none"}),
    "old.mpg": ("mpeg2video", {"g": "12", "bf": "2", "b": "2000000"}),
    "old.avi": ("mpeg4", {"g": "24", "bf": "2"}),
    "vp9.webm": ("libvpx-vp9", {"g": "24", "cpu-used": "8", "auto-alt-ref": "1"}),
}


@pytest.fixture(params=list(ENTERED))
def long_film(request, tmp_path):
    codec, options = ENTERED[request.param]
    path = tmp_path / request.param
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 255, (64, 96, 3), np.uint8)
    pictures = (np.roll(noise, 2 * number, axis=1) // (1 + number % 3) for number in range(120))
    write_pictures(path, pictures, rate=Fraction(25), codec=codec, options=options)
    return path


def seen(frames):
    return [(f.index, f.time, f.picture.to_ndarray(format="rgb24").tobytes()) for f in frames]


def test_entering_gives_the_frames_that_reading_from_the_start_gives(long_film):
    with VideoReader(long_film) as reader:
        every = seen(reader)
    assert len(every) == 120
    for index in (1, 23, 47, 48, 49, 60, 90, 119):
        with VideoReader(long_film, enter=(index, every[index][1])) as reader:
            entered = seen(reader)
        assert entered[-(120 - index) :] == every[index:]
        assert len(entered) in (120 - index, 120)


def test_entering_a_film_that_keeps_its_word_decodes_less(tmp_path):
    path = tmp_path / "film.mp4"
    pictures = (np.full((32, 32, 3), number, np.uint8) for number in range(100))
    write_pictures(path, pictures, rate=Fraction(25), options={"g": "10"})
    with VideoReader(path, enter=(70, Fraction(70, 25))) as reader:
        assert [frame.index for frame in reader] == list(range(70, 100))


@pytest.mark.parametrize("enter", [(70, Fraction(70, 25) + Fraction(1, 1000)), (70, Fraction(99))])
def test_a_wrong_word_is_not_believed(tmp_path, enter):
    path = tmp_path / "film.mp4"
    pictures = (np.full((32, 32, 3), number, np.uint8) for number in range(100))
    write_pictures(path, pictures, rate=Fraction(25), options={"g": "10"})
    with VideoReader(path, enter=enter) as reader:
        assert [frame.index for frame in reader] == list(range(100))


def test_pictures_larger_than_any_level_are_refused(tmp_path):
    path = tmp_path / "huge.mp4"
    pictures = [np.zeros((4608, 8192, 3), np.uint8)]
    write_pictures(path, pictures, rate=Fraction(25), options={"preset": "ultrafast"})
    with pytest.raises(MediaError, match="8192x4608, more than 35 megapixels"):
        probe(path)


def test_photos_in_a_folder_and_frames_in_an_archive_are_told_what_to_become(tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "portrait.png").write_bytes(b"picture")
    with zipfile.ZipFile(tmp_path / "frames.zip", "w") as archive:
        archive.write(tmp_path / "frames" / "portrait.png")
    with pytest.raises(MediaError, match=r"is a folder, without .* `refrestore image`"):
        probe(tmp_path / "frames")
    with pytest.raises(MediaError, match=r"frames\.zip is a zip archive.*: unpack it first"):
        probe(tmp_path / "frames.zip")
