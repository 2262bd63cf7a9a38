"""Bad input: one sentence on stderr, a non-zero exit, no traceback, nothing half-written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest

import refrestore.cli as cli
from refrestore.config import tree_directory
from refrestore.evaluate.demo import CameraMove, CameraView, make_demo_film, portrait_photo
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures
from refrestore.media.stills import write_picture
from refrestore.project import Project


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys, monkeypatch) -> Run:
    """Run the command line in this process, exactly as the console script does."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["refrestore", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            cli.main()
        said = capsys.readouterr()
        code = exit_info.value.code
        return Ran(0 if code is None else int(code), said.out, said.err)

    return run


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    make_demo_film(
        path,
        moves=(CameraMove(CameraView(0.11, 0.37, 1), CameraView(0.13, 0.38, 1), 0.4),),
        size=(250, 186),
    )
    return path


def clouds(path: Path, count: int, size: tuple[int, int] = (64, 48)) -> Path:
    """Write a film without anybody in it."""
    random = np.random.default_rng(0)
    base = random.integers(90, 160, (size[1] // 4 + 1, size[0] // 4 + 1, 3), dtype=np.uint8)
    picture = np.kron(base, np.ones((4, 4, 1), np.uint8))[: size[1], : size[0]]
    pictures = (np.roll(picture, shift, axis=1) for shift in range(count))
    write_pictures(path, pictures, rate=Fraction(25), pixel_format="yuv444p")
    return path


def refused(result: Ran, *words: str) -> None:
    """Check that a refusal is one clear sentence."""
    assert result.code not in (0, None)
    lines = [line for line in result.err.splitlines() if line.strip()]
    assert len(lines) == 1, result.err
    assert lines[0].startswith("refrestore: ")
    assert "Traceback" not in result.err
    for word in words:
        assert word in lines[0], lines[0]


def empty(folder: Path, *but: str) -> bool:
    return {entry.name for entry in folder.iterdir()} <= set(but)


@pytest.mark.parametrize(
    ("name", "content"),
    [("text.mp4", b"this is no video\n" * 50), ("nothing.mp4", b""), ("zeros.mkv", bytes(4096))],
)
def test_not_a_video(run, tmp_path, name, content) -> None:
    (tmp_path / name).write_bytes(content)
    refused(run("run", tmp_path / name, "-o", tmp_path / "out.mp4"), name)
    refused(run("scan", tmp_path / name, "-p", tmp_path / "project"), name)
    assert empty(tmp_path, name)


def test_a_missing_video(run, tmp_path) -> None:
    refused(run("run", tmp_path / "gone.mp4", "-o", tmp_path / "out.mp4"), "gone.mp4")
    assert empty(tmp_path)


def test_sound_only(run, film, tmp_path) -> None:
    target = tmp_path / "sound.m4a"
    with av.open(str(film)) as source, av.open(str(target), "w", format="mp4") as output:
        stream = output.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    refused(run("run", target, "-o", tmp_path / "out.mp4"), "sound.m4a", "video stream")


def test_a_truncated_video_gives_what_is_there(run, tmp_path) -> None:
    whole, cut = clouds(tmp_path / "whole.mkv", 60, (320, 240)), tmp_path / "cut.mkv"
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 3])
    result = run("run", cut, "-o", tmp_path / "out.mkv")
    assert result.code == 0, result.err
    with VideoReader(cut) as source, VideoReader(tmp_path / "out.mkv") as output:
        there = len(list(source))
        assert there == len(list(output))
        assert 1 < there < 60


def test_no_faces_is_no_error(run, tmp_path) -> None:
    source = clouds(tmp_path / "clouds.mp4", 12)
    result = run("run", source, "-o", tmp_path / "out.mp4")
    assert result.code == 0, result.err
    assert "No faces were found" in result.out
    assert (tmp_path / "out.report.html").exists()


def test_one_frame_of_odd_size(run, tmp_path) -> None:
    source = clouds(tmp_path / "one.mkv", 1, (65, 49))
    output = tmp_path / "out.mkv"
    result = run("run", source, "-o", output)
    assert result.code == 0, result.err
    assert probe(output).geometry == probe(source).geometry


