"""A tape is deinterlaced and cleaned once, for scan and render alike, and its project knows it."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from refrestore.cli import app
from refrestore.compare.pairs import presentation_times
from refrestore.config import EncoderSettings, RenderSettings, RuntimeSettings, ScanSettings
from refrestore.engine.local import render
from refrestore.engine.run import plan_outputs, run, scan_once
from refrestore.errors import ProjectError, UsageError
from refrestore.faces.network_id import NetworkId
from refrestore.media.planes import plane_views
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures
from refrestore.media.source import CUT_OFF, damage_notes, open_source
from refrestore.moment import FrameNumber
from refrestore.project import Project
from refrestore.project.opened_film import project_film
from refrestore.render.preview import Previewer
from refrestore.scan.scan import scan
from tests.analogue import write_tape

LOSSLESS = EncoderSettings(codec="ffv1")


@pytest.fixture(scope="module")
def tape(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tape") / "tape.mkv"
    return write_tape(path, "bottom", noise=4, frames=30, size=(256, 304))


def lumas(info) -> list[np.ndarray]:
    with VideoReader(info.path, info=info) as reader:
        return [plane_views(frame.picture)[0].copy() for frame in reader]


def same(one, other) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def test_a_render_shows_the_pictures_of_the_scan(tape, tmp_path) -> None:
    said: list[str] = []
    settings = ScanSettings(denoise="light")
    scan(tape, tmp_path / "project", settings=settings, runtime=RuntimeSettings(),
         announce=said.append)  # fmt: skip
    seen = lumas(open_source(tape, settings))
    assert not same(seen, lumas(probe(tape)))
    with Project.open(tmp_path / "project") as project:
        assert project.scan_info().treatment.top_first is False
        assert same(lumas(project_film(project)), seen)
        previewer = Previewer(project)
        (shown,) = previewer.stretch(Fraction(1), Fraction(0), RenderSettings())
        result = render(project, tmp_path / "out.mkv", encoder=LOSSLESS)
        # What was measured may be scanned again otherwise while a page has the film open.
        with project.begin_scan(ScanSettings(deinterlace="off")):
            pass
        assert not previewer.info.treatment.filters
    assert shown.faces == 0
    output = probe(result.output)
    assert not output.interlaced
    assert same(lumas(output), seen)
    deinterlaced, cleaned = said
    assert "combed, bottom field first): every picture is deinterlaced" in deinterlaced
    assert "Noise is taken from the whole frame" in cleaned
    assert [deinterlaced, cleaned] == json.loads(result.report.read_text())["notes"][:2]


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mxf"])
def test_fields_of_their_own_make_a_film_of_twice_the_rate(tape, tmp_path, suffix) -> None:
    """Scan, preview, render, comparison, a stop on the way and a second scan know one rate."""
    settings = ScanSettings(deinterlace="field")
    scan(tape, tmp_path / "project", settings=settings, runtime=RuntimeSettings())
    asked = open_source(tape, settings)
    seen = lumas(asked)
    assert len(seen) == 60 == asked.frames
    codec = EncoderSettings(codec="ffv1" if suffix == ".mkv" else "dnxhr")
    output = tmp_path / f"out{suffix}"
    with Project.open(tmp_path / "project") as project:
        assert (project.rate, project.video.rate) == (50, 25)
        info = project_film(project)
        assert info.average_rate == 50
        entries = project.entries()
        assert len(entries) == 60
        assert entries.before(31) == (31, info.start + Fraction(31, 50))
        (shown,) = Previewer(project).stretch(Fraction(31, 50), Fraction(0), RenderSettings())
        assert shown.faces == 0
        render(project, output, encoder=codec)
        part = tmp_path / "part.mkv"
        render(project, part, encoder=LOSSLESS,
               settings=RenderSettings(start=FrameNumber(31), end=FrameNumber(41)))  # fmt: skip
        assert same(lumas(probe(part)), seen[31:41])
        again = render(project, output, encoder=codec)
        assert again.output == output
        timeline = project.timeline()
        assert timeline.seconds(30) == pytest.approx(0.6)
    written = probe(output)
    assert (written.average_rate, written.interlaced) == (50, False)
    assert float(written.duration) == pytest.approx(1.2, abs=0.001)
    with VideoReader(output) as reader:
        times = [frame.time - written.start for frame in reader]
    assert max(abs(time - Fraction(at, 50)) for at, time in enumerate(times)) < 0.001
    assert len(times) == 60
    if suffix == ".mkv":
        assert same(lumas(written), seen)
    one = presentation_times(asked)
    assert len(one) == 60
    assert np.allclose(one - one[0], np.arange(60) / 50)
    with Project.open(tmp_path / "project") as project:
        with project.begin_scan(ScanSettings(deinterlace="off")):
            pass
        assert project.rate == project_film(project).average_rate == 25


def test_nobody_in_it_is_no_reason_to_copy_the_fields(tape, tmp_path) -> None:
    (result,) = run([tape], tmp_path / "out.mkv")
    assert not probe(result.output).interlaced
    (left,) = run([tape], tmp_path / "left.mkv", scan_settings=ScanSettings(deinterlace="off"))
    assert same(lumas(probe(left.output)), lumas(probe(tape)))
    assert "copied" in left.summary["notes"][0]


def test_a_scan_is_made_again_only_for_other_pictures(tape, tmp_path) -> None:
    (plan,) = plan_outputs([tape], tmp_path / "out.mkv", tmp_path / "project")

    def scanned(**settings) -> int:
        scan_once(plan, ScanSettings(**settings), RuntimeSettings(), NetworkId("", ""), None)
        with Project.open(plan.project) as project:
            return project.scan_id()

    first = scanned(deinterlace="off")
    assert scanned(deinterlace="off") == first
    assert scanned() > first  # measured interlaced
    assert scanned(deinterlace="frame") == scanned()
    last = scanned(denoise="light")
    assert scanned(denoise="strong") > last
    with Project.open(plan.project) as project, pytest.raises(ProjectError, match="another is"):
        project.check_stream(1)


def test_strong_denoising_is_of_eight_bits(tmp_path) -> None:
    film = write_tape(
        tmp_path / "deep.mkv", codec="ffv1", pixel_format="yuv422p10le", frames=3, size=(64, 48)
    )
    with pytest.raises(UsageError, match=r"strong takes films of 8 bits, and .* has 10"):
        scan(film, tmp_path / "p", settings=ScanSettings(denoise="strong"),
             runtime=RuntimeSettings())  # fmt: skip
    assert not (tmp_path / "p").exists()


def test_the_command_says_what_it_measured(tape, tmp_path) -> None:
    result = CliRunner().invoke(
        app, ["scan", str(tape), "-p", str(tmp_path / "p"), "--denoise", "light"]
    )
    assert result.exit_code == 0, result.output
    assert "tape.mkv is taken as interlaced" in result.output
    wrong = CliRunner().invoke(
        app, ["scan", str(tape), "-p", str(tmp_path / "q"), "--video-stream", "7"]
    )
    assert wrong.exit_code != 0
    assert "has no video stream 7: --video-stream takes 0" in f"{wrong.output}{wrong.exception}"
    assert not (tmp_path / "q").exists()


def test_damage_is_said(tmp_path) -> None:
    film = tmp_path / "film.avi"
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    write_pictures(film, [picture] * 12, rate=Fraction(25), codec="mjpeg", pixel_format="yuvj420p")
    with av.open(str(film)) as source:
        packets = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    content = film.read_bytes()
    for packet in packets[4:7]:
        at = content.index(packet)
        content = content[:at] + b"\xff" * len(packet) + content[at + len(packet) :]
    film.write_bytes(content)
    said: list[str] = []
    run([film], tmp_path / "out.mkv", announce=said.append)
    assert any("film.avi is damaged: 3 times the decoder met" in one for one in said)
    assert not any("damaged" in one for one in damage_notes(probe(film), CUT_OFF))
