"""The whole of pass 2 on a real film: what changes, what must not, and what survives a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from refrestore.config import RenderSettings, RuntimeSettings
from refrestore.engine.local import render
from refrestore.errors import ProfileError, ProjectError, UsageError
from refrestore.media.planes import plane_views
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.project import Project
from refrestore.render.preview import preview
from refrestore.render.toolbox import open_toolbox

from .conftest import FAR_PART, LOSSLESS, SETTINGS

STANDIN = Path(__file__).resolve().parents[2] / "models" / "standin" / "gfpgan_standin.safetensors"


def planes_of(video: Path) -> list[list[np.ndarray]]:
    with VideoReader(video) as reader:
        return [[view.copy() for view in plane_views(frame.picture)] for frame in reader]


def times_of(video: Path) -> list[Fraction]:
    with VideoReader(video) as reader:
        return [frame.time for frame in reader]


def audio_of(video: Path) -> list[bytes]:
    with av.open(str(video)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_faces_change_and_nothing_else_does(scanned, rendered) -> None:
    source, result = planes_of(scanned.film), planes_of(rendered.output)
    assert len(source) == len(result)
    with Project.open(scanned.project) as opened:
        boxes = opened.faces()
    changed = 0
    for index, (before, after) in enumerate(zip(source, result, strict=True)):
        outside = np.ones(before[0].shape, bool)
        for left, top, right, bottom in boxes.box[boxes.frame == index]:
            # A head reaches half a face beyond the detector's box.
            margin = 0.6 * (bottom - top)
            rows = slice(max(0, int(top - margin)), int(bottom + margin))
            outside[rows, max(0, int(left - margin)) : int(right + margin)] = False
        np.testing.assert_array_equal(before[0][outside], after[0][outside])
        changed += int(np.any(before[0] != after[0]))
    assert rendered.summary["faces"] > 14
    assert changed > 7


def test_times_sound_and_shape_are_the_sources(scanned, rendered) -> None:
    # Matroska counts in milliseconds; mp4 is held to exactness in tests/media.
    for one, other in zip(times_of(scanned.film), times_of(rendered.output), strict=True):
        assert abs(one - other) <= Fraction(1, 1000)
    assert audio_of(scanned.film) == audio_of(rendered.output)
    assert probe(rendered.output).geometry == probe(scanned.film).geometry


def test_the_report_says_what_was_done(rendered) -> None:
    report = json.loads(rendered.report.read_text())
    assert report["frames"] == 16
    assert report["stages"] == ["reference fusion"]
    assert any("no second stage" in note for note in report["notes"])
    guided = [person for person in report["identities"] if person["references"]]
    assert guided, "nobody was restored from references"
    for person in guided:
        assert person["similarity"]["restored"] is not None
        assert all(reference["used"] > 0 for reference in person["references"])
    page = rendered.page.read_text()
    assert page.count("data:image/jpeg;base64,") >= 4
    assert "http" not in page.replace("http-equiv", "")  # self-contained
    assert not list(rendered.output.parent.glob(".*refrestore"))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(scanned, rendered, tmp_path, threads) -> None:
    with Project.open(scanned.project) as opened:
        result = render(
            opened,
            tmp_path / "out.mkv",
            encoder=LOSSLESS,
            settings=SETTINGS,
            runtime=RuntimeSettings(threads=threads),
        )
    for one, other in zip(planes_of(rendered.output), planes_of(result.output), strict=True):
        for plane, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(plane, same)
    reports = [json.loads(one.report.read_text()) for one in (rendered, result)]
    assert reports[0]["identities"] == reports[1]["identities"]
    pictures = [one.page.read_text().split("data:image/jpeg;base64,") for one in (rendered, result)]
    assert [one.split('"')[0] for one in pictures[0][1:]] == [
        one.split('"')[0] for one in pictures[1][1:]
    ]


def test_ignored_people_leave_every_sample_as_it_was(scanned, project, tmp_path) -> None:
    for identity in project.identities():
        project.set_state(identity.id, "ignore")
    result = render(project, tmp_path / "out.mkv", encoder=LOSSLESS)
    assert result.summary["faces"] == 0
    for before, after in zip(planes_of(scanned.film), planes_of(result.output), strict=True):
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)


KILLED = """
import sys
from pathlib import Path
from refrestore.config import EncoderSettings, RenderSettings
from refrestore.project import Project
from refrestore.engine.local import render
with Project.open(Path(sys.argv[1])) as project:
    render(project, Path(sys.argv[2]), encoder=EncoderSettings(codec="ffv1"),
           settings=RenderSettings(segment_seconds=0.2))
