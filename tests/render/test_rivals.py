"""A clear face that is nearer to another person of the film gets none of this one's references."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
import torch

from refrestore.config import RenderSettings, RuntimeSettings, ScanSettings
from refrestore.engine.local import render
from refrestore.media.stills import read_picture
from refrestore.project import Project
from refrestore.render.face_table import FaceTable
from refrestore.render.guarding import GUARD_EVERY, GuardSample, along_tracks, weights_of
from refrestore.render.people import gather_people
from refrestore.render.rivals import Rivals, find_astray
from refrestore.render.tools import Tools
from refrestore.restore.bank import PHOTO, ReferenceBank
from refrestore.restore.guard import Belief, Choice, Judgement, Reason
from refrestore.scan.scan import scan
from refrestore.types import Faces, Identity, Track

JOHNNY, ROBERT = 3, 4
"""Photos that the film shows of the one and then of the other."""

LIKE_JOHNNY = 6
"""Shot of the photo of Robert that is like Johnny (lite: 0.40, to himself 0.66)."""

HELD = 5
"""Frames that a photo is shown for."""

AROUND = 40
"""Pixels added around a photo; the detector wants to see a whole head."""

SIDE = 160
"""Of the film's pictures."""

RUNTIME = RuntimeSettings(device="cpu", threads=1)


