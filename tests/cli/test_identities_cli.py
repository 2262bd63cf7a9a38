from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from refrestore.cli.identities import app
from refrestore.config import ScanSettings
from refrestore.errors import ProfileError, ProjectError, RefrestoreError, UsageError
from refrestore.profiles import Profile, ProfileStore
from refrestore.project import Project, VideoSource
from refrestore.types import Faces, Geometry, Reference, Shot, Track

SPANS = {1: (0, 100, 10), 2: (50, 150, 200), 3: (200, 300, 10)}


def reference():
    return Reference(
        image=np.zeros((512, 512, 3), np.uint8),
        landmarks=np.zeros((468, 2), np.float32),
        embedding=np.eye(512, dtype=np.float32)[0],
        pose=np.array([12, -3, 0], np.float32),
        sharpness=0.5,
        quality=0.6,
        native_size=180.0,
        source="film.mp4 at 1.000 s",
        frame=25,
    )


def poses(number, count):
    """Person 1 turns to the picture's left after two seconds; nobody saw how the others look."""
    if number != 1:
        return None
    yaw = np.where(np.arange(count) < 50, 0, -60)
    return np.stack([yaw, 0 * yaw, 0 * yaw], 1)


@pytest.fixture
def folder(tmp_path):
    video = VideoSource(tmp_path / "film.mp4", "f", Geometry(640, 360), Fraction(0), Fraction(25))
    with (
        Project.create(tmp_path / "film", video) as project,
        project.begin_scan(ScanSettings()) as writer,
    ):
        writer.add_shot(Shot(0, 0, 300, Fraction(0)))
        for number, (first, stop, left) in SPANS.items():
            count = stop - first
            writer.add_track(
                Track(number, 0, first, stop, None, 0.0, 0.5, 40.0, weak=False),
                Faces(
                    frame=np.arange(first, stop),
                    box=np.tile([left, 0, left + 40, 40], (count, 1)),
                    keypoints=np.zeros((count, 5, 2)),
                    score=np.ones(count),
                    pose=poses(number, count),
                ),
            )
        writer.add_reference(1, reference())
        writer.add_thumbnail(2, np.full((64, 64, 3), 90, np.uint8))
        writer.set_identities([[1], [2], [3]])
    return tmp_path / "film"


