"""A piece of the real film, scanned from end to end."""

from fractions import Fraction

import av
import numpy as np
import pytest

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import MediaError, ProjectError
from refrestore.media.simple import write_pictures
from refrestore.project.folder import SPOOL
from refrestore.project.project import Project
from refrestore.scan.contact_sheet import contact_sheet
from refrestore.scan.samples import shows_enough
from refrestore.scan.scan import scan

pytestmark = pytest.mark.shared

LAB = (46.5, 52.6)
"""Seconds of the film: hands on a desk, the man with glasses, the man with the cap."""


def cut_out(source, target, start, stop):
    """Copy the packets of a span, from the key frame before it on."""
    with av.open(str(source)) as film, av.open(str(target), "w") as piece:
        stream = film.streams.video[0]
        copy = piece.add_stream_from_template(stream)
        film.seek(int(start / stream.time_base), stream=stream)
        for packet in film.demux(stream):
            if packet.dts is None or packet.pts * stream.time_base > stop:
                continue
            packet.stream = copy
            piece.mux(packet)


@pytest.fixture(scope="module")
def runtime(shared):
    return RuntimeSettings(device="cpu", pack="teachers", models_dir=shared / "models", threads=2)


@pytest.fixture(scope="module")
def film(shared, tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "lab.mp4"
    cut_out(shared / "data/film/tears_of_steel_360p.mp4", path, *LAB)
    return path


@pytest.fixture(scope="module")
def scanned(film, runtime, tmp_path_factory):
    folder = tmp_path_factory.mktemp("project") / "lab"
    told = []
    summary = scan(
        film,
        folder,
        settings=ScanSettings(),
        runtime=runtime,
        progress=lambda *said: told.append(said),
    )
    return folder, summary, told


def test_two_men_are_two_people(scanned):
    folder, summary, _ = scanned
    with Project.open(folder) as project:
        people = project.identities()
        assert len(people) == summary.identities == 2
        glasses, cap = sorted(people, key=lambda person: project.tracks(person.tracks)[0].first)
        assert project.tracks(glasses.tracks)[0].size > project.tracks(cap.tracks)[0].size
        assert glasses.references >= 3
        assert project.scan_info().frames == summary.frames
    assert summary.decode_failures == 0


def test_tracks_are_dense_steady_and_within_their_shot(scanned):
    folder, summary, _ = scanned
    with Project.open(folder) as project:
        shots = {shot.index: shot for shot in project.shots()}
        assert shots[0].first == 0
        assert shots[len(shots) - 1].stop == summary.frames
        for track in project.tracks():
            faces = project.faces([track.id])
            assert faces.frame.tolist() == list(range(track.first, track.stop))
            assert shots[track.shot].first <= track.first < track.stop <= shots[track.shot].stop
            assert np.isfinite(faces.quality).all()
            assert np.isfinite(faces.pose).all()
            assert (faces.score > 0).mean() < 0.5
            jerk = np.diff(faces.keypoints, n=2, axis=0)
            assert np.median(np.abs(jerk)) < 0.01 * track.size
            middle = faces.keypoints.mean(1)
            assert ((middle > faces.box[:, :2]) & (middle < faces.box[:, 2:])).all()


def test_references_are_large_sharp_and_aligned(scanned):
    from refrestore.faces.align import FFHQ_TEMPLATE
    from refrestore.faces.pose import mesh_keypoints

    folder, _, _ = scanned
    with Project.open(folder) as project:
        references = [
            reference
            for person in project.identities()
            for reference in project.references(person.id)
        ]
        assert references
        for reference in references:
            assert shows_enough(reference.native_size, reference.sharpness)
            assert "lab.mp4 at" in reference.source
            offset = mesh_keypoints(reference.landmarks[None])[0] - FFHQ_TEMPLATE
            assert np.linalg.norm(offset, axis=1).mean() < 25


def test_progress_and_leftovers(scanned):
    folder, summary, told = scanned
    stages = [stage for stage, _, _ in told]
    assert sorted(set(stages), key=stages.index) == ["frames", "identities", "references"]
    frames = [done for stage, done, _ in told if stage == "frames"]
    assert frames == sorted(frames)
    assert frames[-1] == summary.frames
    assert not list(folder.rglob(f"{SPOOL}*"))


def test_contact_sheet_shows_everybody(scanned):
    folder, _, _ = scanned
    with Project.open(folder) as project:
        sheet = contact_sheet(project)
    assert sheet.dtype == np.uint8
    assert sheet.shape[0] > 2 * 96
    rows = sheet[28:, 200:].reshape(-1, sheet.shape[1] - 200, 3)
    assert rows[:96].std() > 20
    assert rows[100:196].std() > 20


def test_second_scan_gives_the_same_and_keeps_decisions(scanned, film, runtime):
    folder, first, _ = scanned
    with Project.open(folder) as project:
        before = project.faces()
        person = project.identities()[0].id
        project.rename(person, "Thom")
    second = scan(film, folder, settings=ScanSettings(), runtime=runtime)
    assert second == first
    with Project.open(folder) as project:
        after = project.faces()
        for column in ("frame", "box", "keypoints", "score", "quality"):
            np.testing.assert_array_equal(getattr(after, column), getattr(before, column))
        assert {one.id: one.name for one in project.identities()}[person] == "Thom"


def test_another_videos_project_is_refused(scanned, runtime, tmp_path):
    other = tmp_path / "other.mp4"
    write_pictures(other, [np.zeros((64, 64, 3), np.uint8)] * 3, rate=Fraction(25))
    with pytest.raises(ProjectError, match="another"):
        scan(other, scanned[0], settings=ScanSettings(), runtime=runtime)


@pytest.mark.parametrize("frames", [1, 2, 30])
def test_nobody_there_is_no_error(frames, runtime, tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (97, 131, 3), np.uint8) for _ in range(frames)]
    write_pictures(tmp_path / "noise.mp4", pictures, rate=Fraction(25))
    summary = scan(
        tmp_path / "noise.mp4", tmp_path / "project", settings=ScanSettings(), runtime=runtime
    )
    assert (summary.frames, summary.tracks, summary.identities) == (frames, 0, 0)
    with Project.open(tmp_path / "project") as project:
        assert project.identities() == []
        assert project.shots()[-1].stop == frames
        assert contact_sheet(project).ndim == 3


def test_no_video_leaves_no_project(runtime, tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(MediaError):
        scan(tmp_path / "text.mp4", tmp_path / "project", settings=ScanSettings(), runtime=runtime)
    assert not (tmp_path / "project").exists()
