"""What is typed and what is shown count from the film's first frame, wherever a file begins."""

from __future__ import annotations

import json
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

import refrestore.cli as cli
from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.project import Project
from refrestore.scan.scan import scan
from refrestore.types import Shot

TICKS = (170, 174, 178, 182, 190, 210, 214, 218, 222, 226)
"""Hundredths of a second at which the pictures are shown: late, and not evenly."""


@pytest.fixture
def run(capsys, monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["refrestore", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            cli.main()
        said = capsys.readouterr()
        return exit_info.value.code or 0, said.out, said.err

    return run


@pytest.fixture(scope="module")
def late(tmp_path_factory):
    """A film that begins at 1.7 s, and its project as a scan leaves it."""
    folder = tmp_path_factory.mktemp("late")
    path = folder / "late.mkv"
    with av.open(str(path), "w") as output:
        film = output.add_stream("ffv1", rate=25)
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        film.codec_context.time_base = Fraction(1, 100)
        for number, tick in enumerate(TICKS):
            grey = np.full((48, 64, 3), 20 * number, np.uint8)
            picture = av.VideoFrame.from_ndarray(grey)
            picture.pts, picture.time_base = tick, Fraction(1, 100)
            output.mux(film.encode(picture))
        output.mux(film.encode(None))
    scan(path, folder / "p", settings=ScanSettings(), runtime=RuntimeSettings())
    return path


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (("--start", "3f", "--end", "6f"), slice(3, 6)),
        (("--start", "0.1", "--end", "0:00:00.4"), slice(3, 5)),
        (("--end", "0.2"), slice(0, 4)),
    ],
)
def test_a_part_is_what_was_typed(run, late, tmp_path, typed, shown):
    output = tmp_path / "part.mkv"
    code, _, said = run(
        *("render", "-p", late.parent / "p", "-o", output, "--codec", "ffv1", *typed)
    )
    assert code == 0, said
    ticks = TICKS[shown]
    zero = ticks[0] if "--start" in typed else 0
    with VideoReader(output) as reader:
        frames = list(reader)
    assert [frame.time for frame in frames] == [Fraction(tick - zero, 100) for tick in ticks]
    # Which pictures they are, their brightness says.
    levels = [frame.picture.to_ndarray(format="gray").mean() for frame in frames]
    with VideoReader(late) as reader:
        wanted = [frame.picture.to_ndarray(format="gray").mean() for frame in reader][shown]
    assert levels == wanted


def test_a_preview_is_of_the_frame_that_was_typed(run, late, tmp_path):
    arguments = ("preview", "-p", late.parent / "p", "-o", tmp_path, "--json", "--at")
    code, said, _ = run(*arguments, "5f")
    assert (code, json.loads(said)["time"]) == (0, 0.4)
    code, said, _ = run(*arguments, "0.2")
    assert (code, json.loads(said)["time"]) == (0, 0.2)
    code, _, said = run(*arguments, "10f")
    assert code == 2
    assert "has no frame 10f: they are numbered 0f to 9f." in said
    code, _, said = run(*arguments, "10:00:00:00")
    assert code == 2
    assert "carries no timecode" in said


def test_what_is_shown_can_be_typed(late):
    with Project.open(late.parent / "p") as project:
        assert project.shots()[0] == Shot(0, 0, 10, Fraction(17, 10))
        timeline = project.timeline()
    assert timeline.cuts == [0]
    assert timeline.seconds(0) == 0
    assert probe(late).start == Fraction(17, 10)
    assert timeline.seconds(10) == pytest.approx(0.6, abs=0.05)
