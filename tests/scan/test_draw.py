"""A face that the scan missed is drawn: on the demo film, whose scan forgets one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.errors import ApartError, ProjectError, UsageError
from refrestore.evaluate.demo import CameraMove, CameraView, make_demo_film
from refrestore.faces.network_id import NetworkId
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures
from refrestore.moment import FrameNumber
from refrestore.project import Project
from refrestore.project.anchors import overlaps
from refrestore.project.opened_film import project_film
from refrestore.project.storing import store_track
from refrestore.scan import stretch as stretches
from refrestore.scan.draw import Pencil, draw_face
from refrestore.scan.follow_drawn import BoxFollower, cut_window, measured_motion, window
from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.scan import scan
from refrestore.scan.stretch import Stretch
from refrestore.scan.tracks import finish_drawn
from refrestore.types import Faces

SIZE = (320, 240)
MOVES = (
    CameraMove(CameraView(0.11, 0.37, 1.0), CameraView(0.13, 0.38, 1.0), 0.4),
    CameraMove(CameraView(0.2, 0.33, 0.6), CameraView(0.24, 0.34, 0.6), 0.96),
)
FIRST, STOP = 10, 34
"""Frames of the second shot, in which several people stand beside each other."""

AT = 22


@pytest.fixture(scope="module")
def pencil():
    return Pencil.open(RuntimeSettings(device="cpu", threads=1))


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """Return the project of a scan, and the faces of one track that is no longer in it."""
    folder = tmp_path_factory.mktemp("film")
    make_demo_film(folder / "film.mp4", moves=MOVES, size=SIZE)
    runtime = RuntimeSettings(device="cpu", threads=1)
    scan(folder / "film.mp4", folder / "project", settings=ScanSettings(), runtime=runtime)
    with Project.open(folder / "project") as project:
        whole = [one for one in project.tracks() if (one.first, one.stop) == (FIRST, STOP)]
        missed = max(whole, key=lambda one: one.size)
        faces = project.faces([missed.id])
        for table, key in (("tracks", "id"), ("chunks", "track"), ("reference_crops", "track")):
            project.database.execute(f"DELETE FROM {table} WHERE {key} = ?", (missed.id,))
    return folder / "project", missed, faces


@pytest.fixture
def project(scanned, tmp_path):
    shutil.copytree(scanned[0], tmp_path / "project")
    with Project.open(tmp_path / "project") as opened:
        yield opened


@pytest.fixture
def missed(scanned):
    return scanned[2]


def box_of(faces, frame=AT, larger=1.0):
    left, top, right, bottom = faces.box[faces.frame == frame][0].astype(float)
    across, down = (larger - 1) * (right - left) / 2, (larger - 1) * (bottom - top) / 2
    return max(0, left - across), max(0, top - down), right + across, bottom + down


def stretch_of(project, looked=lambda frame: None, known=None):
    shot = project.shots()[1]
    if known is None:
        known = project.faces(project.identity_of_track(), shot.first, shot.stop)
    return Stretch(project_film(project), project.entries(), shot, known, looked)


@pytest.mark.parametrize(("at", "larger"), [(AT, 1.0), (FIRST, 1.6), (STOP - 1, 0.8)])
def test_it_is_followed_to_both_ends_of_its_shot(project, pencil, missed, at, larger):
    told = []
    drawn = draw_face(
        project,
        FrameNumber(at),
        box_of(missed, at, larger),
        pencil=pencil,
        name="Zoe",
        progress=lambda *said: told.append(said),
    )
    assert (drawn.first, drawn.stop) == (FIRST, STOP)
    assert (drawn.start, drawn.end) == pytest.approx((FIRST / 25, STOP / 25))
    person = project.identity(drawn.identity)
    assert (person.name, person.tracks, person.faces) == ("Zoe", (drawn.track,), STOP - FIRST)
    faces = project.faces([drawn.track])
    assert overlaps(faces.box, missed.box).min() > 0.6
    assert np.linalg.norm(faces.keypoints - missed.keypoints, axis=-1).max() < 4
    assert (faces.score > 0.4).mean() > 0.9
    assert np.isfinite(faces.quality).all()
    assert np.isfinite(faces.pose).all()
    assert project.thumbnail(drawn.track).shape == (128, 128, 3)
    assert drawn.met == ()  # those beside it are others
    assert {stage for stage, _, _ in told} == {"follow"}
    done = [count for _, count, _ in told]
    assert done == sorted(done)


def test_it_is_known_as_a_scan_knows_it(project, pencil, scanned):
    _, before, faces = scanned
    drawn = draw_face(project, Fraction(AT, 25), box_of(faces), pencil=pencil)
    (track,) = project.tracks([drawn.track])
    assert track.embedding @ before.embedding > 0.9
    assert track.weak == before.weak
    assert track.shot == before.shot
    assert track.size == pytest.approx(before.size, rel=0.1)
    close_ups = project.close_ups(drawn.identity)
    assert len(close_ups) == drawn.references > 0
    assert all(FIRST <= one.frame < STOP for one in close_ups)
    assert f"film.mp4 at {close_ups[0].frame / 25:.3f} s" == close_ups[0].source
    before = project.identities()
    project.undo()
    assert drawn.identity not in [one.id for one in project.identities()]
    project.redo()
    assert project.identities() == before


def stored(project):
    files = sorted(path for path in project.folder.rglob("*.*g"))
    return project.identities(), project.track_count(), project.last_entry(), files


def refuse(project, pencil, error, words, box, at=AT, **more):
    before = stored(project)
    at = at if isinstance(at, Fraction) else FrameNumber(at)
    with pytest.raises(error, match=words):
        draw_face(project, at, box, pencil=pencil, **more)
    assert stored(project) == before


def test_a_face_that_is_known_is_named(project, pencil):
    other = next(one for one in project.tracks() if one.first <= AT < one.stop)
    holder = project.identity(project.identity_of_track()[other.id])
    words = rf"known already: it is {holder.name} \({holder.id}\), track {other.id}\."
    faces = project.faces([other.id])
    refuse(project, pencil, UsageError, words, box_of(faces))
    # A wide box overlaps it less than two boxes on one face do.
    refuse(project, pencil, UsageError, words, box_of(faces, larger=2.2))


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((300, 10, 340, 60), "The box 300,10,40,50 is not inside the picture, which is 320x240"),
        ((10, 10, 5, 60), "not inside"),
        ((-1, 10, 50, 60), "not inside"),
        ((10, 10, 20, 24), "smaller than 16 pixels"),
    ],
)
def test_a_box_that_cannot_be(project, pencil, box, words):
    refuse(project, pencil, UsageError, words, box)


def test_nobody_is_there(project, pencil):
    words = "No face was found in the box at frame 22, nor just before and after"
    refuse(project, pencil, UsageError, words, (2, 190, 42, 238))


def test_a_moment_that_is_not_there(project, pencil):
    box = (10, 10, 60, 70)
    refuse(project, pencil, UsageError, "has no frame 99f", box, at=99)
    refuse(project, pencil, UsageError, "has nothing at 9 s", box, at=Fraction(9))


def test_who_is_on_screen_already_is_somebody_else(project, pencil, missed):
    other = next(one for one in project.tracks() if one.first <= AT < one.stop)
    holder = project.identity_of_track()[other.id]
    words = f"on screen at that moment already, in track {other.id}"
    refuse(project, pencil, ApartError, words, box_of(missed), identity=holder)
    refuse(project, pencil, ProjectError, "no identity 99", box_of(missed), identity=99)


def test_a_name_that_cannot_be(project, pencil, missed):
    project.rename(project.identities()[0].id, "Anna")
    words = "somebody called Anna already, identity"
    refuse(project, pencil, UsageError, words, box_of(missed), name=" Anna")
    refuse(project, pencil, ProjectError, "printable", box_of(missed), name="A\n\x07")


def test_networks_that_are_not_the_scan_s(project, pencil, missed):
    other = replace(pencil, network=NetworkId("other", "0" * 16))
    refuse(project, other, UsageError, "choose the same --pack", box_of(missed))


def test_it_ends_where_the_person_it_is_given_to_is_seen(project, pencil, missed):
    """Nobody is in two places."""
    whole = next(one for one in project.tracks() if (one.first, one.stop) == (FIRST, STOP))
    holder = project.identity_of_track()[whole.id]
    short = project.faces([whole.id])
    project.database.execute("DELETE FROM chunks WHERE track = ?", (whole.id,))
    project.database.execute("DELETE FROM tracks WHERE id = ?", (whole.id,))
    late = short[short.frame >= 28]
    store_track(project.database, 1, replace(whole, first=28), late)
    project.database.execute("UPDATE tracks SET identity = ? WHERE id = ?", (holder, whole.id))
    drawn = draw_face(project, FrameNumber(AT), box_of(missed), pencil=pencil, identity=holder)
    assert drawn.identity == holder
    assert (drawn.first, drawn.stop, drawn.met) == (FIRST, 28, ())
    assert drawn.track in project.identity(holder).tracks


def test_it_ends_where_it_is_known_and_says_who_that_is(project, pencil, missed, scanned):
    """The second half of the face that was forgotten is somebody."""
    known = missed[missed.frame >= 28].with_columns(track=np.full(STOP - 28, 77))
    track = replace(scanned[1], id=77, first=28)
    store_track(project.database, 1, track, known)
    project.database.execute("UPDATE tracks SET identity = 50 WHERE id = 77")
    project.database.set_meta("next_identity", "51")
    drawn = draw_face(project, FrameNumber(AT), box_of(missed), pencil=pencil)
    assert (drawn.first, drawn.stop, drawn.met) == (FIRST, 28, (77,))


class Blind:
    """The detector, for which some frames show nothing."""

    def __init__(self, detector, frames):
        self._detector, self._frames = detector, frames

    def detect(self, images, frames, *sizes, **more):
        if frames[0] in self._frames:
            return Faces.empty()
        return self._detector.detect(images, frames, *sizes, **more)


def follow(project, pencil, missed, blind, at=AT):
    models = replace(pencil.models, detector=Blind(pencil.models.detector, blind))
    follower = BoxFollower(models, stretch_of(project), Fraction(25))
    return follower.follow(at, np.array(box_of(missed, at), np.float32))


def test_what_the_detector_does_not_see_for_a_while_is_followed_by_flow(project, pencil, missed):
    found = follow(project, pencil, missed, range(13, 20))
    assert [row.frame for row in found.rows] == list(range(FIRST, STOP))
    assert [row.frame for row in found.rows if row.score == 0] == list(range(13, 20))
    boxes = np.stack([row.box for row in found.rows])
    points = np.stack([row.keypoints for row in found.rows])
    assert overlaps(boxes, missed.box).min() > 0.6
    assert np.linalg.norm(points - missed.keypoints, axis=-1).max() < 5


def test_what_it_never_sees_again_ends_a_fifth_of_a_second_later(project, pencil, missed):
    found = follow(project, pencil, missed, [*range(FIRST, 18), *range(26, STOP)])
    assert (found.first, found.last) == (18 - 5, 25 + 5)


def test_it_may_be_drawn_where_the_detector_is_blind(project, pencil, missed):
    found = follow(project, pencil, missed, range(20, 25))
    assert [row.frame for row in found.rows] == list(range(FIRST, STOP))
    assert follow(project, pencil, missed, range(STOP)) is None


def test_the_part_that_was_meant_is_taken_where_it_changed_over(project, pencil, missed):
    found = follow(project, pencil, missed, [])
    middle = sorted(sample.frame for sample in found.best.samples)[6]
    for sample in found.best.samples:  # another person from the middle on
        if sample.frame >= middle:
            object.__setattr__(sample, "embedding", -sample.embedding)
    kept = finish_drawn(found, FIRST + 1, shot=1, rate=Fraction(25)).track
    assert (kept.first, kept.shot) == (FIRST, 1)
    assert kept.stop < STOP
    late = finish_drawn(found, STOP - 1, shot=1, rate=Fraction(25)).track
    assert (late.first, late.stop) == (kept.stop, STOP)


def test_frames_come_both_ways_a_few_at_a_time(project, monkeypatch):
    monkeypatch.setattr(stretches, "HELD_FRAMES", 4)
    looked = []
    back, on = stretch_of(project, looked.append).ways
    forwards = {one.number: one.display for one in on(FIRST)}
    assert list(forwards) == list(range(FIRST, STOP))
    backwards = list(back(AT))
    assert [one.number for one in backwards] == list(range(AT, FIRST - 1, -1))
    for one in backwards:
        assert np.array_equal(one.display, forwards[one.number])
    assert set(looked) >= set(range(FIRST, STOP))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Return pictures of a pattern that moves and grows, and by how much."""
    noise = np.random.default_rng(3).integers(0, 255, (300, 400, 3), np.uint8)
    pattern = cv2.GaussianBlur(noise, (0, 0), 3)
    pattern = cv2.normalize(pattern, None, 0, 255, cv2.NORM_MINMAX)
    grown = 1.03
    move = np.array([[grown, 0, 4.0], [0, grown, -2.5]])
    moved = cv2.warpAffine(pattern, move, (400, 300))
    path = tmp_path_factory.mktemp("moving") / "moving.mkv"
    write_pictures(path, [pattern, moved], rate=Fraction(25))
    with VideoReader(path, info=probe(path)) as reader:
        return [FrameForms(frame) for frame in reader], move


