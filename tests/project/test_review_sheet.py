"""The review sheet: written, edited as people do, applied as a whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest
import yaml

from refrestore.config import ScanSettings
from refrestore.errors import ProjectError, UsageError
from refrestore.project import Project
from refrestore.project.review_apply import apply_sheet
from refrestore.project.review_sheet import SheetFile, sheet_of, write_sheet
from refrestore.types import Shot

# 1 and 2 meet in 100..199; 6 belongs to nobody.
SPANS = {
    1: (0, 200, 100.0),
    2: (100, 300, 400.0),
    3: (400, 500, 100.0),
    4: (500, 600, 400.0),
    5: (700, 800, 250.0),
    6: (850, 860, 250.0),
}
GROUPS = [[1], [2, 4], [3], [5]]
CLOSE_UPS = [(1, 50, 0.5), (1, 150, 0.9), (2, 150, 0.7)]


def scan(project, make):
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_shot(Shot(0, 0, 450, Fraction(2)))
        writer.add_shot(Shot(1, 450, 1000, Fraction(20)))
        for number, (first, stop, left) in SPANS.items():
            writer.add_track(make.track(number, first, stop), make.faces(first, stop, left))
        for number, (track, frame, quality) in enumerate(CLOSE_UPS):
            one = make.reference(number, quality)
            writer.add_reference(track, replace(one, frame=frame, source=f"at {frame}"))
        writer.set_identities(GROUPS)


@pytest.fixture
def film(project, make):
    scan(project, make)
    project.rename(3, "Anna")
    return project


@pytest.fixture(params=["yaml", "json"])
def sheet(film, tmp_path, request):
    """Return the path of a sheet of `film`, and a way to edit its content."""
    path = tmp_path / f"review.{request.param}"
    write_sheet(film, path)

    def edit(change):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(content, {one["id"]: one for one in content["people"]})
        dump = json.dumps if request.param == "json" else yaml.safe_dump
        path.write_text(dump(content), encoding="utf-8")

    path_and_edit = type("Sheet", (), {"path": path, "edit": staticmethod(edit)})
    return path_and_edit


def tracks(project):
    return {one.id: one.tracks for one in project.identities()}


def everything(project):
    return project.identities(), project.close_ups(), project.edits()


def test_a_sheet_says_who_there_is_when_and_how_large(film, tmp_path):
    path = tmp_path / "review.yaml"
    write_sheet(film, path)
    content = yaml.safe_load(path.read_text())
    assert content["project"]["video"] == "film.mp4"
    first, second, anna, _ = content["people"]
    assert (anna["id"], anna["name"], anna["state"], anna["profile"]) == (
        3, "Anna", "restore", None,
    )  # fmt: skip
    assert second["tracks"] == [
        {"track": 2, "start": "0:04.0", "end": "0:12.0", "shot": 0, "size": 40},
        {"track": 4, "start": "0:20.0", "end": "0:24.0", "shot": 0, "size": 40},
    ]
    assert [(one["close_up"], one["use"], one["at"]) for one in first["references"]] == [
        (2, True, "0:06.0"), (1, True, "0:02.0"),
    ]  # fmt: skip
    assert [one["track"] for one in content["nobody"]] == [6]
    assert "{track: 2, " in path.read_text()  # a track is one line, which can be moved


def test_an_unchanged_sheet_makes_no_edit(film, sheet):
    before = everything(film)
    assert SheetFile(sheet.path).sheet == sheet_of(film)
    assert apply_sheet(film, sheet.path) == []
    assert everything(film) == before


def test_everything_a_sheet_can_change(film, sheet, make):
    def change(content, people):
        people[1].update(name="Berta", profile="berta")
        people[1]["references"][0]["use"] = False
        people[1]["tracks"] += people[3]["tracks"]  # all of Anna: a merge
        content["people"].remove(people[3])
        people[4]["state"] = "not_a_face"
        moved = people[2]["tracks"].pop()
        content["people"].append(
            {"id": "new", "name": "Carl", "state": "ignore", "tracks": [moved, 6]}
        )
        content["nobody"] = []

    before = everything(film)
    sheet.edit(change)
    made = apply_sheet(film, sheet.path, profiles=["berta"])
    assert sorted(one.action for one in made) == [
        "drop", "link", "merge", "rename", "rename", "split", "state", "state",
    ]  # fmt: skip
    said = {one.id: (one.name, one.state, one.profile, one.tracks) for one in film.identities()}
    expected = {
        1: ("Berta", "restore", "berta", (1, 3)),
        2: ("person 2", "restore", None, (2,)),
        4: ("person 4", "not_a_face", None, (5,)),
        5: ("Carl", "ignore", None, (4, 6)),
    }
    assert said == expected
    assert [one.id for one in film.close_ups() if not one.used] == [2]
    scan(film, make)  # another scan, which finds what the first found
    said = {one.id: (one.name, one.state, one.profile, one.tracks) for one in film.identities()}
    assert said == expected
    assert len(film.undo()) == len(made)
    assert (film.identities(), [one.used for one in film.close_ups()]) == (
        before[0], [True, True, True],
    )  # fmt: skip
    assert film.identity(3).name == "Anna"
    film.redo()
    assert tracks(film) == {1: (1, 3), 2: (2,), 4: (5,), 5: (4, 6)}


def test_tracks_move_between_people(film, sheet):
    def change(_, people):
        people[3]["tracks"].append(people[2]["tracks"].pop())

    sheet.edit(change)
    assert [one.action for one in apply_sheet(film, sheet.path)] == ["move"]
    assert tracks(film) == {1: (1,), 2: (2,), 3: (3, 4), 4: (5,)}
    assert film.settled_tracks() == {4}


def test_names_and_profiles_are_taken_away(film, sheet):
    film.link_profile(3, "anna")
    write_sheet(film, sheet.path, overwrite=True)
    sheet.edit(lambda _, people: people[3].update(name=None, profile=None))
    assert [(one.action, one.value) for one in apply_sheet(film, sheet.path)] == [
        ("rename", None), ("link", None),
    ]  # fmt: skip
    assert film.identity(3).name == "person 3"


def test_a_named_person_merged_into_an_unnamed_one_lends_the_name(film, sheet):
    def change(content, people):
        people[4]["tracks"] += people[3]["tracks"]
        content["people"].remove(people[3])

    sheet.edit(change)
    assert [one.action for one in apply_sheet(film, sheet.path)] == ["merge"]
    assert film.identity(4).name == "Anna"


# --- refused, as a whole ----------------------------------------------------------------------


def people_of(content, number):
    return next(one for one in content["people"] if one["id"] == number)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c, p: p[2].update(state="gone"), r"people\[1\].state\): 'gone' is not allowed"),
        (lambda c, p: p[2].update(name=True), r"people\[1\].name\): True must be text: put it in"),
        (lambda c, p: p[2].update(nmae="x"), r"people\[1\].nmae\): there is no such entry"),
        (lambda c, p: p[2].pop("id"), r"people\[1\].id\): this is missing"),
        (lambda c, p: p[2].update(id="old"), r"people\[1\].id\): .* is a number, or new"),
        (lambda c, p: p[2].update(id=77), r"people\[1\].id\): there is no identity 77"),
        (lambda c, p: p[2].update(id=1), r"people\[1\].id\): identity 1 is in the sheet twice"),
        (lambda c, p: p[2].update(tracks=[2, 77]), r"tracks\[1\]\): there is no track 77"),
        (lambda c, p: p[2].update(tracks=[2, 4, 1]), r"track 1 is in the sheet twice, also at"),
        (lambda c, p: p[2].update(tracks=[2]), r"track 4 is missing"),
        (lambda c, p: p[2].update(tracks=["a"]), r"people\[1\].tracks\[0\]\): "),
        (lambda c, p: p[2].update(tracks=[]) or p[3].update(tracks=[3, 2, 4]) or p[1].update(
            tracks=[]) or c["nobody"].append({"track": 1}), r"nobody\[1\]\): track 1 is some"),
        (lambda c, p: c["people"].append({"id": "new"}), r"people\[4\].id\): a new person needs"),
        (lambda c, p: p[1].update(tracks=[3]) or p[3].update(tracks=[1]),
         r"people\[0\].tracks\): none of identity 1's own tracks is left here"),
        (lambda c, p: p[1].update(tracks=[1, 2]) or p[2].update(tracks=[4]),
         r"tracks\[1\]\): track 2 is on screen in frame 100 \(4.000 s\) together"),
        (lambda c, p: p[1]["references"][0].update(close_up=9), r"there is no close-up 9"),
        (lambda c, p: p[1]["references"][0].update(close_up=1), r"close-up 1 is in the sheet"),
        (lambda c, p: p[1]["references"][0].update(use="no"), r"references\[0\].use\): 'no'"),
        (lambda c, p: p[4].update(name="x" * 200), r"people\[3\].name\): A name has up to 120"),
        (lambda c, p: p[4].update(profile="zoe"),
         r"people\[3\].profile\): there is no profile 'zoe' \(there is: berta\)"),
        (lambda c, p: c.update(project={}), r"project.video\): this is missing"),
        (lambda c, p: c.clear(), r"project\): this is missing"),
        (lambda c, p: c.update(review=2), r"review\): 2 is not allowed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place_and_nothing_is_applied(film, sheet, change, words):
    before = everything(film)

    def spoil(content, people):
        people[1]["name"] = "Berta"  # would be applied
        change(content, people)

    sheet.edit(spoil)
    with pytest.raises(UsageError, match=words) as refused:
        apply_sheet(film, sheet.path, profiles=["berta"])
    assert str(refused.value).startswith(f"{sheet.path}, line ")
    assert "\n" not in str(refused.value)
    assert everything(film) == before
    assert film.redo() == []


def test_the_line_is_the_line(film, tmp_path):
    path = tmp_path / "review.yaml"
    write_sheet(film, path)
    lines = path.read_text().splitlines()
    wrong = next(i for i, line in enumerate(lines) if "name: Anna" in line)
    lines[wrong] = "  name: [Anna]"
    path.write_text("\n".join(lines))
    with pytest.raises(UsageError, match=rf"line {wrong + 1} \(people\[2\].name\)"):
        apply_sheet(film, path)


def test_people_who_meet_are_joined_by_force(film, sheet):
    sheet.edit(lambda _, p: p[1].update(tracks=[1, 2]) or p[2].update(tracks=[4]))
    apply_sheet(film, sheet.path, force=True)
    assert tracks(film)[1] == (1, 2)


def test_people_told_apart_are_joined_by_force(film, sheet):
    film.tell_apart([1, 3])
    write_sheet(film, sheet.path, overwrite=True)
    sheet.edit(lambda _, p: p[1].update(tracks=[1, 3]) or p[3].update(tracks=[]))
    with pytest.raises(UsageError, match=r"people\[0\].*1 and 3 are different people"):
        apply_sheet(film, sheet.path)
    apply_sheet(film, sheet.path, force=True)
    assert tracks(film)[1] == (1, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("people: [", "line 1: this is not YAML"),
        ("a: 1\nb: 2\na: 3\n", "line 3: this is not YAML \\(a is said twice\\)"),
        ("", "expected a valid dictionary"),
        ("- 1\n- 2\n", "expected a valid dictionary"),
        ("!!python/object/apply:os.getcwd []", "line 1: this is not YAML"),
    ],
)
def test_what_is_no_sheet_is_refused(film, tmp_path, text, words):
    path = tmp_path / "review.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        apply_sheet(film, path)


def test_what_is_no_json_is_refused(film, tmp_path):
    path = tmp_path / "review.json"
    path.write_text('{"review": 1,\n "people": }')
    with pytest.raises(UsageError, match="line 2: this is not JSON"):
        apply_sheet(film, path)
    path.write_text('{"review": 1, "review": 1}')
    with pytest.raises(UsageError, match="review is said twice"):
        apply_sheet(film, path)


def test_files_are_named_properly_and_not_overwritten(film, tmp_path):
    with pytest.raises(UsageError, match=r"ends in \.yaml or \.json"):
        write_sheet(film, tmp_path / "review.txt")
    with pytest.raises(UsageError, match="There is no file"):
        apply_sheet(film, tmp_path / "review.yaml")
    path = tmp_path / "review.yml"
    path.write_text("hours of work")
    with pytest.raises(UsageError, match="exists already"):
        write_sheet(film, path)
    assert path.read_text() == "hours of work"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read as text"):
        apply_sheet(film, path)


def test_a_sheet_of_another_scan_or_video_is_refused(film, sheet, make, tmp_path):
    scan(film, make)
    with pytest.raises(ProjectError, match=r"about another scan of film\.mp4"):
        apply_sheet(film, sheet.path)
    other = Project.create(tmp_path / "other", make.video(tmp_path, "e" * 16))
    with other:
        scan(other, make)
        with pytest.raises(ProjectError, match="about another video"):
            apply_sheet(other, sheet.path)
        assert other.edits() == []


def test_another_project_of_the_same_video_is_refused(film, sheet, make, tmp_path):
    with Project.create(tmp_path / "other", make.video(tmp_path)) as other:
        scan(other, make)
        with pytest.raises(ProjectError, match="another scan"):
            apply_sheet(other, sheet.path)


def test_a_sheet_from_before_other_edits_takes_nothing_back(film, sheet):
    film.rename(4, "Zoe")
    with pytest.raises(ProjectError, match="before the project's latest edits"):
        apply_sheet(film, sheet.path)
    assert film.identity(4).name == "Zoe"
    assert len(film.edits()) == 2


def test_a_sheet_applied_twice_changes_nothing_the_second_time(film, sheet):
    sheet.edit(lambda _, people: people[1].update(name="Berta"))
    assert len(apply_sheet(film, sheet.path)) == 1
    assert apply_sheet(film, sheet.path) == []


def test_a_project_that_was_not_scanned_has_no_sheet(project, tmp_path):
    with pytest.raises(ProjectError, match="was not scanned yet"):
        write_sheet(project, tmp_path / "review.yaml")
    assert not (tmp_path / "review.yaml").exists()


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_names_that_look_like_something_else_come_back(film, tmp_path, suffix):
    for name in ("No", "12:30", "1e3", "- id: 9", "# x", "Zoë 😀 'q' \"d\" \\", "null"):
        film.rename(1, name)
        path = tmp_path / f"review.{suffix}"
        write_sheet(film, path, overwrite=True)
        assert SheetFile(path).sheet.people[0].name == name
        assert apply_sheet(film, path) == []
