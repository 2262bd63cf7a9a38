"""Everybody and one person: name, merge, split, leave out, and take it all back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from refrestore.project import Project

SPLIT, KEPT = 1, 2
"""Who has a near and a far track, and another of that kind."""

BARE = 6
"""Who is in the far shot only, with the others."""


SEEN = """
window.seen = [];
requestAnimationFrame(function look() {
  const list = document.querySelector(".cards");
  if (list?.children.length)
    seen.push([document.querySelectorAll("[data-testid=card]").length, list.offsetHeight]);
  requestAnimationFrame(look);
});
"""
"""Notes in each frame how many cards there are and how high their list is."""


def split(review, identity):
    """Make the last track somebody else's on the page; return the new identity's id."""
    before = review.people()
    track = before[identity].tracks[-1]
    review.go(f"people/{identity}")
    review.track(track).click()
    expect(review.page.get_by_test_id("selected-count")).to_contain_text("1 track")
    review.page.get_by_test_id("new-person").click()
    review.done("a new person")
    (fresh,) = review.people().keys() - before.keys()
    assert review.people()[fresh].tracks == (track,)
    review.go("people")
    expect(review.card(fresh)).to_be_visible()
    return fresh


def drag(review, one, other):
    review.card(one).locator(".card-face").drag_to(review.card(other).locator(".card-face"))
    return review.page.get_by_test_id("merge-dialog")


def test_the_address_works_once(review, browse):
    assert review.page.url.startswith(f"{review.base}/")
    assert "token" not in review.page.url
    cards = review.page.get_by_test_id("card")
    expect(cards).to_have_count(len(review.people()))
    pictures = cards.locator("img.picture")
    expect(pictures).to_have_count(len(review.people()))
    assert pictures.evaluate_all(
        "all => Promise.all(all.map(one => one.decode().then(() => one.naturalWidth > 0)))"
    ) == [True] * len(review.people())
    with browse(review.base) as other:
        other.allow("403", "401")
        page = other.context.new_page()
        answer = page.goto(review.url)
        assert answer.status == 403
        expect(page.locator("body")).to_contain_text("refrestore review")
        page.goto(review.base)
        expect(page.get_by_test_id("locked")).to_contain_text("Open the address")
        expect(page.get_by_test_id("card")).to_have_count(0)


def test_cards_out_of_sight_are_built_later_in_places_of_their_size(review):
    page = review.page
    count = len(review.people())
    page.set_viewport_size({"width": 320, "height": 200})
    page.add_init_script(SEEN)
    page.reload()
    expect(page.get_by_test_id("card")).to_have_count(count)
    cards, heights = (set(one) for one in zip(*page.evaluate("() => window.seen"), strict=True))
    assert min(cards) < count
    assert max(heights) - min(heights) <= 1
    # A key that comes before that finds everybody.
    page.add_init_script("window.requestIdleCallback = () => 0")
    page.reload()
    expect(page.locator(".cards > li")).to_have_count(count)
    expect(page.get_by_test_id("card")).not_to_have_count(count)
    page.get_by_test_id("card").first.locator(".card-face").focus()
    for _ in range(count):
        page.keyboard.press("ArrowDown")
    last = page.locator(".cards > li").last.locator(".card-face")
    expect(last).to_be_focused()
    expect(page.get_by_test_id("card")).to_have_count(count)


def test_split_one_and_merge_the_two_by_dragging(review):
    start = review.state()
    tracks = review.people()[SPLIT].tracks
    fresh = split(review, SPLIT)
    assert review.people()[SPLIT].tracks == tracks[:-1]
    dialog = drag(review, fresh, SPLIT)
    expect(dialog.locator("img")).to_have_count(2)
    review.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert len(review.people()) == len(start["identities"]) + 1
    drag(review, fresh, SPLIT).get_by_test_id("choose-merge").click()
    review.done("Merged")
    expect(review.card(fresh)).to_have_count(0)
    back = review.state()
    assert (back["identities"], back["tracks"]) == (start["identities"], start["tracks"])


def test_questions_that_arrive_do_not_move_what_is_dragged(review):
    fresh = split(review, SPLIT)
    page = review.page
    held = []

    def hold(route):
        held.append(route)

    page.route("**/api/suggestions", hold)
    page.reload()
    one, other = (review.card(i).locator(".card-face") for i in (fresh, SPLIT))
    expect(one).to_be_visible()
    start, end = one.bounding_box(), other.bounding_box()
    page.mouse.move(start["x"] + 50, start["y"] + 50)
    page.mouse.down()
    page.mouse.move(start["x"] + 60, start["y"] + 60, steps=3)
    page.wait_for_timeout(600)
    (asked,) = held
    with page.expect_response("**/api/suggestions") as answer:
        asked.continue_()
    assert answer.value.json()["merges"]
    page.wait_for_timeout(200)
    assert other.bounding_box() == end
    page.mouse.move(end["x"] + 50, end["y"] + 50, steps=3)
    page.mouse.up()
    dialog = page.get_by_test_id("merge-dialog")
    expect(dialog.locator("img")).to_have_count(2)
    expect(page.get_by_test_id("suggestions")).to_be_visible()


def test_merge_by_keyboard_and_insist_where_they_are_seen_together(review):
    page = review.page
    review.watched.allow("409")
    people = review.people()
    order = sorted(people.values(), key=lambda one: -one.seconds)
    review.card(order[0].id).locator(".card-face").focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.get_by_test_id("selected-count")).to_have_text("2 people selected")
    chosen = page.locator(".cards > li.chosen")
    one, other = (int(card.get_attribute("data-identity")) for card in chosen.all())
    page.keyboard.press("m")
    expect(page.get_by_test_id("merge-dialog")).to_be_visible()
    page.keyboard.press("Enter")
    dialog = page.get_by_test_id("confirm-dialog")
    expect(dialog).to_be_visible()
    assert review.people() == people
    page.keyboard.press("Enter")
    review.done("Merged")
    expect(page.get_by_test_id("card")).to_have_count(len(people) - 1)
    left = review.people()
    (gone,) = people.keys() - left.keys()
    assert gone in (one, other)
    kept = one + other - gone
    assert left[kept].tracks == tuple(sorted(people[one].tracks + people[other].tracks))
    page.keyboard.press("Control+z")
    expect(page.get_by_test_id("card")).to_have_count(len(people))
    assert review.people() == people


def test_a_name_is_typed_in_place_and_the_same_name_asks(review):
    page = review.page
    one, other = list(review.people())[:2]
    for key, named in (("Escape", False), ("Enter", True)):
        review.card(one).get_by_test_id("name").click()
        page.keyboard.type("  Anna   Berg ")
        page.keyboard.press(key)
        expect(page.get_by_test_id("name-field")).to_have_count(0)
        if named:
            review.done("Anna Berg")
    assert [review.people()[i].name for i in (one, other)] == ["Anna Berg", f"person {other}"]
    review.card(other).locator(".card-face").focus()
    page.keyboard.press("n")
    page.keyboard.type("anna berg")
    page.keyboard.press("Enter")
    dialog = page.get_by_test_id("same-name-dialog")
    expect(dialog).to_contain_text("Anna Berg is here already")
    dialog.get_by_test_id("choose-cancel").click()
    expect(dialog).to_have_count(0)
    assert review.people()[other].name == f"person {other}"
    review.card(other).get_by_test_id("name").click()
    page.keyboard.type("Anna Berg")
    page.keyboard.press("Enter")
    dialog.get_by_test_id("choose-both").click()
    review.done("Anna Berg")
    assert [review.people()[i].name for i in (one, other)] == ["Anna Berg", "Anna Berg"]


def test_the_same_name_merges_what_was_split(review):
    start = review.people()
    fresh = split(review, SPLIT)
    for identity in (SPLIT, fresh):
        review.card(identity).get_by_test_id("name").click()
        review.page.keyboard.type("Anna")
        review.page.keyboard.press("Enter")
        if identity == SPLIT:
            review.done("Anna")
    dialog = review.page.get_by_test_id("same-name-dialog")
    expect(dialog.locator("img")).to_have_count(2)
    dialog.get_by_test_id("choose-merge").click()
    review.done("Merged")
    left = review.people()
    assert left.keys() == start.keys()
    assert (left[SPLIT].name, left[SPLIT].tracks) == ("Anna", start[SPLIT].tracks)


def test_everything_is_undone_to_the_beginning_and_done_again(review):
    page = review.page
    start = review.state()
    split(review, SPLIT)
    review.card(KEPT).get_by_test_id("name").click()
    page.keyboard.type("Bo")
    page.keyboard.press("Enter")
    review.done("Bo")
    review.card(BARE).hover()
    review.card(BARE).get_by_test_id("select").check()
    page.get_by_test_id("leave-alone").click()
    review.done("leave alone")
    review.go(f"people/{KEPT}")
    near = max(review.people()[KEPT].tracks)
    review.track(near).click()
    page.get_by_test_id("not-a-face").click()
    review.done("Not a face")
    expect(page.get_by_test_id("track")).to_have_count(1)
    tick = page.get_by_test_id("use-close-up")
    review.go(f"people/{SPLIT + 2}")
    tick.first.uncheck()
    review.done("Not using 1 close-up")
    page.get_by_test_id("strength").fill("40")
    review.done("40 %")
    end = review.state()
    people = {one.id: one for one in end["identities"]}
    assert (people[KEPT].name, people[BARE].state) == ("Bo", "ignore")
    assert near not in people[KEPT].tracks
    assert people[end["tracks"][near]].state == "not_a_face"
    assert people[SPLIT + 2].strength == pytest.approx(0.4)
    assert sum(not used for _, used in end["close-ups"]) == 1
    review.undo_all()
    assert review.state() == start
    again = page.get_by_test_id("redo")
    while again.is_enabled():
        page.keyboard.press("Control+Shift+z")
        expect(page.get_by_test_id("announcement")).to_contain_text("Done again")
        expect(page.get_by_test_id("saved")).to_contain_text("Saved")
    assert review.state() == end


def test_a_rubber_band_and_shift_arrows_choose_tracks(review):
    page = review.page
    review.watched.allow("409", "404")
    review.go(f"people/{SPLIT}")
    tiles = page.get_by_test_id("track")
    expect(tiles).to_have_count(2)
    last = tiles.nth(1).bounding_box()
    page.mouse.move(last["x"] + last["width"] + 20, last["y"] + last["height"] - 4)
    page.mouse.down()
    page.mouse.move(last["x"] + 10, last["y"] + 10, steps=4)
    expect(page.get_by_test_id("selected-count")).to_contain_text("1 track")
    first = tiles.first.bounding_box()
    page.mouse.move(first["x"] + 10, first["y"] + 10, steps=4)
    page.mouse.up()
    expect(page.get_by_test_id("selected-count")).to_contain_text("2 tracks")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("selected-count")).to_have_count(0)
    page.get_by_test_id("tracks").focus()
    page.keyboard.press("Shift+ArrowRight")
    expect(page.get_by_test_id("selected-count")).to_contain_text("2 tracks")
    page.keyboard.press("v")
    search = page.get_by_test_id("picker-search")
    search.fill(review.people()[KEPT].name)
    expect(page.get_by_test_id("pick")).to_have_count(1)
    page.keyboard.press("Enter")
    page.get_by_test_id("confirm-dialog").get_by_test_id("choose-yes").click()
    review.done("Moved 2 tracks")
    assert SPLIT not in review.people()
    assert len(review.people()[KEPT].tracks) == 4
    expect(page.locator("main")).to_contain_text("not here any more")


def test_who_is_only_seen_blurred_has_a_section(opened, demo, tmp_path):
    scanned = demo.copied(tmp_path / "demo")
    with Project.open(scanned.project) as project:
        people = project.identities()
        longest = max(people, key=lambda one: one.seconds)
        for track in longest.tracks:  # as a scan of a tape would find them
            project.database.execute("UPDATE tracks SET weak = 1 WHERE id = ?", (track,))
    review = opened(scanned)
    section = review.page.get_by_test_id("blurred")
    expect(section.get_by_role("heading")).to_have_text("Only seen blurred")
    expect(section.locator(".cards > li")).to_have_count(1)
    expect(review.page.locator(".cards > li")).to_have_count(len(people))
    card = section.locator(f'[data-identity="{longest.id}"]')
    card.locator(".name").click()
    review.page.keyboard.type("Anna")
    review.page.keyboard.press("Enter")
    review.done()
    assert review.people()[longest.id].name == "Anna"
    review.page.get_by_test_id("search").fill("anna")
    expect(review.page.locator(".cards > li")).to_have_count(1)
    expect(section).to_be_visible()
