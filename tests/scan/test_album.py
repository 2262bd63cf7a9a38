"""Profiles of everybody whom an album names, on the photos inside the test packages."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from refrestore.cli.profile import app
from refrestore.config import PROFILES_VARIABLE, RuntimeSettings
from refrestore.errors import MediaError, ProfileError, UsageError
from refrestore.evaluate.demo import group_photo, portrait_photo
from refrestore.faces.analyser import load_face_models
from refrestore.models.pack import load_face_pack
from refrestore.profiles import ProfileStore
from refrestore.scan import album as album_module
from refrestore.scan.album import build_from_album
from refrestore.scan.photos import Tagged, faces_of_pictures
from tests.media.xmp import digikam, lightroom, people_tags, picasa

RUNTIME = RuntimeSettings(device="cpu", threads=1)


@pytest.fixture(scope="module")
def models():
    return load_face_models(load_face_pack(RUNTIME), "cpu", threads=1)


@pytest.fixture(scope="module")
def group(models):
    """Return the group photo twice as large, and its six faces as regions, left to right."""
    picture = np.asarray(Image.fromarray(group_photo()).resize((2560, 1772), Image.LANCZOS))
    found = models.detector.detect([picture], [0], 640)
    height, width = picture.shape[:2]
    faces = []
    for left, top, right, bottom in sorted(found.box.tolist()):
        w, h = (right - left) / width, (bottom - top) / height
        faces.append(((left + right) / 2 / width, (top + bottom) / 2 / height, 1.4 * w, 1.3 * h))
    assert len(faces) == 6
    return picture, faces


def put(path, picture, xmp, orientation=1):
    """Write a photo as a camera that was held in another way has stored it."""
    exif = Image.Exif()
    image = Image.fromarray(picture)
    if orientation != 1:
        exif[0x0112] = orientation
        image = image.rotate({6: 90, 8: 270, 3: 180}[orientation], expand=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=92, exif=exif, xmp=xmp.encode())


def head(picture):
    """Return the astronaut's face, as a region that was drawn by hand."""
    height, width = picture.shape[:2]
    return 0.44 * 512 / width, 0.22 * 512 / height, 0.25 * 512 / width, 0.3 * 512 / height


@pytest.fixture
def photos(tmp_path, group):
    """Six people in one picture, the first two of whom are named; and an astronaut three times."""
    folder = tmp_path / "photos"
    picture, faces = group
    size = picture.shape[1::-1]
    put(folder / "1999" / "b.jpg", picture, picasa([("Ann", *faces[0]), ("Bo", *faces[1])], size))
    darker = (picture * 0.8).astype(np.uint8)
    named = lightroom([("Ann", *faces[0]), ("Bo", *faces[1])], size)
    put(folder / "1999" / "c.jpg", darker, named)
    portrait = portrait_photo()
    put(folder / "a.jpg", portrait, digikam([("Eileen", *head(portrait))], (512, 512)))
    x, y, w, h = head(portrait)
    # As it is stored, on its side: y of the upright picture goes to the right.
    put(folder / "turned.jpg", portrait, digikam([("Eileen", y, 1 - x, h, w)], (512, 512)), 6)
    put(folder / "lit.jpg", portrait // 2 + 60, people_tags([("Eileen", x, y, w, h)], None))
    Image.fromarray(portrait).save(folder / "nobody.jpg")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    return folder


@pytest.fixture
def build(tmp_path):
    store = ProfileStore(tmp_path / "profiles")
    return partial(build_from_album, store=store, runtime=RUNTIME), store


def test_only_the_face_in_the_region_is_taken(models, tmp_path, group):
    picture, faces = group
    path = tmp_path / "group.png"
    Image.fromarray(picture).save(path)
    boxes = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in faces]
    found = faces_of_pictures([Tagged(path, (box,)) for box in boxes], models)
    assert not found.rejected
    alike = np.stack([one.embedding for one in found.references])
    assert np.max(alike @ alike.T - 2 * np.eye(6)) < 0.5  # six people
    (wrong,) = faces_of_pictures([Tagged(path, ((0.0, 0.9, 0.05, 0.99),))], models).rejected
    assert wrong.reason == "no face was found in its region"
    both = faces_of_pictures([Tagged(path, ((0.0, 0.9, 0.05, 0.99), boxes[2]))], models)
    assert both.references[0].embedding @ found.references[2].embedding > 0.999


def test_a_close_up_shows_what_is_around_the_region_too(models, tmp_path):
    portrait = portrait_photo()
    path = tmp_path / "portrait.png"
    Image.fromarray(portrait).save(path)
    x, y, w, h = head(portrait)
    box = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    found = faces_of_pictures([Tagged(path, (box,)), portrait], models)
    meant, whole = found.references
    assert meant.embedding @ whole.embedding > 0.98
    assert np.abs(meant.image.astype(int) - whole.image).mean() < 25