def write_film(pictures: Sequence[np.ndarray], film: Path) -> None:
    with av.open(str(film), "w") as output:
        stream = output.add_stream("libx264", 25, {"crf": "8"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(np.repeat(pictures, HELD, axis=0)):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


@pytest.fixture(scope="module")
def scanned(shared, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    people = shared / "data" / "identities"
    johnny = sorted((people / "celeb20_Johnny_Depp").iterdir())[:JOHNNY]
    robert = sorted((people / "celeb20_Robert_Downey_Jr").iterdir())[:ROBERT]
    pictures = []
    for photo in [*johnny, *robert]:
        image = read_picture(photo)
        image = np.pad(image, ((AROUND, AROUND), (AROUND, AROUND), (0, 0)), "edge")
        pictures.append(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    write_film(pictures, folder / "film.mp4")
    scan(folder / "film.mp4", folder / "project", settings=ScanSettings(), runtime=RUNTIME)
    return folder / "project"


@pytest.fixture(autouse=True)
def needed(monkeypatch) -> None:
    """Have every face worked on, sharp as these are: what is said of them then is the matter."""
    monkeypatch.setattr("refrestore.render.plan.need", lambda *_, **__: [])


@pytest.fixture
def film(scanned, tmp_path) -> Iterator[tuple[Project, int, int]]:
    """The user says that the last photo is Johnny; return the project, Johnny and Robert."""
    copy = tmp_path / "project"
    copy.mkdir()
    for file in sorted(scanned.rglob("*")):
        target = copy / file.relative_to(scanned)
        target.mkdir(exist_ok=True) if file.is_dir() else target.write_bytes(file.read_bytes())
    with Project.open(copy) as project:
        shots = {track.shot: track.id for track in project.tracks()}
        assert sorted(shots) == list(range(JOHNNY + ROBERT))
        holders = project.identity_of_track()
        johnny, robert = holders[shots[0]], holders[shots[JOHNNY]]
        for person, own in (
            (johnny, range(JOHNNY)),
            (robert, range(JOHNNY, LIKE_JOHNNY)),
            (johnny, [LIKE_JOHNNY]),
        ):
            for shot in own:
                if project.identity_of_track().get(shots[shot]) != person:
                    project.move_tracks([shots[shot]], person)
        yield project, johnny, robert


def from_shot(shot: int) -> RenderSettings:
    return RenderSettings(start=Fraction(shot * HELD, 25))


def restored(project: Project, folder: Path, shot: int = 0) -> dict[int, dict]:
    result = render(project, folder / "out.mp4", settings=from_shot(shot), runtime=RUNTIME)
    report = json.loads(result.report.read_text())
    return {person["id"]: person for person in report["identities"]}


@pytest.mark.shared
def test_the_user_is_refused_for_a_face_nearer_to_another(film, tmp_path, monkeypatch):
    project, johnny, robert = film
    rivals = gather_people(project, []).rivals
    assert sorted(rivals.ids) == sorted([johnny, robert])
    assert not rivals.kin
    people = restored(project, tmp_path)
    assert people[johnny]["beliefs"] == {"same person": 3, "another person of the film": 1}
    assert people[johnny]["reasons"][Reason.ANOTHER.value] == 1
    assert people[robert]["beliefs"] == {"same person": 3}
    # Without knowing of Robert the face is like Johnny enough.
    monkeypatch.setattr("refrestore.render.people.find_rivals", lambda *_: Rivals())
    monkeypatch.setattr("refrestore.render.people.find_astray", lambda *_: frozenset())
    alone = restored(project, tmp_path, LIKE_JOHNNY)
    assert alone[johnny]["beliefs"] == {"same person": 1}


@pytest.mark.shared
def test_a_person_in_two_pieces_is_no_rival_of_himself(film, tmp_path):
    project, johnny, robert = film
    tracks = {track.shot: track.id for track in project.tracks()}
    piece = project.split(robert, [tracks[JOHNNY]])
    pair = (min(robert, piece), max(robert, piece))
    rivals = gather_people(project, []).rivals
    assert rivals.kin == {pair}
    assert len(rivals.of(robert)) == len(rivals.of(piece)) == 1
    people = restored(project, tmp_path, JOHNNY)
    assert people[robert]["beliefs"] == {"same person": 2}
    assert people[piece]["beliefs"] == {"same person": 1}
    # Whom the user tells apart, are two; whom he links to one profile, are one however unlike.
    project.tell_apart([robert, piece])
    assert gather_people(project, []).rivals.kin == set()
    project.undo()
    project.link_profile(robert, "Robert")
    project.deny_profile(piece, "Robert")
    assert find_kin(project) == set()
    project.undo()
    assert find_kin(project) == {pair}
    project.tell_apart([robert, piece])
    project.link_profile(johnny, "Robert")
    assert find_kin(project) == {(min(johnny, robert), max(johnny, robert))}
    project.set_state(piece, "not_a_face")
    assert piece not in rivals_of(project).ids


def rivals_of(project: Project) -> Rivals:
    from refrestore.render.people import clear_centroid
    from refrestore.render.rivals import find_rivals

    tracks = {track.id: track for track in project.tracks()}
    identities = project.identities()
    clear = {one.id: clear_centroid([tracks[t] for t in one.tracks]) for one in identities}
    banks = {
        one.id: ReferenceBank.from_references(own)
        for one in identities
        if (own := project.references(one.id))
    }
    return find_rivals(project, identities, clear, banks)


def find_kin(project: Project) -> frozenset[tuple[int, int]]:
    return rivals_of(project).kin


@pytest.mark.shared
def test_a_scan_of_another_network_is_compared_by_its_close_ups(film, tmp_path):
    """Tracks of the old network mean nothing; the pictures of the close-ups do."""
    project, _, robert = film
    project.database.execute("UPDATE scans SET recogniser_digest = '0123456789abcdef'")
    project.database.execute("UPDATE tracks SET embedding = NULL")
    old = {one.id: project.references(one.id) for one in project.identities()}
    project.database.execute("UPDATE reference_crops SET embedding = zeroblob(1024)")
    settings = from_shot(JOHNNY)
    summary = render(project, tmp_path / "out.mp4", settings=settings, runtime=RUNTIME).summary
    assert any("embedded again" in note for note in summary["notes"])
    people = {person["id"]: person for person in summary["identities"]}
    assert old[robert]
    assert people[robert]["beliefs"] == {"same person": 3}


def test_who_a_face_is_is_seen_better_over_its_track():
    faces = np.eye(4, 512, dtype=np.float32)
    rivals = Rivals(means={7: faces[3]})
    seen = rivals.with_track(faces[:2], np.array([7, 8]))
    assert seen[0] @ faces[0] == pytest.approx(0.5**0.5)
    assert seen[0] @ faces[3] == pytest.approx(0.5**0.5)
    assert np.array_equal(seen[1], faces[1])  # of a track that nothing is known of, the face alone
    assert np.array_equal(faces, np.eye(4, 512))


def test_close_ups_of_another_look_are_hidden_where_enough_others_are_alike():
    eye = np.eye(512, dtype=np.float32)
    like, unlike = unit(0.9, 0.436), unit(0.4, 0, 0.9165)
    rows = [like, like, like, unlike, unlike, unlike]
    bank = replace(
        bank_of(eye[0]),
        **{
            name: np.repeat(getattr(bank_of(eye[0]), name), len(rows), axis=0)
            for name in ("landmarks", "pose", "quality", "native_size", "light")
        },
        images=bank_of(eye[0]).images.repeat(len(rows), 1, 1, 1),
        embeddings=np.stack(rows),
        frames=np.array([10, 20, 30, 40, PHOTO, 500]),
    )
    rivals = Rivals(means={7: eye[0]}, spans={7: (490, 600)})
    assert rivals.hidden(bank, 7, 500) == [3, 5]  # 4 is a photo, 5 its own frame
    assert rivals.hidden(bank, 7, 510) == [3]  # 5 is its own track's
    assert rivals.hidden(bank, 8, 20) == [1]  # nothing is known of this track
    few = replace(rivals, means={7: eye[2]})  # like the others, of which 3 are left
    assert few.hidden(bank, 7, 501) == [0, 1, 2]
    alone = replace(bank, embeddings=np.stack([unlike, *[like] * 5]))
    alone = replace(alone, frames=np.arange(6))
    assert few.hidden(alone, 7, 501) == []  # there would be too few left


def test_rivals_of_a_person():
    eye = np.eye(512, dtype=np.float32)
    rivals = Rivals(np.array([2, 5, 9]), eye[:3], frozenset({(5, 9)}))
    np.testing.assert_array_equal(rivals.of(2), eye[[1, 2]])
    np.testing.assert_array_equal(rivals.of(5), eye[[0]])
    np.testing.assert_array_equal(rivals.of(7), eye[:3])
    assert Rivals().of(2).shape == (0, 512)
    assert len(Tools(None, None, {}, 5, 8).rivals.ids) == 0


@pytest.mark.parametrize("belief", [Belief.ANOTHER, Belief.SOMEBODY_ELSE])
def test_neighbours_never_overrule_that_a_face_is_somebody_else(belief):
    count = 3 * GUARD_EVERY
    frames = np.arange(count)
    table = Faces(
        frame=frames,
        box=np.zeros((count, 4)),
        keypoints=np.zeros((count, 5, 2)),
        score=np.ones(count),
    ).with_columns(track=np.ones(count, np.int64))
    blank = np.zeros(count, np.float32)
    work = FaceTable(
        table, np.ones(count, np.int64), blank + 1, *[blank] * (len(FaceTable.__annotations__) - 3)
    )
    good = Judgement(Choice.RESTORED, Reason.BEST)
    samples = [
        GuardSample(7, 1, 1, good, Belief.SAME),
        GuardSample(22, 1, 1, Judgement(Choice.UNREFERENCED, Reason.ANOTHER), belief),
        GuardSample(37, 1, 1, good, Belief.SAME),
    ]
    guided, effect, invented = weights_of(work, samples)
    assert guided[22] == 0
    assert guided[7] == guided[37] == 1
    assert effect.min() == invented.min() == 1
    samples[1] = replace(samples[1], invented=0.0)
    invented = weights_of(work, samples)[2]
    assert (invented[7], invented[22], invented[37]) == (1, 0, 1)
    assert invented[14] == pytest.approx(8 / 15)
    flash = replace(samples[1], belief=Belief.SAME)
    assert weights_of(work, [samples[0], flash, samples[2]])[0].min() == 1
    # So is half a share that stands alone; two of them stand.
    half = replace(flash, judgement=replace(good, share=0.5))
    assert weights_of(work, [samples[0], half, samples[2]])[0].min() == 1
    halves = [samples[0], half, replace(half, frame=30), samples[2]]
    assert weights_of(work, halves)[0][22:31] == pytest.approx(0.5)


def unit(*parts: float) -> np.ndarray:
    vector = np.zeros(512, np.float32)
    vector[: len(parts)] = parts
    return vector / np.linalg.norm(vector)


def test_a_blurred_track_that_is_somebody_elses_over_its_length_is_astray() -> None:
    anna, ben = unit(1, 0), unit(0, 1)

    def track(number: int, embedding: np.ndarray, trust: float) -> Track:
        return Track(number, 0, 10 * number, 10 * number + 9, embedding, trust, 0.5, 30.0, False)

    tracks = {
        one.id: one
        for one in (
            track(1, anna, 0.9),
            track(2, unit(0.6, 0.2, 0.8), 0.2),  # blurred, but hers
            track(3, unit(0.1, 0.6, 0.8), 0.2),  # blurred, and his
            track(4, unit(0.3, 0.55, 0.8), 0.05),  # too faint to say so little
            track(6, unit(0.1, 0.6, 0.8), 0.05),  # faint, and his
            track(5, ben, 0.9),
        )
    }
    people = [
        Identity(1, "Anna", "restore", (1, 2, 3, 4, 6), 1.0, 40, 3),
        Identity(2, "Ben", "restore", (5,), 1.0, 10, 3),
    ]
    banks = {1: bank_of(anna), 2: bank_of(ben)}
    given = list(tracks.values())
    assert find_astray(Rivals(), people, given, banks) == {3, 6}
    kin = Rivals(kin=frozenset({(1, 2)}))
    assert not find_astray(kin, people, given, banks)
    assert not find_astray(Rivals(), people, given, {1: banks[1]})


def test_a_track_that_takes_no_references_has_no_bank() -> None:
    eye = np.eye(512, dtype=np.float32)
    banks = {1: bank_of(eye[0]), 2: bank_of(eye[1])}
    work = SimpleNamespace(identity=np.array([1, 1, 2, 3]), track=np.array([10, 11, 12, 13]))
    tools = Tools(None, None, banks, 5, 8, unreferenced={11})
    assert tools.banks_of(work) == [banks[1], None, banks[2], None]
    assert replace(tools, references=0).banks_of(work) == [None] * 4


def bank_of(embedding: np.ndarray) -> ReferenceBank:
    return ReferenceBank(
        torch.zeros((1, 3, 512, 512), dtype=torch.uint8),
        np.zeros((1, 468, 2), np.float32),
        np.zeros((1, 3), np.float32),
        np.ones(1, np.float32),
        np.full(1, 200, np.float32),
        embedding[None],
        np.full(1, 5),
        np.zeros((1, 64), np.float32),
    )


def test_what_decides_about_a_face_is_measured_along_its_track() -> None:
    frames = np.concatenate([np.arange(8, 120, GUARD_EVERY)] * 2)
    tracks = np.repeat([1, 2], len(frames) // 2)
    order = np.lexsort((tracks, frames))
    faces = Faces(
        frame=frames[order],
        box=np.tile(np.array([0, 0, 80, 80], np.float32), (len(frames), 1)),
        keypoints=np.zeros((len(frames), 5, 2), np.float32),
        score=np.ones(len(frames), np.float32),
        track=tracks[order],
    )
    blank = np.zeros(len(frames), np.float32)
    work = FaceTable(faces, *[blank] * (len(FaceTable.__annotations__) - 1))
    flickering = np.where(faces.track == 1, 0.0, np.arange(len(frames)) // 2 % 2).astype(np.float32)
    steady = along_tracks(work, flickering)
    assert not steady[faces.track == 1].any()  # of another track nothing is taken
    assert np.ptp(steady[faces.track == 2]) < 0.25
    both = along_tracks(work, np.stack([flickering, 1 - flickering], 1))
    np.testing.assert_allclose(both[:, 0], steady, atol=1e-6)
    np.testing.assert_allclose(both.sum(1), 1, atol=1e-6)
