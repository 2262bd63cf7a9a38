"""People kept for other films: saved, linked, taught by photos, and what teaches nothing."""

from __future__ import annotations

import pillow_heif
import pytest
from PIL import Image
from playwright.sync_api import expect

from refrestore.evaluate.demo import group_photo, portrait_photo

ASTRONAUT = 7


@pytest.fixture
def photos(tmp_path):
    """Return photos: another one of the astronaut by a phone, of somebody else, of nobody."""
    other = portrait_photo()[:, ::-1]
    group = group_photo()
    height, width = group.shape[:2]
    nearest = group[int(0.2 * height) : int(0.6 * height), int(0.05 * width) : int(0.27 * width)]
    pillow_heif.register_heif_opener()
    Image.fromarray(other).save(tmp_path / "mirrored.heic", "HEIF", quality=90)
    for name, picture in (("somebody", nearest), ("nobody", portrait_photo()[400:])):
        Image.fromarray(picture).save(tmp_path / f"{name}.jpg", quality=95)
    return lambda name: tmp_path / name


def save(review, identity, name):
    page = review.page
    review.go(f"people/{identity}")
    page.get_by_test_id("save-profile").click()
    page.get_by_test_id("profile-name").fill(name)
    page.keyboard.press("Enter")
    review.done("is saved as the profile")
    expect(page.get_by_test_id("profile-line")).to_contain_text(name)


def test_somebody_is_saved_unlinked_and_linked_again(review):
    page = review.page
    save(review, ASTRONAUT, "Eileen")
    assert review.people()[ASTRONAUT].profile == "Eileen"
    assert len(review.store.load("Eileen").references) == review.people()[ASTRONAUT].references
    page.get_by_test_id("unlink").click()
    review.done("linked to no profile")
    assert review.people()[ASTRONAUT].profile is None
    page.get_by_test_id("link").click()
    pick = page.locator('[data-testid="pick-profile"][data-profile="Eileen"]')
    expect(pick).to_be_enabled()
    pick.click()
    review.done("linked to Eileen")
    assert review.people()[ASTRONAUT].profile == "Eileen"
    page.keyboard.press("Control+z")
    expect(page.get_by_test_id("unlink")).to_have_count(0)
    assert review.people()[ASTRONAUT].profile is None


def test_no_to_a_profile_is_remembered_and_taken_back(review):
    page = review.page
    save(review, ASTRONAUT, "Eileen")
    page.get_by_test_id("unlink").click()
    review.done("linked to no profile")
    review.go("people")
    question = page.locator(f'[data-testid="suggestion"][data-key="profile {ASTRONAUT} Eileen"]')
    faces = question.locator("img.picture")
    expect(faces).to_have_count(2)
    assert faces.evaluate_all(
        "all => Promise.all(all.map(one => one.decode().then(() => one.naturalWidth > 0)))"
    ) == [True, True]
    expect(review.card(ASTRONAUT)).to_contain_text("Eileen?")
    question.get_by_test_id("suggestion-no").click()
    review.done("is not the profile Eileen; not asked again")
    expect(question).to_have_count(0)
    expect(review.card(ASTRONAUT)).not_to_contain_text("Eileen?")
    assert review.people()[ASTRONAUT].not_profiles == ("Eileen",)
    with page.expect_response("**/api/suggestions") as asked:
        page.reload()
    assert asked.value.json()["profiles"] == []
    expect(review.card(ASTRONAUT)).to_be_visible()
    expect(question).to_have_count(0)
    page.keyboard.press("Control+z")
    expect(page.get_by_test_id("announcement")).to_contain_text("is not the profile Eileen")
    expect(question).to_be_visible()
    review.go(f"people/{ASTRONAUT}")
    page.get_by_test_id("deny-likely").click()
    review.done("is not the profile Eileen")
    expect(page.get_by_test_id("link-likely")).to_have_count(0)
    page.get_by_test_id("link").click()
    pick = page.locator('[data-testid="pick-profile"][data-profile="Eileen"]')
    expect(pick).to_contain_text("Somebody else, you said")
    pick.click()
    review.done("linked to Eileen")
    somebody = review.people()[ASTRONAUT]
    assert (somebody.profile, somebody.not_profiles) == ("Eileen", ())


def test_photos_are_checked_who_they_show(review, photos):
    page = review.page
    review.watched.allow("409", "400")
    save(review, ASTRONAUT, "Eileen")
    before = review.store.load("Eileen")
    page.get_by_test_id("view-profiles").click()
    profile = page.locator('[data-testid="profile"][data-profile="Eileen"]')
    expect(profile.locator("img.picture").first).to_be_visible()
    profile.get_by_test_id("photo-input").set_input_files(
        [photos("mirrored.heic"), photos("somebody.jpg"), photos("nobody.jpg")]
    )
    lines = profile.get_by_test_id("photo")
    expect(lines).to_have_count(3)
    states = ["added", "refused", "refused"]
    for line, state, words in zip(
        lines.all(), states, ["", "This is not Eileen", "was not added"], strict=True
    ):
        expect(line).to_have_attribute("data-state", state)
        expect(line).to_contain_text(words)
    after = review.store.load("Eileen")
    assert len(after.references) >= len(before.references)
    taught = [one for one in after.references if one.source.startswith("photo added")]
    assert len(taught) == 1
    expect(profile).to_contain_text(f"{len(after.references)} close-ups")
    assert before.similarity(taught[0]) > 0.3