def test_motion_is_measured(moving):
    (last, picture), move = moving
    box = np.array([150, 100, 230, 190], np.float32)
    found = measured_motion(last, picture, box)
    corners = box.reshape(2, 2)
    assert found[:, :2] @ corners.T + found[:, 2:] == pytest.approx(
        move[:, :2] @ corners.T + move[:, 2:], abs=0.5
    )


def test_where_nothing_agrees_there_is_no_motion(moving):
    (last, _), _ = moving
    flat = FrameForms(replace(last._frame, picture=blank(last._frame.picture)))
    assert measured_motion(last, flat, np.array([150, 100, 230, 190], np.float32)) is None


def blank(picture):
    import av

    empty = np.full((picture.height, picture.width, 3), 128, np.uint8)
    return av.VideoFrame.from_ndarray(empty, "rgb24").reformat(format=picture.format.name)


def test_a_window_is_black_beyond_the_picture(moving):
    (last, _), _ = moving
    matrix = window(np.array([-20, 120, 60, 220], np.float32))
    shown = cut_window(last, matrix)
    edge = round(float(matrix[0] @ [-0.5, 0, 1]))
    assert 0 < edge < 256
    assert not shown[:, :edge].any()
    assert shown[:, edge:].min(axis=2).max() > 0
    assert (shown[100:150, edge : edge + 5].std(axis=(0, 1)) > 0).all()