def test_everybody_who_is_named_gets_a_profile(photos, build):
    run, store = build
    told = []
    album = run(photos, progress=lambda *news: told.append(news))
    assert [(one.name, one.photos, one.problem) for one in album.people] == [
        ("Ann", 2, None),
        ("Bo", 2, None),
        ("Eileen", 3, None),
    ]
    assert store.list() == ["Ann", "Bo", "Eileen"]
    assert [len(store.load(name).references) for name in store.list()] == [2, 2, 3]
    assert told[0] == ("photos", 0, 7)
    assert told[-1] == ("photos", 7, 7)
    ((torn),) = album.unread
    assert torn.source.endswith("torn.jpg")
    assert torn.reason.startswith("it is damaged or truncated")
    ann, bo = store.load("Ann"), store.load("Bo")
    assert ann.similarity(bo.centroid) < 0.4
    assert not [one for one in store.load("Eileen").references if one.native_size < 90]


def test_a_profile_that_is_there_learns_or_is_made_anew(photos, build):
    run, store = build
    picture = portrait_photo()
    smaller = photos.parent / "first"
    put(smaller / "x.jpg", picture[:, ::-1].copy(), lightroom([mirrored(picture)], (512, 512)))
    run(smaller)
    before = store.load("Eileen")
    (person,) = run(photos, name="Eileen").people
    assert (person.taught, person.built.new) == (True, 3)
    assert len(store.load("Eileen").references) == 4
    assert store.list() == ["Eileen"]
    (person,) = run(photos, name="Eileen", replace_existing=True).people
    assert (person.taught, person.built.new) == (False, 3)
    assert len(store.load("Eileen").references) == 3
    assert before.similarity(store.load("Eileen").centroid) > 0.5


def mirrored(picture):
    x, y, w, h = head(picture)
    return "Eileen", 1 - x, y, w, h


def test_a_wrong_name_stops_nobody_else(photos, build, group):
    run, store = build
    run(photos, name="Bo")
    known = json.dumps(sorted(one.source for one in store.load("Bo").references))
    picture, faces = group
    size = picture.shape[1::-1]
    named = digikam([("Bo", *faces[4]), ("a/b", *faces[3]), ("Cat", 0.02, 0.95, 0.03, 0.03)], size)
    put(photos.parent / "second" / "x.jpg", picture, named)
    with pytest.raises(ProfileError, match=r"No profile was made: Bo \(and 2 more people\): "):
        run(photos.parent / "second")
    put(photos.parent / "second" / "y.jpg", picture, digikam([("Dan", *faces[2])], size))
    problems = {one.name: one.problem for one in run(photos.parent / "second").people}
    assert problems["Dan"] is None
    assert "shows somebody else than Bo" in problems["Bo"]
    assert "cannot be the name of a profile" in problems["a/b"]
    assert problems["Cat"].startswith("none of the photos can be used; ")
    assert "no face was found in its region" in problems["Cat"]
    assert store.list() == ["Bo", "Dan"]
    assert json.dumps(sorted(one.source for one in store.load("Bo").references)) == known


def test_albums_that_name_nobody(tmp_path, build):
    run, store = build
    folder = tmp_path / "plain"
    folder.mkdir()
    with pytest.raises(UsageError, match="no picture in"):
        run(folder)
    with pytest.raises(MediaError, match="is not a folder"):
        run(folder / "gone")
    Image.fromarray(portrait_photo()).save(folder / "a.jpg")
    with pytest.raises(ProfileError, match="has a face region with a name"):
        run(folder)
    with pytest.raises(ProfileError, match="with the name 'Ann'"):
        run(folder, name="Ann")
    assert store.list() == []


def test_of_many_photos_the_largest_faces_are_looked_at(photos, build, monkeypatch):
    run, _ = build
    monkeypatch.setattr(album_module, "MOST_FACES", 1)
    (person,) = run(photos, name="Eileen").people
    assert (person.photos, person.built.new) == (3, 1)


def test_the_command(photos, tmp_path):
    def invoke(*words):
        environment = {PROFILES_VARIABLE: str(tmp_path / "profiles")}
        return CliRunner().invoke(app, ["build", *map(str, words)], env=environment)

    said = invoke("--from-album", photos, "--threads", 1).stdout
    assert "Eileen: 3 close-ups" in said
    assert "3 new, made of 3" in said
    assert "Not read: " in said
    said = json.loads(invoke("Bo", "--from-album", photos, "--json", "--threads", 1).stdout)
    (bo,) = said["people"]
    assert (bo["name"], bo["taught"], bo["new"], bo["problem"]) == ("Bo", True, 0, None)
    assert bo["profile"]["references"] == 2
    assert isinstance(invoke("--from-album", photos, "--photos", photos).exception, UsageError)
    assert isinstance(invoke("--photos", photos).exception, UsageError)
