"""Close-ups: never a reference by the user's word, and still not after another scan."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from refrestore.config import ScanSettings
from refrestore.errors import ProjectError
from refrestore.project import Project
from refrestore.types import Shot

SPANS = {1: (0, 200, 100.0), 2: (100, 300, 400.0)}


def scan(project, make, close_ups, spans=SPANS):
    """Scan with close-ups (track, frame, quality)."""
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_shot(Shot(0, 0, 1000, Fraction(2)))
        for number, (first, stop, left) in spans.items():
            writer.add_track(make.track(number, first, stop), make.faces(first, stop, left))
        for number, (track, frame, quality) in enumerate(close_ups):
            writer.add_reference(
                track, replace(make.reference(number, quality), frame=frame, source=f"at {frame}")
            )
        writer.set_identities([[number] for number in spans])


@pytest.fixture
def film(project, make):
    scan(project, make, [(1, 50, 0.5), (1, 150, 0.9), (2, 150, 0.7), (1, 52, 0.2)])
    return project


def used(project, identity):
    return sorted(one.frame for one in project.references(identity))


def test_close_ups_are_listed_by_person_and_quality(film):
    found = film.close_ups()
    assert [(one.identity, one.frame, one.quality) for one in found] == [
        (1, 150, 0.9), (1, 50, 0.5), (1, 52, 0.2), (2, 150, 0.7),
    ]  # fmt: skip
    assert all(one.used for one in found)
    assert film.close_ups(2) == found[3:]
    with pytest.raises(ProjectError, match="no identity 9"):
        film.close_ups(9)


def test_a_dropped_close_up_is_no_reference_until_it_is_used_again(film):
    best, second, third = (one.id for one in film.close_ups(1))
    film.drop_close_ups([best, third])
    assert used(film, 1) == [50]
    assert film.identity(1).references == 1
    assert used(film, 2) == [150]  # the other person of the same frame
    assert [one.used for one in film.close_ups(1)] == [False, True, False]
    film.use_close_ups([best])
    assert used(film, 1) == [50, 150]
    film.undo()
    assert used(film, 1) == [50]
    assert len(film.undo()) == 2  # what was dropped together comes back together
    assert used(film, 1) == [50, 52, 150]
    assert [one.value for one in film.redo()] == ["at 150", "at 52"]
    assert used(film, 1) == [50]
    assert film.close_ups(1)[1].id == second


def test_dropping_survives_closing_and_another_scan(film, make):
    film.drop_close_ups([one.id for one in film.close_ups() if one.frame in (50, 150)])
    film.close()
    with Project.open(film.folder) as again:
        assert used(again, 1) == [52]
        # New numbers, one track in two pieces, other close-ups chosen: 51 is as good as the 50
        # that was dropped, 54 is another look, and so is the other face of frame 150.
        spans = {7: (0, 120, 104.0), 8: (120, 200, 97.0), 9: (100, 300, 250.0)}
        scan(
            again,
            make,
            [(7, 51, 0.5), (7, 54, 0.5), (8, 150, 0.9), (9, 150, 0.7)],
            spans,
        )
        assert [one.frame for one in again.close_ups() if not one.used] == [51, 150]
        assert again.unresolved() == []
        assert sorted(one.frame for i in again.identities() for one in again.references(i.id)) == [
            54, 150,
        ]  # fmt: skip
        again.undo()
        assert all(one.used for one in again.close_ups())


def test_the_very_frame_is_meant_where_both_are_there(film, make):
    (one,) = (one for one in film.close_ups(1) if one.frame == 50)
    film.drop_close_ups([one.id])
    assert used(film, 1) == [52, 150]  # of the same scan only itself, two frames away or not
    scan(film, make, [(1, 50, 0.5), (1, 52, 0.5)])
    assert used(film, 1) == [52]


def test_a_scan_without_the_close_up_has_nothing_to_report(film, make):
    film.drop_close_ups([film.close_ups(1)[0].id])
    scan(film, make, [(1, 20, 0.5)])
    assert film.unresolved() == []
    assert used(film, 1) == [20]


def test_refusals_change_nothing(film, make):
    (one, two, _) = film.close_ups(1)
    with pytest.raises(ProjectError, match="no close-up 99 in this project"):
        film.drop_close_ups([one.id, 99])
    with pytest.raises(ProjectError, match=f"Close-up {two.id} is in use already"):
        film.use_close_ups([two.id])
    film.drop_close_ups([two.id])
    with pytest.raises(ProjectError, match=f"Close-up {two.id} is dropped already"):
        film.drop_close_ups([one.id, two.id])
    assert len(film.edits()) == 1
    assert used(film, 1) == [52, 150]


def test_a_photo_is_a_matter_of_its_profile(project, make):
    scan(project, make, [(1, None, 0.5)])
    (one,) = project.close_ups()
    with pytest.raises(ProjectError, match="a photo is a matter of the profile"):
        project.drop_close_ups([one.id])
    assert project.edits() == []


def places(project):
    return [(mark.frame, round(mark.box[0])) for mark in project.dropped_faces()]


def test_what_a_scan_must_not_take_is_said_by_place(film, make):
    assert film.dropped_faces() == ()
    film.drop_close_ups([one.id for one in film.close_ups() if one.frame in (50, 150)])
    assert sorted(frame for frame, _ in places(film)) == [50, 150, 150]
    both = sorted(left for frame, left in places(film) if frame == 150)
    assert both[0] == pytest.approx(100, abs=2)
    assert both[1] == pytest.approx(400, abs=2)
    film.undo()
    assert film.dropped_faces() == ()
    film.redo()
    # Another scan that took none of them: they are still not to be taken.
    scan(film, make, [(1, 20, 0.5)])
    assert sorted(frame for frame, _ in places(film)) == [50, 150, 150]


def test_a_close_up_used_again_may_be_taken_again(film, make):
    film.drop_close_ups([one.id for one in film.close_ups(1)])
    (fifty,) = (one for one in film.close_ups(1) if one.frame == 50)
    film.use_close_ups([fifty.id])
    assert sorted(frame for frame, _ in places(film)) == [52, 150]  # 52 is another close-up
    # In the next scan the look of 150 was taken a frame later: the word is about that look.
    scan(film, make, [(1, 151, 0.9), (2, 150, 0.7)])
    (later,) = (one for one in film.close_ups(1) if one.frame == 151)
    assert not later.used
    film.use_close_ups([later.id])
    assert places(film)[0][0] == 52
    assert len(places(film)) == 1
