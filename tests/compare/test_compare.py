"""Real small films: sizes, times, sound, shape, and what is refused before anything is written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import refrestore.cli as cli
from refrestore.compare.compare import compare
from refrestore.compare.layouts import label_height, line_at
from refrestore.config import EncoderSettings, ScanSettings
from refrestore.errors import DiskError, MediaError, ProjectError, UsageError
from refrestore.media.compose import compose
from refrestore.media.pixels import display_rgb
from refrestore.media.probe import VideoInfo, probe
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures
from refrestore.media.source import open_source
from refrestore.moment import FrameNumber
from refrestore.project import Project
from refrestore.scan.scan import video_source
from refrestore.types import ImageArray
from tests.analogue import write_tape

LOSSLESS = EncoderSettings(codec="ffv1")
RATE = Fraction(25)

Remake = Callable[..., Any]
Videos = Callable[[str], Path]


def frames_of(video: Path) -> list[ImageArray]:
    with VideoReader(video) as reader:
        return [display_rgb(frame) for frame in reader]


def times_of(video: Path) -> list[Fraction]:
    with VideoReader(video) as reader:
        return [frame.time for frame in reader]


def audio_of(video: Path) -> list[bytes]:
    with av.open(str(video)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def plain(path: Path, value: int, count: int, size: tuple[int, int] = (64, 48)) -> Path:
    """Write a film of one gray, a white bar in it that moves a pixel a frame."""

    def draw(number: int) -> ImageArray:
        picture = np.full((size[1], size[0], 3), value, np.uint8)
        picture[:, number % size[0]] = 255
        return picture

    pictures = (draw(number) for number in range(count))
    write_pictures(path, pictures, rate=RATE, codec="ffv1", pixel_format="yuv444p")
    return path


def middle(picture: ImageArray) -> int:
    return int(np.median(picture))


@pytest.mark.parametrize(
    "name", ["plain", "b_frames", "variable_rate", "gap", "starts_late", "sound_first", "one_frame"]
)
@pytest.mark.parametrize("mode", ["side", "split"])
def test_times_are_the_results_and_sound_the_sources(
    videos: Videos, remake: Remake, tmp_path: Path, name: str, mode: Any
) -> None:
    source, result = videos(name), tmp_path / "out.mkv"
    remake(source, result, scale=2, edit=lambda frame: compose(frame, [], scale=2))
    made = compare(source, result, tmp_path / "side.mkv", mode=mode, encoder=LOSSLESS)
    assert times_of(made.output) == times_of(result)
    assert audio_of(made.output) == audio_of(source)
    assert len(frames_of(made.output)) == made.frames
    assert sorted(entry.name for entry in tmp_path.glob(".*")) == []


def test_each_side_shows_its_film_at_the_size_of_the_result(tmp_path: Path) -> None:
    before = plain(tmp_path / "in.mkv", 60, 5)
    after = plain(tmp_path / "out.mkv", 180, 5, (128, 96))
    made = compare(before, after, tmp_path / "side.mkv", encoder=LOSSLESS)
    header = label_height(96)
    for picture in frames_of(made.output):
        left, right = picture[header:, :128], picture[header:, -128:]
        assert left.shape == right.shape == (96, 128, 3)
        assert abs(middle(left) - 60) <= 2
        assert abs(middle(right) - 180) <= 2
        assert picture[:header, :128].max() > 150, "there is no label"
    # The bar of the film before is as wide as two pixels now, and where it was.
    bar = np.flatnonzero(frames_of(made.output)[3][header + 40, :128, 0] > 140)
    assert set(bar) == {6, 7}


def test_the_line_moves_and_parts_before_from_after(tmp_path: Path) -> None:
    before, after = (
        plain(tmp_path / "in.mkv", 60, 60, (160, 120)),
        plain(tmp_path / "out.mkv", 180, 60, (160, 120)),
    )
    made = compare(before, after, tmp_path / "split.mkv", mode="split", encoder=LOSSLESS)
    assert (made.width, made.height) == (160, 120)
    for number, picture in enumerate(frames_of(made.output)):
        line = line_at(number / 25, 160)
        assert abs(middle(picture[60:, : line - 2]) - 60) <= 2
        assert abs(middle(picture[60:, line + 2 :]) - 180) <= 2
        assert picture[80, line].min() > 230
    places = [line_at(seconds, 160) for seconds in np.arange(0, 10, 0.04)]
    assert min(places) > 0
    assert max(places) < 160
    assert max(places) - min(places) > 120
    assert np.abs(np.diff(places)).max() <= 3, "the line jumps"


@pytest.mark.parametrize("name", ["aspect", "rotated_90", "rotated_180", "rotated_270"])
def test_pictures_are_upright_with_their_display_aspect(
    videos: Videos, remake: Remake, tmp_path: Path, name: str
) -> None:
    source, result = videos(name), tmp_path / f"out{videos(name).suffix}"
    codec = "libx264" if source.suffix == ".mov" else "ffv1"
    remake(source, result, codec=codec)
    made = compare(source, result, tmp_path / "side.mkv", encoder=LOSSLESS)
    geometry = probe(made.output).geometry
    assert (geometry.sample_aspect, geometry.rotation) == (1, 0)
    width, height = probe(source).geometry.display_size
    header = label_height(height)
    for shown, wanted in zip(frames_of(made.output), frames_of(source), strict=True):
        one = shown[header : header + height, :width].astype(int)
        # The comparison is 4:2:0; brightness says which way up it is.
        assert np.abs(one.mean(2) - wanted.astype(int).mean(2)).mean() < 6


def test_a_part_that_was_rendered_alone(videos: Videos, remake: Remake, tmp_path: Path) -> None:
    source, result = videos("starts_late"), tmp_path / "part.mp4"
    start, end = times_of(source)[3], times_of(source)[9]
    remake(source, result, codec="libx264", start=start, end=end)
    typed = {"start": FrameNumber(3), "end": end - times_of(source)[0]}
    made = compare(source, result, tmp_path / "side.mkv", **typed, encoder=LOSSLESS)
    assert made.frames == 6
    assert times_of(made.output)[0] == 0
    width, height = probe(source).geometry.display_size
    header = label_height(height)
    for shown, wanted in zip(frames_of(made.output), frames_of(source)[3:9], strict=True):
        one = shown[header : header + height, :width].astype(int)
        assert np.abs(one.mean(2) - wanted.astype(int).mean(2)).mean() < 6
    with pytest.raises(MediaError, match="not of one length"):
        compare(source, result, tmp_path / "other.mkv")
    assert not (tmp_path / "other.mkv").exists()


def test_a_part_of_two_whole_films(tmp_path: Path) -> None:
    before, after = (
        plain(tmp_path / "in.mkv", 60, 30),
        plain(tmp_path / "out.mkv", 180, 30),
    )
    start, end = Fraction(4, 25), Fraction(10, 25)
    made = compare(before, after, tmp_path / "side.mkv", start=start, end=end, encoder=LOSSLESS)
    assert made.frames == 6
    header = label_height(48)
    bars = [
        int(np.argmax(picture[header + 20, side : side + 64].sum(1)))
        for picture in frames_of(made.output)
        for side in (0, picture.shape[1] - 64)
    ]
    assert bars == [number for number in range(4, 10) for _ in (0, 1)]


def test_wide_colours_keep_their_tags(videos: Videos, remake: Remake, tmp_path: Path) -> None:
    source, result = videos("ten_bit_hdr"), tmp_path / "out.mkv"
    remake(source, result)
    made = compare(source, result, tmp_path / "side.mkv", encoder=LOSSLESS)
    told = probe(made.output)
    assert (told.color.primaries, told.color.transfer, told.color.matrix) == (9, 16, 9)
    width, height = probe(source).geometry.display_size
    header = label_height(height)
    for shown, wanted in zip(frames_of(made.output), frames_of(source), strict=True):
        one = shown[header : header + height, :width].astype(int)
        assert np.abs(one.mean(2) - wanted.astype(int).mean(2)).mean() < 6


def refusal(folder: Path, *arguments: Any, **options: Any) -> str:
    kept = sorted(folder.iterdir())
    with pytest.raises((UsageError, MediaError, DiskError, ProjectError)) as caught:
        compare(*arguments, **options)
    assert sorted(folder.iterdir()) == kept, "something was written"
    return str(caught.value)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    before = plain(tmp_path / "in.mkv", 60, 30)
    short = plain(tmp_path / "short.mkv", 180, 20)
    tall = plain(tmp_path / "tall.mkv", 180, 30, (48, 64))
    after = plain(tmp_path / "out.mkv", 180, 30)
    text = tmp_path / "text.mkv"
    text.write_text("no film " * 99)
    side = tmp_path / "side.mkv"
    assert "not of one length" in refusal(tmp_path, before, short, side)
    assert "another shape" in refusal(tmp_path, before, tall, side)
    assert "text.mkv" in refusal(tmp_path, before, text, side)
    assert "gone.mkv" in refusal(tmp_path, before, tmp_path / "gone.mkv", side)
    assert "given twice" in refusal(tmp_path, before, before, side)
    assert "exists already" in refusal(tmp_path, before, after, short)
    assert "no folder" in refusal(tmp_path, before, after, tmp_path / "no" / "side.mkv")
    assert "ends in" in refusal(tmp_path, before, after, tmp_path / "side.avi")
    assert "1.20 s long" in refusal(tmp_path, before, after, side, start=Fraction(50))
    for mode in ("side", "faces"):
        nowhere = refusal(tmp_path, before, after, side, project=tmp_path / "p", mode=mode)
        assert "no project" in nowhere


def test_before_is_what_the_scan_made_of_the_source(tmp_path: Path) -> None:
    """A deinterlaced film is compared deinterlaced, of the stream that the project took."""
    tape = write_tape(tmp_path / "tape.mkv", "top")
    for asked in (ScanSettings(), ScanSettings(deinterlace="off")):
        info, folder = open_source(tape, asked), tmp_path / asked.deinterlace
        assert (info.treatment.deinterlace != "off") == (asked.deinterlace == "auto")
        with (
            Project.create(folder, video_source(info)) as project,
            project.begin_scan(asked, treatment=info.treatment),
        ):
            pass
        made = compare(
            tape, tape_of(info, tmp_path / f"{asked.deinterlace}.mkv"),
            tmp_path / f"side-{asked.deinterlace}.mkv", project=folder, encoder=LOSSLESS,
        )  # fmt: skip
        alike(made.output, info)
    measured = compare(tape, tmp_path / "auto.mkv", tmp_path / "measured.mkv", encoder=LOSSLESS)
    alike(measured.output, open_source(tape, ScanSettings()))


def tape_of(info: VideoInfo, path: Path) -> Path:
    """Write a film's pictures as they are read, once, as a render that restores nobody does."""
    with VideoReader(info.path, info=info) as reader:
        write_pictures(path, map(display_rgb, reader), rate=RATE, codec="ffv1")
    return path