@pytest.fixture
def run(folder):
    def invoke(*arguments):
        result = CliRunner().invoke(app, [*map(str, arguments), "-p", str(folder)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    def invoke_json(*arguments):
        return json.loads(invoke(*arguments, "--json").stdout)

    invoke.json = invoke_json
    return invoke


def test_list_prints_the_documented_json(run):
    assert run.json("list") == {
        "identities": [
            {"id": 1, "name": "person 1", "state": "restore", "seconds": 4.0, "faces": 100,
             "tracks": [1], "references": 1, "profile": None, "strength": 1.0, "not_profiles": [],
             "provisional": False},
            {"id": 2, "name": "person 2", "state": "restore", "seconds": 4.0, "faces": 100,
             "tracks": [2], "references": 0, "profile": None, "strength": 1.0, "not_profiles": [],
             "provisional": False},
            {"id": 3, "name": "person 3", "state": "restore", "seconds": 4.0, "faces": 100,
             "tracks": [3], "references": 0, "profile": None, "strength": 1.0, "not_profiles": [],
             "provisional": False},
        ]
    }  # fmt: skip


def test_who_is_only_seen_blurred_is_said(run, tmp_path):
    video = VideoSource(tmp_path / "t.mp4", "f", Geometry(640, 360), Fraction(0), Fraction(25))
    with (
        Project.create(tmp_path / "tape", video) as project,
        project.begin_scan(ScanSettings()) as writer,
    ):
        for number in (1, 2, 3):
            rows = np.arange(50 * number, 50 * number + 40)
            faces = Faces(
                frame=rows,
                box=np.tile([0, 0, 40, 40], (40, 1)),
                keypoints=np.zeros((40, 5, 2)),
                score=np.ones(40),
            )
            span = int(rows[0]), int(rows[-1]) + 1
            track = Track(number, 0, *span, None, 0.05, 0.02, 40.0, weak=number != 3)
            writer.add_track(track, faces)
        writer.set_identities([[1], [2, 3]])
    shown = CliRunner().invoke(app, ["list", "-p", str(tmp_path / "tape")]).stdout.splitlines()
    assert "only blurred" in shown[1]
    assert "only blurred" not in shown[2]
    said = CliRunner().invoke(app, ["list", "-p", str(tmp_path / "tape"), "--json"]).stdout
    assert [one["provisional"] for one in json.loads(said)["identities"]] == [True, False]


def test_list_for_people(run):
    lines = run("list").stdout.splitlines()
    assert lines[0].split() == [
        "id", "name", "state", "seconds", "faces", "close-ups", "profile", "tracks",
    ]  # fmt: skip
    assert len(lines) == 4
    assert "person 2" in lines[2]


def test_show(run):
    shown = run.json("show", 1)
    assert shown["identity"]["id"] == 1
    assert shown["tracks"] == [
        {"id": 1, "shot": 0, "start": 0.0, "end": 4.0, "frames": [0, 100], "size": 40.0,
         "quality": 0.5},
    ]  # fmt: skip
    assert shown["references"] == [
        {"source": "film.mp4 at 1.000 s", "size": 180.0, "quality": 0.6, "yaw": 12.0,
         "pitch": -3.0},
    ]  # fmt: skip
    assert "track 1: 0.00 to 4.00 s" in run("show", 1).stdout


def test_a_review(run):
    (anna,) = run.json("merge", 1, 3)["identities"]
    assert anna["tracks"] == [1, 3]
    (apart,) = run.json("split", 1, 3)["identities"]
    assert (apart["id"], apart["tracks"]) == (4, [3])
    assert run.json("move", 3, "--to", 1)["identities"][0]["tracks"] == [1, 3]
    assert run.json("rename", 1, "Anna Müller")["identities"][0]["name"] == "Anna Müller"
    assert run.json("ignore", 2)["identities"][0]["state"] == "ignore"
    assert run.json("restore", 1, 2)["identities"][1]["state"] == "restore"
    assert run.json("not-a-face", 2)["identities"][0]["state"] == "not_a_face"
    assert run.json("undo")["undone"]["action"] == "state"
    assert run.json("redo")["redone"]["value"] == "not_a_face"
    assert "Anna Müller" in run("list").stdout
    made = run.json("edits")["edits"]
    assert [one["action"] for one in made] == [
        "merge", "split", "move", "rename", "state", "state", "state", "state",
    ]  # fmt: skip
    assert {one["unresolved"] for one in made} == {False}
    said = [line.split("  ", 1)[1] for line in run("edits").stdout.splitlines()]
    assert said[:4] == ["merge 1 3", "move 3 --to 4 (new)", "move 3 --to 1", "rename 1 Anna Müller"]


def test_a_person_is_told_apart_and_tracks_are_sorted_out(run):
    run.json("merge", 1, 3)
    assert [one["id"] for one in run.json("distinct", 1, 2)["identities"]] == [1, 2]
    assert run.json("keep", 3)["identities"][0]["tracks"] == [1, 3]
    (fresh,) = run.json("move", 3, "--to", "new")["identities"]
    assert (fresh["id"], fresh["tracks"]) == (4, [3])
    assert [one["id"] for one in run.json("not-a-face", "--track", 3)["identities"]] == [4]
    assert run.json("list")["identities"][2]["state"] == "not_a_face"
    made = run.json("edits")["edits"]
    assert [one["action"] for one in made] == ["merge", "distinct", "keep", "split", "state"]
    said = run("edits").stdout
    assert "distinct 1 2\n" in said
    assert "keep 3 with 1\n" in said
    undone = run.json("undo")
    assert (undone["undone"]["action"], undone["together"]) == ("state", [])
    run("ignore", 1, 2)
    undone = run.json("undo")
    assert [undone["undone"]["identity"], undone["together"][0]["identity"]] == [2, 1]


def test_a_person_is_not_a_profiles_until_it_is_linked(run, tmp_path):
    store = ProfileStore(tmp_path / "profiles")
    store.save(Profile("Anna", (reference(),)))
    where = ("--profiles-dir", store.directory)
    with pytest.raises(ProfileError, match=r"no profile 'Ana' in .* \(it has: Anna\)"):
        run("not-profile", 1, "Ana", *where)
    (one,) = run.json("not-profile", 1, "Anna", *where)["identities"]
    assert one["not_profiles"] == ["Anna"]
    assert "not-profile 1 Anna\n" in run("edits").stdout
    assert run.json("edits")["edits"][0]["action"] == "not_profile"
    assert "  not Anna, as you said\n" in run("show", 1, *where).stdout
    with pytest.raises(ProjectError, match="said before"):
        run("not-profile", 1, "Anna", *where)
    assert run("undo").stdout == "Undone: not-profile 1 Anna\n"
    run("redo")
    (one,) = run.json("link", 1, "Anna", *where)["identities"]
    assert (one["profile"], one["not_profiles"]) == ("Anna", [])


def test_what_is_no_face_is_named_one_way(run):
    for arguments in ([], [1, "--track", 3]):
        with pytest.raises(UsageError, match="or tracks with --track"):
            run("not-a-face", *arguments)


def test_a_move_needs_a_number_or_new(folder):
    result = CliRunner().invoke(app, ["move", "3", "--to", "Anna", "-p", str(folder)])
    assert result.exit_code == 2
    assert "write its number, or new" in result.output


def test_references_are_listed_dropped_and_added(run):
    (one,) = run.json("references", "list")["references"]
    assert one == {
        "id": 1, "identity": 1, "track": 1, "frame": 25, "source": "film.mp4 at 1.000 s",
        "size": 180.0, "quality": 0.6, "sharpness": 0.5, "yaw": 12.0, "pitch": -3.0, "used": True,
    }  # fmt: skip
    (one,) = run.json("references", "drop", 1)["references"]
    assert one["used"] is False
    assert run.json("show", 1)["references"] == []
    assert run.json("list")["identities"][0]["references"] == 0
    assert "  no" in run("references", "list", 1).stdout
    assert run("references", "list", 2).stdout == "There is no close-up.\n"
    assert run.json("undo")["undone"]["value"] == "film.mp4 at 1.000 s"
    run("redo")
    assert "  yes" in run("references", "add", 1).stdout
    with pytest.raises(ProjectError, match="no close-up 7"):
        run("references", "drop", 7)


LACKING = "No left profile of person 1 (needed for 50 faces, 2.0-4.0 s): add a photo."


def test_what_is_missing_is_said(run):
    shown = run.json("show", 1)
    assert shown["coverage"]["poses"]["front"] == 1
    assert shown["gaps"]["poses"]["left profile"] == 50
    (missing,) = shown["gaps"]["missing"]
    assert missing == {
        "pose": "left profile", "faces": 50, "spans": [[2.0, 3.96]], "close_ups": 0,
        "sentence": LACKING,
    }  # fmt: skip
    lines = run("show", 1).stdout.splitlines()
    assert lines[-1].strip() == LACKING
    assert lines[-2].strip().startswith("they show (left and right of the picture): 1 front")
    listed = run.json("references", "list")["gaps"]
    assert [one["identity"] for one in listed] == [1, 2, 3]
    assert listed[0] == shown["gaps"]
    assert run("references", "list", 1).stdout.splitlines()[-1] == LACKING
    run("ignore", 1)
    assert [one["identity"] for one in run.json("references", "list")["gaps"]] == [2, 3]


def test_suggestions(run, folder, tmp_path):
    assert run.json("suggestions") == {"merges": [], "impurities": []}
    assert run("suggestions").stdout == "There is nothing to suggest.\n"
    axis = np.eye(512, dtype=np.float32)
    with Project.open(folder) as project, project.begin_scan(ScanSettings()) as writer:
        writer.add_shot(Shot(0, 0, 300, Fraction(0)))
        for number, vector in enumerate((axis[0], axis[0], axis[1], axis[1], axis[1]), start=1):
            first = 50 * number
            count = 50
            writer.add_track(
                Track(number, 0, first, first + count, vector, 0.5, 0.5, 40.0, weak=False),
                Faces(
                    frame=np.arange(first, first + count),
                    box=np.tile([10, 0, 50, 40], (count, 1)),
                    keypoints=np.zeros((count, 5, 2)),
                    score=np.ones(count),
                    pose=poses(number, count),
                ),
            )
        writer.set_identities([[1, 2, 3], [4], [5]])
    found = run.json("suggestions", "--least", 0.6)
    (first,), (wrong,) = found["merges"], found["impurities"]
    ids = {one["tracks"][0]: one["id"] for one in run.json("list")["identities"]}
    assert first == {"identities": [ids[4], ids[5]], "similarity": 1.0}
    assert wrong == {
        "track": 3, "identity": ids[1], "similarity": 0.0, "nearest": ids[4],
        "nearest_similarity": 1.0,
    }  # fmt: skip
    said = run("suggestions").stdout
    assert f"merge {ids[4]} {ids[5]}" in said
    assert f"move 3 --to {ids[4]}" in said
    run("distinct", ids[4], ids[5])
    run("keep", 3)
    assert run.json("suggestions", "--least", 0.6) == {"merges": [], "impurities": []}


def test_a_review_by_text(run, folder, tmp_path):
    path = tmp_path / "review.yaml"
    assert run.json("export-review", "-o", path) == {"review": str(path), "people": 3}
    assert run.json("apply-review", path) == {"edits": []}
    assert run("apply-review", path).stdout == "Nothing to change.\n"
    store = ProfileStore(tmp_path / "profiles")
    store.save(Profile("Anna", (reference(),)))
    text = path.read_text().replace("name: person 2", "name: Bert")
    path.write_text(text.replace("profile: null", "profile: Anna", 1))
    with pytest.raises(UsageError, match="there is no profile 'Anna'"):
        run("apply-review", path, "--profiles-dir", tmp_path / "none")
    assert run.json("list")["identities"][1]["name"] == "person 2"
    said = run("apply-review", path, "--profiles-dir", store.directory).stdout
    assert said == "link 1 Anna\nrename 2 Bert\n2 changes.\n"
    with pytest.raises(UsageError, match="exists already"):
        run("export-review", "-o", path)
    run("export-review", "-o", path, "--overwrite")
    assert "name: Bert" in path.read_text()


def test_timeline(run, folder, tmp_path):
    path = tmp_path / "who.svg"
    assert run.json("timeline", "-o", path) == {"timeline": str(path)}
    assert "person 2" in path.read_text()
    assert run("timeline").stdout.strip() == str(folder / "timeline.png")
    with Image.open(folder / "timeline.png") as picture:
        assert picture.format == "PNG"


def test_nothing_to_undo(run):
    assert run("undo").stdout == "There is nothing to be undone.\n"
    assert run.json("undo") == {"undone": None, "together": []}
    assert run.json("redo") == {"redone": None, "together": []}


def test_people_who_meet_are_merged_only_by_force(run):
    with pytest.raises(ProjectError, match=r"both on screen in frame 50 \(2\.000 s\)"):
        run("merge", 1, 2)
    assert run.json("merge", 1, 2, "--force")["identities"][0]["tracks"] == [1, 2]


def test_states_are_set_for_all_or_none(run):
    with pytest.raises(ProjectError, match="no identity 77"):
        run("ignore", 1, 77)
    assert {one["state"] for one in run.json("list")["identities"]} == {"restore"}


def test_link(run, tmp_path):
    store = ProfileStore(tmp_path / "profiles")
    store.save(Profile("Anna", (reference(),)))
    with pytest.raises(ProfileError, match="no profile 'Bert'"):
        run("link", 1, "Bert", "--profiles-dir", store.directory)
    linked = run.json("link", 1, "Anna", "--profiles-dir", store.directory)
    assert linked["identities"][0]["profile"] == "Anna"
    assert run.json("unlink", 1)["identities"][0]["profile"] is None


def test_sheet(run, folder, tmp_path):
    path = tmp_path / "sheet.png"
    assert run.json("sheet", "-o", path) == {"sheet": str(path)}
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 300
    assert run("sheet").stdout.strip() == str(folder / "contact_sheet.png")
    assert (folder / "contact_sheet.png").is_file()


def test_there_must_be_a_project(tmp_path):
    for arguments in (["list"], ["undo"], ["show", "1"], ["sheet"]):
        result = CliRunner().invoke(app, [*arguments, "-p", str(tmp_path / "none")])
        assert isinstance(result.exception, RefrestoreError)
        assert "There is no project in" in str(result.exception)
    assert not (tmp_path / "none").exists()


def test_lists_for_other_programs(run, folder, tmp_path):
    table, edl = tmp_path / "who.csv", tmp_path / "who.edl"
    said = run("timeline", "--csv", table, "--edl", edl)
    assert said.stdout.split() == [str(edl), str(table)]
    assert "counted from 00:00:00:00" in said.stderr  # this project's film is not there
    assert table.read_text().startswith("person,name,")
    assert edl.read_text().startswith("TITLE: ")
    assert not (folder / "timeline.png").exists()
    assert run.json("timeline", "--csv", table) == {"csv": str(table)}