def faces_of(film: Path) -> list[np.ndarray]:
    with VideoReader(film) as reader:
        return [frame.picture.to_ndarray(format="rgb24") for frame in reader]


def test_one_frame_with_a_face(run, film, tmp_path) -> None:
    one = tmp_path / "one.mkv"
    write_pictures(one, faces_of(film)[:1], rate=Fraction(25))
    result = run("run", one, "-o", tmp_path / "out.mkv")
    assert result.code == 0, result.err
    assert "out.mkv: 1 frame, " in result.out
    assert "person 1: " in result.out
    with VideoReader(tmp_path / "out.mkv") as reader:
        assert len(list(reader)) == 1


def test_a_test_card_is_nobody_and_the_rest_of_the_tape_is_as_it_was(run, film, tmp_path) -> None:
    people = faces_of(film)
    height, width = people[0].shape[:2]
    tape = tmp_path / "tape.mkv"
    write_pictures(tape, [*bars(len(people), (width, height)), *people], rate=Fraction(25))
    result = run("scan", tape, "-p", tmp_path / "project")
    assert result.code == 0, result.err
    with Project.open(tmp_path / "project") as project:
        assert project.identities()
        assert min(track.first for track in project.tracks()) >= len(people)


def bars(count: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield SMPTE colour bars."""
    graph = av.filter.Graph()
    source = graph.add("smptebars", f"size={size[0]}x{size[1]}:rate=25")
    sink = graph.add("buffersink")
    source.link_to(sink)
    graph.configure()
    for _ in range(count):
        yield graph.pull().to_ndarray(format="rgb24")


def test_a_profile_of_somebody_who_is_not_in_the_film(run, film, tmp_path) -> None:
    profiles = tmp_path / "profiles"
    write_picture(tmp_path / "eileen.png", portrait_photo())
    built = run("profile", "build", "Eileen", "--photos", tmp_path / "eileen.png",
                "--profiles-dir", profiles)  # fmt: skip
    assert built.code == 0, built.err
    named = ("--profile", "Eileen", "--profiles-dir", profiles)
    result = run("run", film, "-o", tmp_path / "out.mp4", *named)
    assert result.code == 0, result.err
    assert "Nobody in the film was recognised as Eileen: the nearest is person " in result.out
    found = run("scan", film, "-p", tmp_path / "project", *named)
    assert "unknown (nearest Eileen)" in found.out
    refused(run("run", film, "-o", tmp_path / "no.mp4", "--profile", "Zoe",
                "--profiles-dir", profiles), "Zoe", "Eileen")  # fmt: skip
    assert not (tmp_path / "no.mp4").exists()


def test_a_part_after_the_end_is_refused_before_the_scan(run, film, tmp_path) -> None:
    for start in ("99", "500f"):
        result = run("run", film, "-o", tmp_path / "out.mp4", "--start", start)
        refused(result, film.name)
        assert result.code == 2
    refused(run("run", film, "-o", tmp_path / "out.mp4", "--start", "0.3", "--end", "0.2"), "after")
    assert empty(tmp_path)
    done = run("run", film, "-o", tmp_path / "out.mp4")
    assert done.code == 0, done.err
    again = run("run", film, "-o", tmp_path / "out2.mp4", "-p", tmp_path / "out.mp4.refrestore",
                "--start", "99")  # fmt: skip
    refused(again, "has nothing at 99 s")
    assert "go on with" not in again.err


def test_an_output_that_cannot_be_written(run, film, tmp_path) -> None:
    refused(run("run", film, "-o", tmp_path / "no" / "folder" / "out.mp4"), "folder")
    refused(run("run", film, "-o", "/proc/out.mp4"), "/proc")
    assert empty(tmp_path)


def test_an_output_equal_to_the_input(run, film, tmp_path) -> None:
    copy = tmp_path / "film.mp4"
    shutil.copy(film, copy)
    link = tmp_path / "link.mp4"
    link.symlink_to(copy)
    before = copy.read_bytes()
    for output in (copy, link):
        refused(run("run", copy, "-o", output), output.name, "is the input")
    assert copy.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--codec", "libx265x"], "libx265x"),
        (["--codec", "h264_nvenc"], "h264_nvenc"),
        (["--crf", "20", "--bitrate", "1M"], "bitrate"),
        (["--pix-fmt", "yuv999"], "yuv999"),
        (["--scale", "3"], "scale"),
    ],
)
def test_encoders_and_options_are_tried_before_the_first_frame(
    run, film, tmp_path, options, word
) -> None:
    refused(run("run", film, "-o", tmp_path / "out.mp4", *options), word)
    assert empty(tmp_path)


def test_an_unknown_container(run, film, tmp_path) -> None:
    refused(run("run", film, "-o", tmp_path / "out.xyz"), ".xyz")


def test_a_missing_model(run, film, tmp_path, monkeypatch) -> None:
    result = run("run", film, "-o", tmp_path / "out.mp4", "--pack", "full")
    refused(result, "refrestore models fetch full")
    assert empty(tmp_path)


def test_a_model_of_the_wrong_digest(run, film, tmp_path) -> None:
    models = tmp_path / "models"
    (models / "lite").mkdir(parents=True)
    name = "detector.onnx"
    damaged = bytearray((tree_directory("models") / "lite" / name).read_bytes())
    damaged[5000] ^= 1
    (models / "lite" / name).write_bytes(damaged)
    refused(run("scan", film, "-p", tmp_path / "p", "--models-dir", models), name, "SHA-256")


def test_a_project_of_another_video(run, film, tmp_path) -> None:
    other = clouds(tmp_path / "other.mp4", 5)
    assert run("scan", film, "-p", tmp_path / "project").code == 0
    refused(run("scan", other, "-p", tmp_path / "project"), "another video")
    refused(
        run("render", "-p", tmp_path / "project", "--video", other, "-o", tmp_path / "out.mp4"),
        "another video",
    )
    assert not (tmp_path / "out.mp4").exists()


def test_no_project(run, tmp_path) -> None:
    refused(run("render", "-p", tmp_path / "nothing", "-o", tmp_path / "out.mp4"), "nothing")
    refused(run("identities", "list", "-p", tmp_path / "nothing"), "nothing")
    assert empty(tmp_path)


def test_a_damaged_profile(run, film, tmp_path) -> None:
    profiles = tmp_path / "profiles"
    result = run("profile", "build", "Anna", "--video", film, "--profiles-dir", profiles)
    assert result.code == 0, result.err
    picture = sorted((profiles / "Anna" / "references").iterdir())[0]
    content = picture.read_bytes()
    picture.write_bytes(content[:-20] + b"x" * 20)
    arguments = ("run", film, "-o", tmp_path / "out.mp4", "--profile", "Anna")
    refused(run(*arguments, "--profiles-dir", profiles), picture.name)
    picture.unlink()
    refused(run(*arguments, "--profiles-dir", profiles), picture.name)
    refused(run(*arguments, "--profiles-dir", tmp_path / "none"), "Anna")
    assert not (tmp_path / "out.mp4").exists()


def test_a_picture_that_is_none(run, tmp_path) -> None:
    (tmp_path / "no.jpg").write_bytes(b"no picture")
    refused(
        run("image", tmp_path / "no.jpg", "--no-references", "-o", tmp_path / "o.png"), "no.jpg"
    )
    refused(run("image", tmp_path / "no.jpg", "-o", tmp_path / "o.png"), "--profile")
    assert empty(tmp_path, "no.jpg")


def test_a_full_disk(film, tmp_path) -> None:
    """On a real file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        (disk / "taken").write_bytes(os.urandom(980_000))
        result = subprocess.run(
            [sys.executable, "-m", "refrestore", "run", str(film), "-o", str(disk / "out.mp4"),
             "-p", str(tmp_path / "project"), "--scale", "2"],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        refused(Ran(result.returncode, result.stdout, result.stderr), "disk")
        assert not (disk / "out.mp4").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