def alike(side: Path, info: VideoInfo) -> None:
    """Check that the left half shows a film's pictures as they are read."""
    with VideoReader(info.path, info=info) as reader:
        wanted = [display_rgb(frame) for frame in reader]
    height, width = wanted[0].shape[:2]
    header = label_height(height)
    for shown, picture in zip(frames_of(side), wanted, strict=True):
        left = shown[header : header + height, :width]
        assert np.abs(left.astype(int) - picture).mean() < 2


def test_the_stream_of_a_multiplex_is_the_projects(tmp_path: Path) -> None:
    both = tmp_path / "both.ts"
    with av.open(str(both), "w") as output:
        films: list[Any] = [output.add_stream("mpeg2video", rate=RATE) for _ in range(2)]
        for film in films:
            film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        for number in range(30):
            for film, value in zip(films, (60, 180), strict=True):
                gray = np.full((48, 64, 3), value, np.uint8)
                picture = av.VideoFrame.from_ndarray(gray, "rgb24").reformat(format="yuv420p")
                picture.pts, picture.time_base = number, 1 / RATE
                output.mux(film.encode(picture))
        for film in films:
            output.mux(film.encode())
    asked = ScanSettings(video_stream=1)
    info = open_source(both, asked)
    with (
        Project.create(tmp_path / "project", video_source(info)) as project,
        project.begin_scan(asked, treatment=info.treatment),
    ):
        pass
    after = plain(tmp_path / "out.mkv", 180, 30)
    made = compare(both, after, tmp_path / "side.mkv", project=tmp_path / "project")
    assert middle(frames_of(made.output)[3][20:, :64]) > 150


