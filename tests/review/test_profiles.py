"""Profiles from the page, with the real recogniser on real faces."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from insightface.data import get_image
from PIL import Image
from skimage.data import astronaut

from refrestore.profiles import ProfileStore
from refrestore.scan.build import build_profile


def people(real):
    """Return those with close-ups, best covered first."""
    cards = real.get("identities")["identities"]
    return sorted(
        (c for c in cards if c["close_ups"]["used"]), key=lambda c: -c["close_ups"]["used"]
    )


def encoded(picture, kind="JPEG", turned=False):
    """Return (H, W, 3) RGB as a photo comes: turned by its EXIF orientation if wanted."""
    image, buffer = Image.fromarray(picture), io.BytesIO()
    exif = Image.Exif()
    if turned:
        image = image.rotate(90, expand=True)
        exif[0x0112] = 6
    image.save(buffer, kind, exif=exif, quality=95)
    return buffer.getvalue()


@pytest.fixture
def anna(real, tmp_path):
    """Make a profile of the astronaut from one photo; return two others of her."""
    picture = astronaut()[:360, 60:420]
    (tmp_path / "anna.png").write_bytes(encoded(picture, "PNG"))
    build_profile(
        "Anna",
        photos=[tmp_path / "anna.png"],
        store=real.page_state.profile_index.store,
        runtime=real.page_state.settings.runtime,
    )
    darker = (picture * 0.8).astype(np.uint8)
    return np.ascontiguousarray(picture[:, ::-1]), darker


def somebody_else():
    """Return a face of the group photo that comes with insightface."""
    return np.ascontiguousarray(get_image("t1")[40:400, 430:800, ::-1])


def drop(real, name, content, kind="image/jpeg"):
    return real.http.post(
        f"/api/profiles/{name}/photos", content=content, headers={"Content-Type": kind}
    )


def test_a_person_is_saved_linked_and_recognised(real):
    who = people(real)[0]["id"]
    said = real.post("profiles", {"name": "Anna Ö", "identity": who})
    assert said["profile"]["name"] == "Anna Ö"
    assert said["profile"]["fits"]
    assert said["version"] == real.get("version")["version"]
    (listed,) = real.get("profiles")["profiles"]
    assert listed == said["profile"]
    cover = real.http.get(listed["cover"])
    assert Image.open(io.BytesIO(cover.content)).size == (256, 256)
    card = real.card(who)
    assert card["name"] == "Anna Ö"
    assert card["profile"]["found"]
    assert card["profile"]["certainty"] > 0.5
    assert real.undo()["said"] == [f"Link person {who} to Anna Ö"]
    card = real.card(who)
    assert card["profile"] is None
    assert card["likely_profile"]["name"] == "Anna Ö"
    (asked,) = real.get("suggestions")["profiles"]
    assert asked == {
        "identity": who,
        "name": "Anna Ö",
        "similarity": card["likely_profile"]["similarity"],
        "cover": listed["cover"],
    }
    real.edit({"do": "link", "identity": who, "profile": "Anna Ö"})
    real.edit({"do": "link", "identity": who, "profile": None})
    assert real.card(who)["profile"] is None


def test_no_to_a_profile_lasts_until_it_is_linked(real):
    who = people(real)[0]["id"]
    real.post("profiles", {"name": "Anna", "identity": who})
    real.undo()
    before = real.get("suggestions")["profiles"]
    assert [(one["identity"], one["name"]) for one in before] == [(who, "Anna")]
    no = {"do": "not_profile", "identity": who, "profile": "Anna"}
    assert real.edit(no)["said"] == [f"person {who} is not the profile Anna"]
    card = real.card(who)
    assert (card["likely_profile"], card["not_profiles"]) == (None, ["Anna"])
    assert real.get("suggestions")["profiles"] == []
    assert "said before" in real.edit(no, expect=400)["error"]
    for wrong in ("Cleo", "", None):
        real.edit({**no, "profile": wrong}, expect=400)
    assert real.get(f"identities/{who}")["log"] == [f"person {who} is not the profile Anna"]
    assert real.undo()["said"] == [f"person {who} is not the profile Anna"]
    assert real.get("suggestions")["profiles"] == before
    real.post("redo", {"version": real.get("version")["version"]})
    real.edit({"do": "link", "identity": who, "profile": "Anna"})
    assert real.card(who)["not_profiles"] == []
    assert real.card(who)["profile"]["name"] == "Anna"


def test_a_name_that_is_taken_is_added_to_only_if_asked(real, anna):
    one = people(real)[0]["id"]
    real.post("profiles", {"name": "Bo", "identity": one})
    said = real.post("profiles", {"name": "Bo", "identity": one}, expect=409)
    assert said["confirm"] == "add"
    real.post("profiles", {"name": "Bo", "identity": one, "add": True})
    said = real.post("profiles", {"name": "Anna", "identity": one, "add": True}, expect=400)
    assert "somebody else" in said["error"]
    assert real.card(one)["profile"]["name"] == "Bo"
    real.post("profiles", {"name": "X", "identity": 99}, expect=400)


def test_photos_of_the_person_are_learnt_and_others_refused(real, anna):
    store = real.page_state.profile_index.store
    answer = drop(real, "Anna", encoded(anna[0]))
    assert answer.status_code == 200, answer.text
    assert answer.json()["added"] == 1
    assert answer.json()["similarity"] > 0.4
    assert "Added to Anna" in answer.json()["sentence"]
    learnt = store.load("Anna").references
    assert len(learnt) == 2
    assert any(reference.source.startswith("photo added 2") for reference in learnt)
    again = drop(real, "Anna", encoded(anna[0])).json()
    assert (again["added"], "nothing new" in again["sentence"]) == (0, True)
    answer = drop(real, "Anna", encoded(somebody_else()))
    assert answer.status_code == 409, answer.text
    assert answer.json()["error"].startswith("This is not Anna")
    assert "confirm" not in answer.json()
    answer = drop(real, "Anna", encoded(np.full((400, 400, 3), 99, np.uint8)))
    assert (answer.status_code, "no face" in answer.json()["error"]) == (400, True)
    assert len(store.load("Anna").references) == 2
    assert drop(real, "Bo", encoded(anna[1])).status_code == 404


@pytest.mark.parametrize(("kind", "turned"), [("JPEG", True), ("WEBP", False), ("PNG", False)])
def test_photos_of_every_kind_and_turned(real, anna, kind, turned):
    content = encoded(anna[0], kind, turned)
    answer = drop(real, "Anna", content, f"image/{kind.lower()}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["similarity"] > 0.4


def test_photos_at_once_are_all_learnt(real, anna):
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one: drop(real, "Anna", encoded(one)), anna))
    assert [answer.json()["added"] for answer in answers] == [1, 1]
    assert len(real.page_state.profile_index.store.load("Anna").references) == 3


def test_a_profile_of_another_process_is_seen(real, tmp_path):
    one = people(real)[0]["id"]
    real.post("profiles", {"name": "Anna", "identity": one})
    store = ProfileStore(tmp_path / "profiles")
    store.export_file("Anna", tmp_path / "anna.refprofile")
    seen = real.get("version")["profiles_version"]
    store.import_file(tmp_path / "anna.refprofile", name="Annb")
    assert [p["name"] for p in real.get("profiles")["profiles"]] == ["Anna", "Annb"]
    store.remove("Annb")
    end = time.monotonic() + 30
    while real.get("version")["profiles_version"] < seen + 2 and time.monotonic() < end:
        real.get("identities")
        time.sleep(0.05)
    assert [p["name"] for p in real.get("profiles")["profiles"]] == ["Anna"]
    (tmp_path / "profiles" / "Anna" / "profile.json").write_text("{")
    (listed,) = real.get("profiles")["profiles"]
    assert not listed["fits"]
    assert listed["sentence"]
    assert real.card(one)["profile"]["found"]


def put(page, album, content, kind="image/jpeg"):
    headers = {"Content-Type": kind}
    return page.http.post(f"/api/albums/{album}/photos", content=content, headers=headers)


def test_an_album_becomes_a_profile_and_says_what_was_not_used(real, anna):
    who = people(real)[0]["id"]
    album = real.post("albums", {})["album"]
    for number, picture in enumerate((*anna, astronaut()[:360, 60:420], somebody_else()), start=1):
        said = put(real, album, encoded(picture)).json()
        assert said["photo"] == number
        assert said["sentence"].startswith("A face of ")
    refused = put(real, album, encoded(np.full((400, 400, 3), 99, np.uint8)))
    assert refused.status_code == 400
    assert refused.json()["error"] == "The photo was not added: no face was found in it."
    assert put(real, album, b"x", "text/plain").status_code == 415
    wanted = {"name": "Bo", "identity": who, "album": album}
    assert real.post("profiles", {**wanted, "name": "Anna"}, expect=409)["confirm"] == "add"
    assert "cannot be the name" in real.post("profiles", {**wanted, "name": "../x"}, 400)["error"]
    real.post("profiles", {**wanted, "identity": 99}, expect=400)
    assert real.page_state.profile_index.store.list() == ["Anna"]
    said = real.post("profiles", wanted)
    assert said["profile"]["references"] == 3
    ((outsider),) = said["refused"]
    assert outsider["photo"] == 4
    assert outsider["sentence"].startswith("Not used: it shows somebody else than the others")
    sources = [one.source for one in real.page_state.profile_index.store.load("Bo").references]
    assert all(one.startswith("photo ") and " added 2" in one for one in sources)
    assert real.card(who)["profile"]["name"] == "Bo"
    assert real.undo()["said"] == [f"Link person {who} to Bo"]
    assert real.post("profiles", wanted, expect=409)["confirm"] == "add"
    gone = real.post("profiles", {**wanted, "add": True}, expect=404)
    assert "not held any more" in gone["error"]


def test_an_album_of_two_people_or_of_nobody_leaves_nothing(real, anna):
    album = real.post("albums", {})["album"]
    said = real.post("profiles", {"name": "Bo", "album": album}, expect=400)
    assert "no photo to make a profile of" in said["error"]
    for picture in (anna[0], somebody_else()):
        put(real, album, encoded(picture))
    said = real.post("profiles", {"name": "Bo", "album": album}, expect=400)
    assert "shows different people" in said["error"]
    real.post("profiles", {"name": "Bo"}, expect=400)
    assert real.page_state.profile_index.store.list() == ["Anna"]


def test_albums_that_were_left_are_forgotten_and_full_ones_said(page, monkeypatch):
    from refrestore.review import photo_desk

    first, *_, last = (page.post("albums", {})["album"] for _ in range(photo_desk.MOST_ALBUMS + 1))
    assert put(page, first, b"").status_code == 404
    monkeypatch.setattr(photo_desk, "MOST_PHOTOS", 0)
    full = put(page, last, b"")
    assert full.status_code == 409
    assert "0 photos at most" in full.json()["error"]
