"""A person made from photos, on the page."""

from __future__ import annotations

import pillow_heif
import pytest
from PIL import Image
from playwright.sync_api import expect

from refrestore.evaluate.demo import group_photo, portrait_photo


@pytest.fixture
def album(tmp_path):
    """Return a folder: three photos of the astronaut, somebody else, nobody, a torn one, a note."""
    folder = tmp_path / "album"
    folder.mkdir()
    group = group_photo()
    height, width = group.shape[:2]
    nearest = group[int(0.2 * height) : int(0.6 * height), int(0.05 * width) : int(0.27 * width)]
    portrait = portrait_photo()
    pillow_heif.register_heif_opener()
    Image.fromarray(portrait).save(folder / "one.heic", "HEIF", quality=90)
    Image.fromarray(portrait[:, ::-1]).save(folder / "two.jpg", quality=95)
    Image.fromarray(portrait // 2 + 40).save(folder / "three.png")
    Image.fromarray(nearest).save(folder / "somebody.jpg", quality=95)
    Image.fromarray(portrait[400:]).save(folder / "nobody.jpg", quality=95)
    (folder / "torn.jpg").write_bytes((folder / "two.jpg").read_bytes()[:3000])
    (folder / "two.jpg.xmp").write_text("<x/>")
    return folder


def bare(review):
    """Return somebody of whom the film has no close-up."""
    cards = review.json("/api/identities")["identities"]
    return next(card for card in cards if card["wanted"])


def line(review, name):
    return review.page.get_by_test_id("photo").filter(has_text=name)


def test_a_folder_on_a_card_becomes_a_profile_that_is_linked(review, album):
    page, who = review.page, bare(review)
    review.watched.allow("400")
    card = review.card(who["id"])
    expect(card.get_by_test_id("wanted")).to_contain_text("add 3 to 5 sharp photos")
    page.keyboard.press("Escape")
    card.get_by_test_id("card-photos").click()
    dialog = page.get_by_test_id("new-person")
    expect(dialog).to_contain_text(who["wanted"])
    expect(dialog.get_by_test_id("make-profile")).to_be_disabled()
    dialog.get_by_test_id("folder-input").set_input_files(album)
    expect(dialog.get_by_test_id("photo")).to_have_count(6)  # the note is none
    for name in ("one.heic", "two.jpg", "three.png", "somebody.jpg"):
        expect(line(review, name)).to_have_attribute("data-state", "added")
        expect(line(review, name)).to_contain_text("A face of")
    expect(line(review, "nobody.jpg")).to_contain_text("no face was found")
    expect(line(review, "torn.jpg")).to_contain_text("damaged or truncated")
    assert review.store.list() == []
    dialog.get_by_test_id("profile-name").fill("Eileen")
    dialog.get_by_test_id("make-profile").click()
    expect(dialog.get_by_test_id("made")).to_contain_text("Eileen is a profile of 3 close-ups")
    expect(line(review, "somebody.jpg")).to_contain_text("somebody else than the others")
    expect(line(review, "somebody.jpg")).to_have_attribute("data-state", "refused")
    dialog.get_by_test_id("close-album").click()
    assert [one.source[:8] for one in review.store.load("Eileen").references] != []
    assert review.people()[who["id"]].profile == "Eileen"
    expect(card.get_by_test_id("profile-line")).to_contain_text("Eileen")
    expect(card.get_by_test_id("wanted")).to_have_count(0)
    page.keyboard.press("Control+z")
    expect(page.get_by_test_id("announcement")).to_contain_text("Undone: Link")
    assert review.people()[who["id"]].profile is None
    assert review.store.list() == ["Eileen"]


def test_two_people_are_no_profile_and_a_name_that_is_taken_is_asked_about(review, album):
    page = review.page
    review.watched.allow("400", "409")
    page.get_by_test_id("view-profiles").click()
    page.get_by_test_id("new-person-button").click()
    dialog = page.get_by_test_id("new-person")
    choose = dialog.get_by_test_id("photo-input")
    choose.set_input_files([album / "two.jpg", album / "somebody.jpg"])
    dialog.get_by_test_id("profile-name").fill("Eileen")
    expect(dialog.get_by_test_id("make-profile")).to_contain_text("2 photos")
    page.keyboard.press("Enter")
    expect(dialog.get_by_test_id("album-trouble")).to_contain_text("shows different people")
    assert review.store.list() == []
    choose.set_input_files([album / "one.heic"])
    expect(dialog.get_by_test_id("make-profile")).to_contain_text("3 photos")
    dialog.get_by_test_id("make-profile").click()
    expect(dialog.get_by_test_id("made")).to_contain_text("2 close-ups")
    dialog.get_by_test_id("close-album").click()
    profile = page.locator('[data-testid="profile"][data-profile="Eileen"]')
    expect(profile).to_contain_text("2 close-ups")

    page.get_by_test_id("new-person-button").click()
    dialog.get_by_test_id("photo-input").set_input_files([album / "three.png"])
    dialog.get_by_test_id("profile-name").fill("Eileen")
    expect(dialog.get_by_test_id("make-profile")).to_be_enabled()
    dialog.get_by_test_id("make-profile").click()
    expect(dialog.get_by_test_id("album-asks")).to_contain_text("There is a profile Eileen already")
    dialog.get_by_test_id("make-profile").click()
    review.done("Eileen is a profile of 3 close-ups")
    expect(dialog).to_have_count(0)
    expect(profile).to_contain_text("3 close-ups")


def test_files_dropped_on_a_card_are_its_photos(review, album):
    page, who = review.page, bare(review)
    card = review.card(who["id"])
    content = list((album / "two.jpg").read_bytes())
    transfer = page.evaluate_handle(
        """content => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(content)], "two.jpg", {type: "image/jpeg"}));
          return data;
        }""",
        content,
    )
    card.dispatch_event("dragover", {"dataTransfer": transfer})
    expect(card).to_contain_text("Add photos")
    card.dispatch_event("drop", {"dataTransfer": transfer})
    expect(line(review, "two.jpg")).to_have_attribute("data-state", "added")
    page.get_by_test_id("new-person").get_by_test_id("profile-name").press("Escape")
    expect(page.get_by_test_id("new-person")).to_have_count(0)
    assert review.store.list() == []


def test_a_full_album_says_so_of_all_the_rest_and_asks_no_more(review, album, monkeypatch):
    monkeypatch.setattr("refrestore.review.photo_desk.MOST_PHOTOS", 1)
    page = review.page
    review.watched.allow("409")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_test_id("view-profiles").click()
    page.get_by_test_id("new-person-button").click()
    dialog = page.get_by_test_id("new-person")
    names = ["two.jpg", "one.heic", "three.png", "somebody.jpg"]
    dialog.get_by_test_id("photo-input").set_input_files([album / name for name in names])
    for name in names[1:]:
        expect(line(review, name)).to_contain_text("1 photos at most")
    expect(dialog.get_by_test_id("make-profile")).to_contain_text("1 photo")
    assert len([url for url in asked if url.endswith("/photos")]) == 2
