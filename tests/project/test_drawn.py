"""A track that the user drew: stored whole, undone, and kept over a new scan."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from refrestore.config import ScanSettings
from refrestore.errors import ProjectError
from refrestore.project import Project
from refrestore.project.drawn import DrawnTrack, add_drawn
from refrestore.project.scan_folder import scan_folder, thumbnail_path
from refrestore.types import Shot

FOUND = {1: (0, 100, 100.0), 2: (0, 100, 300.0)}
PICTURE = np.full((128, 128, 3), 90, np.uint8)


@pytest.fixture
def scanned(project, make):
    make.scan(project, FOUND, [[1], [2]])
    return project


def drawn(make, first=20, stop=80, left=500):
    references = [make.reference(1, frame=first), make.reference(2, frame=stop - 1)]
    faces = make.faces(first, stop, left)
    return DrawnTrack(make.track(0, first, stop), faces, references, PICTURE)


def held(project):
    return {one.id: one.tracks for one in project.identities()}


def files(project):
    return {path for path in project.folder.rglob("*") if path.suffix in (".png", ".jpg")}


def test_it_is_somebody_with_faces_close_ups_and_a_picture(scanned, make):
    what = drawn(make)
    assert add_drawn(scanned, 1, what, name="Zoe") == (3, 3)
    person = scanned.identity(3)
    assert (person.name, person.tracks, person.references, person.faces) == ("Zoe", (3,), 2, 60)
    (track,) = scanned.tracks([3])
    assert (track.first, track.stop, track.size) == (20, 80, 40)
    faces = scanned.faces([3])
    assert np.array_equal(faces.box, what.faces.box)
    assert np.array_equal(faces.frame, np.arange(20, 80))
    assert sorted(one.frame for one in scanned.references(3)) == [20, 79]
    assert abs(scanned.thumbnail(3).astype(int) - 90).max() < 3
    assert scanned.track_count() == 3
    assert not scanned.settled_tracks()


def test_one_undo_takes_face_and_name_back_and_a_redo_brings_them(scanned, make):
    before = scanned.identities()
    add_drawn(scanned, 1, drawn(make), name="Zoe")
    after = scanned.identities()
    assert [edit.action for edit in scanned.undo()] == ["rename", "draw"]
    assert scanned.identities() == before
    scanned.redo()
    assert scanned.identities() == after
    scanned.undo()
    assert add_drawn(scanned, 1, drawn(make)) == (4, 4)  # no number is given twice


def test_it_is_of_somebody_who_is_there(scanned, make):
    add_drawn(scanned, 1, drawn(make, 200, 260), identity=1)
    assert held(scanned) == {1: (1, 3), 2: (2,)}
    assert scanned.settled_tracks() == {3}


def test_a_second_one_overwrites_nothing(scanned, make):
    add_drawn(scanned, 1, drawn(make))
    first = files(scanned)
    add_drawn(scanned, 1, drawn(make, left=400))
    assert first < files(scanned)
    assert len(files(scanned)) == 6
    assert [one.references for one in scanned.identities()] == [0, 0, 2, 2]


@pytest.mark.parametrize("wrong", ["scan", "covered", "identity"])
def test_nothing_is_half_written(scanned, make, wrong):
    before, pictures, entries = held(scanned), files(scanned), scanned.last_entry()
    what = drawn(make, left=300 if wrong == "covered" else 500)
    said = {"scan": "scanned again", "covered": "has a face there", "identity": "no identity 9"}
    with pytest.raises(ProjectError, match=said[wrong]):
        add_drawn(
            scanned, 7 if wrong == "scan" else 1, what, identity=9 if wrong == "identity" else None
        )
    assert (held(scanned), files(scanned), scanned.last_entry()) == (before, pictures, entries)
    assert scanned.track_count() == 2
    assert scanned.next_identity() == 3


def rescan(project, make, spans, groups, *, cut=1000, recogniser=""):
    with project.begin_scan(ScanSettings(), recogniser=recogniser) as writer:
        writer.add_shot(Shot(0, 0, cut, Fraction(2)))
        if cut < 1000:
            writer.add_shot(Shot(1, cut, 1000, 2 + Fraction(cut, 25)))
        for number, (first, stop, left) in spans.items():
            writer.add_track(make.track(number, first, stop), make.faces(first, stop, left))
        writer.set_identities(groups)


def test_a_new_scan_that_misses_it_too_keeps_it(scanned, make):
    what = drawn(make)
    add_drawn(scanned, 1, what, name="Zoe")
    scanned.undo()
    before = scanned.scan_id()
    rescan(scanned, make, {5: FOUND[1], 6: FOUND[2]}, [[5], [6]])
    assert held(scanned) == {1: (5,), 2: (6,)}  # it was taken back
    scanned.redo()
    assert held(scanned) == {1: (5,), 2: (6,), 3: (7,)}
    person = scanned.identity(3)
    assert (person.name, person.references) == ("Zoe", 2)
    assert np.array_equal(scanned.faces([7]).box, what.faces.box)
    assert thumbnail_path(scan_folder(scanned.folder, scanned.scan_id()), 7).is_file()
    assert not scan_folder(scanned.folder, before).exists()
    rescan(scanned, make, {1: FOUND[1]}, [[1]])  # and once more, from one that was kept
    assert held(scanned) == {1: (1,), 3: (2,)}
    assert scanned.unresolved() == []


def test_a_new_scan_that_finds_it_does_not_have_it_twice(scanned, make):
    add_drawn(scanned, 1, drawn(make), name="Zoe")
    rescan(scanned, make, {5: FOUND[1], 6: (15, 90, 500.0)}, [[5], [6]])
    assert held(scanned) == {1: (5,), 3: (6,)}
    assert scanned.identity(3).name == "Zoe"
    assert scanned.track_count() == 2


def test_what_a_new_scan_finds_of_it_is_cut_out(scanned, make):
    add_drawn(scanned, 1, drawn(make))
    rescan(scanned, make, {5: FOUND[1], 6: (60, 90, 500.0)}, [[5, 6]])
    assert held(scanned) == {1: (5, 6), 3: (7,)}
    (track,) = scanned.tracks([7])
    assert (track.first, track.stop) == (20, 60)
    assert [one.frame for one in scanned.references(3)] == [20]


def test_a_track_of_nobody_is_no_face_that_is_found(scanned, make):
    add_drawn(scanned, 1, drawn(make))
    rescan(scanned, make, {5: FOUND[1], 6: (15, 90, 500.0)}, [[5]])
    assert held(scanned)[3] == (7,)


def test_a_new_cut_divides_it(scanned, make):
    add_drawn(scanned, 1, drawn(make))
    rescan(scanned, make, {5: FOUND[1]}, [[5]], cut=50)
    (early, late) = scanned.tracks(held(scanned)[3])
    assert (early.shot, early.first, early.stop) == (0, 20, 50)
    assert (late.shot, late.first, late.stop) == (1, 50, 80)


def test_another_recogniser_cannot_use_what_the_first_saw(project, make):
    rescan(project, make, {1: FOUND[1]}, [[1]], recogniser="one")
    add_drawn(project, 1, drawn(make))
    rescan(project, make, {1: FOUND[1]}, [[1]], recogniser="other")
    (track,) = project.tracks(held(project)[2])
    assert (track.embedding, track.embedding_weight) == (None, 0)
    assert project.identity(2).references == 0


def test_a_copy_opens_alike(scanned, make, tmp_path):
    import shutil

    add_drawn(scanned, 1, drawn(make), name="Zoe")
    said = scanned.identities()
    scanned.close()
    shutil.copytree(scanned.folder, tmp_path / "copy")
    with Project.open(tmp_path / "copy") as again:
        assert again.identities() == said
