"""Exported faces: the right ones, under the right names, none lost or doubled by a resume."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from refrestore.config import ExportSettings
from refrestore.engine.local import render
from refrestore.errors import DiskError
from refrestore.faces.align import crops as cut_crops
from refrestore.media.pixels import rgb
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.stills import read_picture
from refrestore.project import Project
from refrestore.render.crops import at_sides, storage_to_crop
from refrestore.render.face_export import FaceExport, choose_faces, file_name, plans_within
from refrestore.render.face_table import gather
from refrestore.render.plan import TrackPlan
from refrestore.render.publish_faces import folder_name
from refrestore.render.refine import Refined
from refrestore.render.segment_folder import Segment
from refrestore.types import Faces, Geometry, Identity

from .conftest import EVERY, LOSSLESS, SETTINGS

FLAT = Geometry(64, 48)


def files_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def pictures_of(video: Path) -> list[np.ndarray]:
    with VideoReader(video) as reader:
        return [rgb(frame) for frame in reader]


def index_of(folder: Path) -> dict:
    return json.loads((folder / "index.json").read_text("utf-8"))


def test_every_face_is_there_three_times_and_in_the_index(rendered) -> None:
    index = index_of(rendered.exported)
    assert index["every"] == EVERY
    assert len(index["faces"]) > 4
    listed = {
        f"{face['folder']}/{kind}/{face['file']}"
        for face in index["faces"]
        for kind in ("cropped", "restored", "compare")
    }
    assert set(files_of(rendered.exported)) == listed | {"index.json"}
    assert len(listed) == 3 * len(index["faces"])
    for person in index["people"]:
        assert person["faces"] == sum(
            face["identity"] == person["identity"] for face in index["faces"]
        )
    assert not list(rendered.output.parent.glob(".*"))
    assert not list(rendered.exported.parent.glob(".*"))


def test_a_face_is_its_own_persons_at_its_own_time(scanned, rendered) -> None:
    with VideoReader(scanned.film) as reader:
        frames = {frame.index: frame for frame in reader}
    geometry = probe(scanned.film).geometry
    with Project.open(scanned.project) as project:
        owner = {track: one.id for one in project.identities() for track in one.tracks}
        for face in index_of(rendered.exported)["faces"]:
            frame = frames[face["frame"]]
            assert owner[face["track"]] == face["identity"]
            assert face["time"] == pytest.approx(float(frame.time), abs=1e-5)
            assert face["file"] == file_name(
                face["identity"], frame.time, face["frame"], face["track"]
            )
            row = project.faces([face["track"]], face["frame"], face["frame"] + 1)
            folder = rendered.exported / face["folder"]
            cropped, restored, compare = (
                read_picture(folder / kind / face["file"])
                for kind in ("cropped", "restored", "compare")
            )
            side = len(cropped)
            to_crop = at_sides(storage_to_crop(row.keypoints, geometry), np.array([side]))
            wanted = cut_crops(rgb(frame), to_crop, side)[0]
            # Cut out of the planes at their own depth, not out of a picture in bytes.
            np.testing.assert_allclose(cropped.astype(int), wanted, atol=4)
            np.testing.assert_array_equal(compare, np.concatenate([cropped, restored], axis=1))
            apart = np.abs(cropped.astype(int) - restored).max()
            assert apart > 5 if face["strength"] > 0.5 else apart >= 0
            # What is blended ends inside the crop: its border is the frame's.
            np.testing.assert_array_equal(restored[:4], cropped[:4])


def test_the_index_says_why(rendered) -> None:
    index = index_of(rendered.exported)
    guided = [face for face in index["faces"] if face["references"]]
    assert guided
    for face in guided:
        assert face["decision"] == "restored from references" or face["reference_weight"] < 1
        assert face["because"]
    for face in index["faces"]:
        if not face["references"]:
            assert face["decision"] == "restored without references"
    for entry in index["left_alone"]:
        assert entry["reason"]
        assert entry["frames"] >= 1


def test_people_left_alone_are_listed_with_the_reason(project, tmp_path) -> None:
    for identity in project.identities():
        project.set_state(identity.id, "ignore")
    export = ExportSettings(folder=tmp_path / "faces")
    render(project, tmp_path / "out.mkv", encoder=LOSSLESS, export=export)
    index = index_of(tmp_path / "faces")
    assert index["faces"] == []
    assert {entry["reason"] for entry in index["left_alone"]} == {"ignored"}
    assert {entry["track"] for entry in index["left_alone"]} == {
        track.id for track in project.tracks()
    }


class Stopped(Exception):
    """What a test stops a render with."""


def stopped(project: Project, output: Path, export: ExportSettings | None) -> Path:
    """Start a render and stop it in its second segment; return the folder of its segments."""
    folder = output.with_name(f".{output.name}.refrestore")

    def stop(stage: str, done: int, total: int | None) -> None:
        if (folder / "segment-000001.mkv").exists():
            raise Stopped

    with pytest.raises(Stopped):
        render(project, output, encoder=LOSSLESS, settings=SETTINGS, export=export, progress=stop)
    assert not output.exists()
    return folder


@pytest.mark.parametrize("before", [EVERY, None])
def test_a_resumed_render_exports_what_an_uninterrupted_one_does(
    scanned, rendered, tmp_path, before
) -> None:
    """Also where the first run exported nothing."""
    first = None if before is None else ExportSettings(folder=tmp_path / "one", every=before)
    output = tmp_path / "out.mkv"
    with Project.open(scanned.project) as project:
        folder = stopped(project, output, first)
        assert not (tmp_path / "one").exists()
        segment = folder / "segment-000000.mkv"
        kept = segment.stat().st_mtime_ns
        again: list[bool] = []

        def watch(stage: str, done: int, total: int | None) -> None:
            if segment.exists():
                again.append(segment.stat().st_mtime_ns != kept)

        export = ExportSettings(folder=tmp_path / "two", every=EVERY)
        render(project, output, encoder=LOSSLESS, settings=SETTINGS, export=export, progress=watch)
    assert any(again) == (before != EVERY), "a segment was rendered again, or was not"
    assert files_of(tmp_path / "two") == files_of(rendered.exported)
    for one, other in zip(pictures_of(output), pictures_of(rendered.output), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_segment_with_another_stride_is_not_finished(tmp_path) -> None:
    folder = tmp_path / "segment-000000.faces"
    three, seven = FaceExport([], 3), FaceExport([], 7)
    assert not three.finished(folder)
    three.begin(folder).finish(Segment(0, 0, 10), Refined(gather([], 0, 10, FLAT, context=0)))
    assert three.finished(folder)
    assert not seven.finished(folder)
    (folder / "faces.json").write_text("{")
    assert not three.finished(folder)
    three.begin(folder)
    assert not folder.exists(), "what is begun again is not finished"


def test_a_place_that_is_taken_is_refused_before_the_first_frame(scanned, tmp_path) -> None:
    taken = tmp_path / "faces"
    taken.mkdir()
    (taken / "mine.txt").write_text("keep")
    kept = sorted(tmp_path.rglob("*"))
    with Project.open(scanned.project) as project:
        for folder in (taken, taken / "mine.txt", taken / "mine.txt" / "below"):
            with pytest.raises(DiskError, match="choose a new or an empty folder"):
                render(project, tmp_path / "out.mkv", export=ExportSettings(folder=folder))
    assert sorted(tmp_path.rglob("*")) == kept


def plan(track: int, identity: int, strength: np.ndarray, first: int = 0) -> TrackPlan:
    count = len(strength)
    faces = replace(
        Faces.empty(),
        frame=np.arange(first, first + count),
        box=np.zeros((count, 4)),
        keypoints=np.zeros((count, 5, 2)),
        score=np.ones(count),
    )
    return TrackPlan(track, identity, faces, strength.astype(np.float32), None, np.ones(len(faces)))


def test_every_nth_frame_and_one_of_each_appearance() -> None:
    long, short = plan(1, 5, np.ones(100)), plan(2, 5, np.array([0.1, 0.9, 0.1]), first=201)
    fading = plan(3, 6, np.r_[np.linspace(0, 1, 50), np.zeros(50)])
    nothing = plan(4, 6, np.zeros(50))
    chosen = choose_faces([long, short, fading, nothing], 25)
    assert chosen == {1: {0, 25, 50, 75}, 2: {202}, 3: {25}}


def test_a_long_film_is_thinned_evenly() -> None:
    chosen = choose_faces([plan(1, 5, np.ones(1000)), plan(2, 6, np.ones(10))], 1, most=50)
    frames = sorted(chosen[1])
    assert len(frames) == 50
    assert (frames[0], frames[-1]) == (0, 999)
    assert set(np.diff(frames)) <= {20, 21}
    assert len(chosen[2]) == 10


def test_a_part_exports_what_is_in_it() -> None:
    plans = [plan(1, 5, np.ones(100)), plan(2, 5, np.ones(3), first=201)]
    shown = plans_within(plans, 50, 100)
    assert [(one.track, int(one.faces.frame[0]), len(one.strength)) for one in shown] == [
        (1, 50, 50)
    ]
    assert choose_faces(shown, 25) == {1: {50, 75}}
    assert plans_within(plans, 0, 300) == plans


def test_names_sort_by_person_and_time() -> None:
    assert file_name(3, Fraction(83456, 1000), 2083, 12) == "0003_00-01-23.456_f002083_t12.png"
    assert file_name(3, Fraction(3661), 9, 1).split("_")[1] == "01-01-01.000"
    assert file_name(3, Fraction(-1, 5), 0, 1).split("_")[1] == "00-00-00.000"


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("Anna", "0007-Anna"),
        ("person 3", "0007-person-3"),
        ("../../etc/passwd", "0007-etc-passwd"),
        ('a/b\\c:d*e?f"g<h>i|j\0', "0007-a-b-c-d-e-f-g-h-i-j"),
        ("Åsa Öberg", "0007-Åsa-Öberg"),
        ("王小明", "0007-王小明"),
        ("...", "0007"),
        ("x" * 300, f"0007-{'x' * 60}"),
    ],
)
def test_a_persons_folder_is_safe(name: str, folder: str) -> None:
    made = folder_name(Identity(7, name, "restore", (), 0.0, 0, 0))
    assert made == folder
    assert re.fullmatch(r"[\w-]+", made)
