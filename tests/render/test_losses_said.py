"""What a render says before its first frame, and a film in which nothing is restored."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from refrestore import cli
from refrestore.cli.run import counted_faces
from refrestore.config import (
    EncoderSettings,
    ExportSettings,
    RenderSettings,
    RuntimeSettings,
    ScanSettings,
)
from refrestore.engine.local import render
from refrestore.engine.run import run
from refrestore.project import Project
from refrestore.render.output_film import COPIED
from refrestore.scan.scan import scan

from .conftest import FAR_PART, LOSSLESS


def packets(path: Path, kind: str) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        stream = next(iter(getattr(container.streams, kind)))
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


@pytest.fixture
def nobody(project: Project) -> Project:
    """Return a project in which everybody is ignored."""
    for identity in project.identities():
        project.set_state(identity.id, "ignore")
    return project


def test_a_film_in_which_nothing_is_restored_is_copied(scanned, nobody, tmp_path) -> None:
    output, said, frames = tmp_path / "out.mp4", [], []
    result = render(
        nobody, output, announce=said.append, watch=frames.append, runtime=RuntimeSettings()
    )
    assert packets(output, "video") == packets(scanned.film, "video")
    assert packets(output, "audio") == packets(scanned.film, "audio")
    assert frames == [], "frames were rendered"
    assert said == [COPIED]
    assert result.summary["notes"][0] == COPIED
    assert result.summary["output"]["codec"] == "copy"
    assert result.summary["frames"] == len(packets(scanned.film, "video"))
    assert "the film stream was copied, not encoded" in result.page.read_text()
    assert {path.name for path in tmp_path.iterdir()} == {
        "project", "out.mp4", "out.report.json", "out.report.html"
    }  # fmt: skip


def test_a_film_is_copied_after_its_faces_were_exported(scanned, nobody, tmp_path) -> None:
    """Whether a face is restored may be known only when all frames were seen."""
    output, frames, said = tmp_path / "out.mp4", [], []
    export = ExportSettings(folder=tmp_path / "faces")
    result = render(nobody, output, export=export, watch=frames.append, announce=said.append)
    assert frames
    assert packets(output, "video") == packets(scanned.film, "video")
    assert said == [COPIED] == result.summary["notes"][:1]


def test_what_was_asked_for_is_done_all_the_same(scanned, nobody, tmp_path) -> None:
    output = tmp_path / "out.mp4"
    result = render(nobody, output, encoder=EncoderSettings(codec="libx264"))
    assert packets(output, "video") != packets(scanned.film, "video")
    assert COPIED not in result.summary["notes"]
    assert not any("is the source" in note for note in result.summary["notes"])


def test_a_container_that_does_not_take_the_film_is_said(nobody, scanned, tmp_path) -> None:
    said = []
    video = tmp_path / "film.mov"
    make_png_film(video)
    scan(video, tmp_path / "other", settings=ScanSettings(), runtime=RuntimeSettings())
    with Project.open(tmp_path / "other") as opened:
        result = render(opened, tmp_path / "out.mp4", announce=said.append)
    assert any("encoded again" in note and "mp4" in note for note in said)
    assert any("RGB becomes YUV" in note for note in said)
    assert said == result.summary["notes"][: len(said)]


def make_png_film(path: Path) -> None:
    """Write RGB pictures without a face, with alpha, in a codec that MP4 does not take."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("qtrle", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "argb"
        for number in range(4):
            pixels = np.full((64, 96, 4), 40 * number, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "argb")))
        output.mux(stream.encode())


def test_notes_come_before_the_first_frame(scanned, tmp_path) -> None:
    order: list[str] = []
    with Project.open(scanned.project) as opened:
        result = render(
            opened,
            tmp_path / "out.mkv",
            encoder=EncoderSettings(codec="libx264", pixel_format="gray", preset="ultrafast"),
            settings=RenderSettings(end=Fraction(8, 100)),
            announce=order.append,
            watch=lambda frame: order.append("frame"),
        )
    assert "colour is lost" in order[0]
    assert order[1] == "frame"
    assert order[0] in json.loads(result.report.read_text())["notes"]
    assert "colour is lost" in result.page.read_text()


@pytest.mark.parametrize("mode", ["none", "jsonl"])
def test_the_terminal_says_it_first(mode, tmp_path, monkeypatch, capsys) -> None:
    video = tmp_path / "film.mov"
    make_png_film(video)
    words = ["run", video, "-o", tmp_path / "out.mkv", "--codec", "h264", "--progress", mode]
    monkeypatch.setattr(sys, "argv", ["refrestore", *map(str, words), "--json"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    assert not end.value.code
    lines = said.err.splitlines()
    if mode == "none":
        assert any("alpha is lost, RGB becomes YUV" in line for line in lines)
    else:
        events = [json.loads(line) for line in lines if line.startswith("{")]
        place = next(at for at, event in enumerate(events) if "note" in event)
        assert "alpha is lost" in events[place]["note"]
        assert not any(event.get("stage") == "render" for event in events[:place])
        assert any(event.get("stage") == "render" for event in events[place:])
    made = json.loads(said.out)["results"][0]
    assert any("alpha is lost" in note for note in made["notes"])


def test_several_films_are_told_apart(tmp_path) -> None:
    for name in ("one.mov", "two.mov"):
        make_png_film(tmp_path / name)
    said: list[str] = []
    videos = [tmp_path / "one.mov", tmp_path / "two.mov"]
    results = run(videos, tmp_path / "made", announce=said.append)
    assert said == [f"one.mov: {COPIED}", f"two.mov: {COPIED}"]
    assert all(result.summary["notes"][0] == COPIED for result in results)


def test_faces_without_close_ups_are_counted_apart(project, tmp_path) -> None:
    result = render(
        project,
        tmp_path / "out.mkv",
        encoder=LOSSLESS,
        settings=RenderSettings(references=0, **FAR_PART),
    )
    summary = result.summary
    assert summary["faces"] == summary["unreferenced"] > 0
    people = summary["identities"]
    assert sum(person["unreferenced_faces"] for person in people) == summary["unreferenced"]
    assert counted_faces(summary) == (
        f"0 faces restored from close-ups, {summary['faces']} cleaned without"
    )
    page = result.page.read_text()
    assert "Faces cleaned without close-ups" in page
    assert "faces restored from close-ups" in page


def test_faces_with_close_ups_are_not(rendered) -> None:
    summary = rendered.summary
    assert 0 <= summary["unreferenced"] < summary["faces"]
    for person in summary["identities"]:
        if person["restored_faces"] > person["unreferenced_faces"]:
            assert person["references"]
        elif person["restored_faces"]:
            assert not person["references"]