def test_a_film_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    """The picture's size changes halfway, which only decoding tells."""
    before = plain(tmp_path / "in.mkv", 60, 30)
    first, second = plain(tmp_path / "a.mkv", 99, 15), plain(tmp_path / "b.mkv", 99, 15, (96, 72))
    broken = tmp_path / "broken.ts"
    parts = []
    for part in (first, second):
        coded = part.with_suffix(".m2v")
        pictures = frames_of(part)
        write_pictures(coded, pictures, rate=RATE, codec="mpeg2video", container="mpeg2video")
        parts.append(coded.read_bytes())
    broken.write_bytes(b"".join(parts))
    if abs(len(times_of_packets(broken)) - 30) > 2:
        pytest.skip("this libav does not read joined elementary streams")
    said = refusal(tmp_path, before, broken, tmp_path / "side.mkv")
    assert "size" in said


def times_of_packets(video: Path) -> list[float]:
    from refrestore.compare.pairs import presentation_times

    return list(presentation_times(probe(video)))


def test_the_command_says_what_it_made(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = plain(tmp_path / "in.mkv", 60, 4), plain(tmp_path / "out.mkv", 180, 4)
    side = tmp_path / "side.mp4"
    arguments = ["refrestore", "compare", str(before), str(after), "-o", str(side), "--json"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as exit_info:
        cli.main()
    assert exit_info.value.code in (0, None)
    assert '"frames": 4' in capsys.readouterr().out
    with pytest.raises(SystemExit) as exit_info:
        cli.main()
    assert exit_info.value.code == UsageError.exit_code
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "exists already" in said[0]
