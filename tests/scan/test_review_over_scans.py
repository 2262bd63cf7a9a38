"""Every kind of decision about the people of a real film, over a second scan of other settings."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import get_args

import pytest

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import ProjectError
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures
from refrestore.project import Project
from refrestore.project.anchors import mark, resolve
from refrestore.project.edits import EditAction
from refrestore.scan.scan import scan

pytestmark = pytest.mark.shared

CLIP = "data/clips/face_recognition__examples_short_hamilton_clip.mp4"
"""A stage with five people and more, four shots."""

KEPT = (range(20, 46), range(88, 114), range(211, 229))
"""Frames of it: a part of every shot."""


class Faces:
    """Faces by their place in the film, whatever numbers a scan gives them."""

    def __init__(self, project, tracks):
        faces = project.faces(tracks)
        self.marks = mark([(faces.frame, faces.box)])

    def holders(self, project):
        """Return who has them now."""
        found = resolve(project.database, project.scan_id(), self.marks)
        holder = project.identity_of_track()
        return {holder[track] for track in found if track in holder}


@pytest.fixture(scope="module")
def runtime(shared):
    return RuntimeSettings(device="cpu", models_dir=shared / "models", threads=2)


@pytest.fixture(scope="module")
def film(shared, tmp_path_factory):
    film = tmp_path_factory.mktemp("stage") / "film.mp4"
    with VideoReader(shared / CLIP) as reader:
        wanted = (display_rgb(f) for f in reader if any(f.index in part for part in KEPT))
        write_pictures(film, wanted, rate=Fraction(30), options={"crf": "12"})
    return film


def automatic(project):
    groups: dict[int, list[int]] = {}
    for track, identity in project.automatic_identity_of_track().items():
        groups.setdefault(identity, []).append(track)
    return sorted(map(tuple, groups.values()))


def merge_somebody(project):
    firm = [who for who in project.identities() if not who.provisional]
    for one, other in combinations(firm, 2):
        try:
            project.merge([one.id, other.id])
        except ProjectError:
            continue
        return one, other
    raise AssertionError("all people of the clip are on screen together")


def test_decisions_survive_another_scan_and_can_all_be_undone(film, runtime, tmp_path):
    folder = tmp_path / "film"
    scan(film, folder, settings=ScanSettings(detect_every=5), runtime=runtime)
    with Project.open(folder) as project:
        before = [who for who in project.identities() if not who.provisional]
        one, other = merge_somebody(project)
        merged = Faces(project, one.tracks), Faces(project, other.tracks)
        # Everybody else once: what is said of them, and where they are.
        rest = [who for who in before if who not in (one, other)]
        places = {who.id: Faces(project, who.tracks) for who in rest}
        named, ignored, linked, nothing, *_ = rest
        project.tell_apart([named.id, ignored.id])
        project.rename(named.id, "Angelica")
        project.set_state(ignored.id, "ignore")
        project.link_profile(linked.id, "eliza")
        project.deny_profile(linked.id, "angelica")
        project.set_strength(linked.id, 0.5)
        project.not_faces(nothing.tracks)
        both = project.identity(one.id).tracks
        kept, split = both[0], both[-1]
        settled = Faces(project, [kept]), Faces(project, [split])
        project.keep_tracks([kept])
        fresh = project.separate([split])
        project.move_tracks([split], one.id)
        close_up = next(c for c in project.close_ups() if c.identity == linked.id)
        project.drop_close_ups([close_up.id])
        project.use_close_ups([close_up.id])
        project.drop_close_ups([close_up.id])
        # What is drawn over scans has tests of its own (test_draw).
        assert {edit.action for edit in project.edits()} == {*get_args(EditAction)} - {"draw"}
        made = len(project.edits())
    for every in (3, 5):
        scan(film, folder, settings=ScanSettings(detect_every=every), runtime=runtime)
        with Project.open(folder) as project:
            people = {who.id: who for who in project.identities()}
            assert project.unresolved() == []
            (joined,) = merged[0].holders(project) | merged[1].holders(project)
            assert joined not in (fresh, named.id, ignored.id)
            (here,) = places[named.id].holders(project)
            assert people[here].name == "Angelica"
            (alone,) = places[ignored.id].holders(project)
            assert people[alone].state == "ignore"
            assert (min(here, alone), max(here, alone)) in project.distinct()
            (eliza,) = places[linked.id].holders(project)
            assert people[eliza].profile == "eliza"
            assert people[eliza].not_profiles == ("angelica",)
            assert people[eliza].strength == 0.5
            (poster,) = places[nothing.id].holders(project)
            assert people[poster].state == "not_a_face"
            marks = settled[0].marks + settled[1].marks
            tracks = resolve(project.database, project.scan_id(), marks)
            assert {track for track in tracks if track is not None} <= project.settled_tracks()
            dropped = [c.frame for c in project.close_ups(eliza) if not c.used]
    assert dropped == [close_up.frame]  # the last scan took what the first one took
    with Project.open(folder) as project:
        assert close_up.frame not in {one.frame for one in project.references(eliza)}
        undone = 0
        while turned := project.undo():
            undone += len(turned)
        assert undone == made
        assert sorted(who.tracks for who in project.identities()) == automatic(project)
        assert all(c.used for c in project.close_ups())


def test_another_close_up_takes_the_place_of_a_dropped_one(film, runtime, tmp_path):
    folder = tmp_path / "film"
    settings = ScanSettings(max_references=3)
    scan(film, folder, settings=settings, runtime=runtime)
    with Project.open(folder) as project:
        # Whoever comes last has more close-ups than these.
        who = max(project.close_ups(), key=lambda one: one.frame).identity
        first, second, third = (one.frame for one in project.close_ups(who))
        project.drop_close_ups([one.id for one in project.close_ups(who) if one.frame == second])
        assert [one.frame for one in project.references(who)] == [first, third]
    scan(film, folder, settings=settings, runtime=runtime)
    with Project.open(folder) as project:
        now = {one.frame for one in project.references(who)}
        assert len(now) == 3
        assert second not in now
        assert first in now
        # It is kept beside them, so that the word can be taken back.
        assert [one.frame for one in project.close_ups(who) if not one.used] == [second]
        project.undo()
        assert second in {one.frame for one in project.references(who)}
    scan(film, folder, settings=settings, runtime=runtime)
    with Project.open(folder) as project:
        assert {one.frame for one in project.references(who)} == {first, second, third}
