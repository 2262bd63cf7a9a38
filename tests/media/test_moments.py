"""Times that people type: from the first frame on, by frame, by the film's own timecode."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrestore.config import RenderSettings
from refrestore.errors import UsageError
from refrestore.media.moments import FilmPart, resolve_moment, resolve_part
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.moment import FrameNumber, Timecode, parse_moment
from refrestore.types import Shot


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("75.5", Fraction(151, 2)),
        ("1:15", Fraction(75)),
        ("0:01:15.5", Fraction(151, 2)),
        (" 0 ", Fraction(0)),
        ("123f", FrameNumber(123)),
        ("10:00:03:12", Timecode(10, 0, 3, 12)),
        ("10:00:03;12", Timecode(10, 0, 3, 12, drop=True)),
    ],
)
def test_what_is_typed(text, moment):
    assert parse_moment(text) == moment
    assert RenderSettings(start=text).start == moment
    if not isinstance(moment, Fraction):
        assert str(moment) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1:2:3:4:5",
        "1:-2",
        "f",
        "-3f",
        "1.5f",
        "1/0",
        "10:60:00:00",
        "1e9999999",
        "9" * 99,
    ],
)
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match="is no time"):
        parse_moment(text)


@pytest.mark.parametrize(("rate", "drop"), [(25, False), (30, True), (60, True), (24, False)])
@given(minutes=st.integers(0, 1438), seconds=st.integers(0, 59), frames=st.integers(0, 59))
def test_a_timecode_counts_every_frame_once(rate, drop, minutes, seconds, frames):
    """Of drop-frame timecode each tenth minute is whole: 17,982 numbers in ten at 29.97."""
    hours, minute = divmod(minutes, 60)
    following = Timecode((minutes + 1) // 60, (minutes + 1) % 60, 0, 2 * rate // 30 * drop)
    if drop and (minutes + 1) % 10 == 0:
        following = Timecode(following.hours, following.minutes, 0, 0)
    last = Timecode(hours, minute, 59, rate - 1).count(rate, drop=drop)
    assert following.count(rate, drop=drop) == last + 1
    if frames + 1 < rate and not (drop and seconds == 0 and frames < 2 * rate // 30):
        one = Timecode(hours, minute, seconds, frames).count(rate, drop=drop)
        assert Timecode(hours, minute, seconds, frames + 1).count(rate, drop=drop) == one + 1
    assert Timecode(1, 0, 0, 0).count(30, drop=True) == 107892


@pytest.mark.parametrize("name", ["variable_rate", "starts_late", "before_zero", "gap", "plain"])
def test_moments_count_from_the_first_frame(name, videos):
    info = probe(videos(name))
    with VideoReader(info.path) as reader:
        times = [frame.time for frame in reader]
    for index in (0, 1, 4, len(times) - 1):
        assert resolve_moment(FrameNumber(index), info) == times[index]
        assert resolve_moment(times[index] - times[0], info) == times[index]
    part = resolve_part(FrameNumber(2), FrameNumber(5), info)
    with VideoReader(info.path, start=part.start, end=part.end) as reader:
        assert [frame.index for frame in reader] == [2, 3, 4]
    assert resolve_part(None, Fraction(1, 5), info).end == times[0] + Fraction(1, 5)
    assert resolve_part(Fraction(0), FrameNumber(10**6), info) == FilmPart(times[0], None)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (Fraction(-1), None, "nothing at -1 s: times count from its first frame, and it is 0.48 s"),
        (Fraction(9), None, "nothing at 9 s"),
        (FrameNumber(12), None, "nothing at frame 12"),
        (Fraction(1, 5), Fraction(1, 5), "0.2 s is not after 0.2 s"),
        (None, Fraction(0), "0 s is not after the film's first frame"),
        (None, FrameNumber(0), "frame 0 is not after the film's first frame"),
        (Timecode(10, 0, 0, 0), None, "carries no timecode"),
    ],
)
def test_a_moment_that_is_not_in_the_film_is_one_sentence(start, end, words, videos):
    with pytest.raises(UsageError) as error:
        resolve_part(start, end, probe(videos("starts_late")))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_scan_knows_how_many_frames_there_are(videos):
    shots = [Shot(0, 0, 5, Fraction(20)), Shot(1, 5, 12, 20 + Fraction(1, 5))]
    info = probe(videos("starts_late"))
    assert resolve_moment(FrameNumber(7), info, shots) == 20 + Fraction(7, 25)
    with pytest.raises(UsageError, match="numbered 0f to 11f"):
        resolve_moment(FrameNumber(12), info, shots)


def coded(path, rate, timecode, count=12):
    with av.open(str(path), "w") as output:
        film = output.add_stream("mpeg4", rate=rate)
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        film.metadata["timecode"] = timecode
        for number in range(count):
            picture = av.VideoFrame(64, 48, "yuv420p")
            picture.pts, picture.time_base = number, 1 / rate
            output.mux(film.encode(picture))
        output.mux(film.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_a_films_own_timecode(suffix, tmp_path):
    info = probe(coded(tmp_path / f"film{suffix}", Fraction(25), "10:00:03:20"))
    assert info.timecode == Timecode(10, 0, 3, 20)
    assert resolve_moment(Timecode(10, 0, 4, 3), info) == Fraction(8, 25)
    with pytest.raises(UsageError, match="begins at 10:00:03:20, and it is 0"):
        resolve_moment(Timecode(9, 59, 59, 0), info)
    with pytest.raises(UsageError, match="no timecode 10:00:04:25 at 25 frames"):
        resolve_moment(Timecode(10, 0, 4, 25), info)
    with pytest.raises(UsageError, match="nothing at 11:00:00:00"):
        resolve_moment(Timecode(11, 0, 0, 0), info)


def test_drop_frame_timecode_past_midnight(tmp_path):
    rate = Fraction(30000, 1001)
    info = probe(coded(tmp_path / "film.mov", rate, "23:59:59;25"))
    assert info.timecode == Timecode(23, 59, 59, 25, drop=True)
    assert resolve_moment(Timecode(0, 0, 0, 1), info) == 6 / rate