"""


def test_a_killed_render_goes_on_and_gives_the_same_frames(scanned, rendered, tmp_path) -> None:
    output = tmp_path / "killed.mkv"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(scanned.project), str(output)],
        stderr=subprocess.DEVNULL,
    )
    folder = output.with_name(f".{output.name}.refrestore")
    deadline = time.monotonic() + 120
    while not (folder / "segment-000001.mkv").exists() and time.monotonic() < deadline:
        assert process.poll() is None, "the render ended before it could be killed"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not output.exists()
    (folder / "segment-000001.json").write_text("{")  # a damaged record: that one is made again
    first = folder / "segment-000000.mkv"
    kept = first.stat().st_mtime_ns
    seen: list[int] = []

    def watch(stage: str, done: int, total: int | None) -> None:
        seen.append(first.stat().st_mtime_ns)

    with Project.open(scanned.project) as opened:
        result = render(opened, output, encoder=LOSSLESS, settings=SETTINGS, progress=watch)
    assert set(seen[:5]) == {kept}, "a finished segment was rendered again"
    assert result.summary["faces"] == rendered.summary["faces"]
    for one, other in zip(planes_of(rendered.output), planes_of(output), strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)


def test_a_range_gives_its_frames_enlarged(scanned, tmp_path) -> None:
    output = tmp_path / "part.mp4"
    start, end = Fraction(12, 100), Fraction(36, 100)
    settings = RenderSettings(start=start, end=end, scale=2)
    with Project.open(scanned.project) as opened:
        result = render(opened, output, settings=settings)
    assert result.summary["frames"] == 6
    assert probe(output).geometry.width == 500


def test_a_range_without_frames_is_refused(scanned, tmp_path) -> None:
    settings = RenderSettings(start=Fraction(50))
    with Project.open(scanned.project) as opened, pytest.raises(UsageError, match="s long"):
        render(opened, tmp_path / "out.mp4", settings=settings)
    assert not list(tmp_path.iterdir())


def test_another_video_is_refused(scanned, tmp_path) -> None:
    other = tmp_path / "other.mp4"
    from refrestore.evaluate.demo import CameraMove, CameraView, make_demo_film

    make_demo_film(
        other, moves=(CameraMove(CameraView(0.5, 0.5, 1), CameraView(0.5, 0.5, 1), 0.1),)
    )
    with Project.open(scanned.project) as opened, pytest.raises(ProjectError):
        render(opened, tmp_path / "out.mp4", video=other)


def test_a_missing_profile_is_one_sentence(project, tmp_path) -> None:
    project.link_profile(project.identities()[0].id, "Anna")
    with pytest.raises(ProfileError, match="Anna"):
        render(project, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_preview_shows_one_moment(scanned) -> None:
    with Project.open(scanned.project) as opened:
        shown = preview(opened, Fraction(6, 10))
    assert shown.faces >= 1
    assert shown.before.shape == shown.after.shape == (186, 250, 3)
    assert np.abs(shown.before.astype(int) - shown.after).max() > 10


def test_gfpgan_runs_behind_the_fusion(scanned, tmp_path) -> None:
    """The same path, one stage more; the small network trained here stands in."""
    toolbox = open_toolbox(RuntimeSettings())
    settings = RenderSettings(**FAR_PART, second_stage=STANDIN)
    with Project.open(scanned.project) as opened:
        result = render(opened, tmp_path / "out.mkv", settings=settings, toolbox=toolbox)
    assert result.summary["stages"] == ["reference fusion", "GFPGAN"]
    assert result.summary["faces"] > 0
    assert result.summary["second"]["file"] == STANDIN.name
    assert result.summary["settings"]["second_stage"] == STANDIN.name
    assert str(STANDIN) not in result.report.read_text()
    assert not any("no second stage" in note for note in result.summary["notes"])
