"""One moment as the render will make it: two pictures, a line between them, a strength."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from .conftest import WIDE, served

PERSON = 2

LAST, NEAR_THE_END = 7, 2.9
"""Who is in the last shot, and a moment of it: little is left to be made a loop of."""

AROUND = 0.6
"""How far past a face's box the restored picture goes, in its sides: hair and chin."""


@pytest.fixture(scope="module")
def review(chromium, demo, tmp_path_factory):
    """Return one page for all tests here: its first preview opens the networks."""
    folder = tmp_path_factory.mktemp("preview")
    with served(chromium, demo.copied(folder / "demo"), folder) as review:
        review.go(f"preview?at={WIDE}&person={PERSON}")
        yield review


def shown(review):
    """Wait for the restored moment; return what the server says of it."""
    page = review.page
    expect(page.get_by_test_id("preview-busy")).to_have_count(0)
    for side in ("before", "after"):
        picture = page.get_by_test_id(f"preview-{side}")
        expect(picture).to_be_attached()
        assert picture.evaluate("one => one.decode().then(() => one.naturalWidth)") == 640
    jobs = [job for job in review.json("/api/jobs")["jobs"] if job["kind"] == "preview"]
    newest = max(jobs, key=lambda job: job["id"] if isinstance(job["id"], int) else job["started"])
    assert newest["state"] == "done"
    assert page.get_by_test_id("preview-after").get_attribute("src") == newest["result"]["after"]
    return newest["result"]


def changed(review, result):
    before, after = review.picture(result["before"]), review.picture(result["after"])
    return np.abs(before.astype(int) - after).max(axis=2)


def near_faces(result):
    """Return where the faces are, (H, W) bool."""
    mask = np.zeros((result["height"], result["width"]), bool)
    for one in result["boxes"]:
        left, top, right, bottom = one["box"]
        more = AROUND * max(right - left, bottom - top)
        rows = slice(max(0, int(top - more)), int(bottom + more) + 1)
        mask[rows, max(0, int(left - more)) : int(right + more) + 1] = True
    return mask


def test_before_and_after_differ_in_faces_alone_and_a_line_divides_them(review):
    page = review.page
    result = shown(review)
    difference = changed(review, result)
    near = near_faces(result)
    assert near.mean() < 0.5
    assert difference[~near].max() == 0
    assert difference[near].max() > 10
    assert result["faces"] == sum(one["strength"] > 0 for one in result["boxes"]) >= 5
    expect(page.get_by_test_id("face-jump")).to_have_count(len(result["boxes"]))
    line = page.get_by_test_id("preview-slider")
    layer = page.locator(".layer.before")
    for key, value, hidden in (
        ("Home", 0, "inset(0px 100% 0px 0px)"),
        ("ArrowRight", 2, "inset(0px 98% 0px 0px)"),
        ("Shift+ArrowRight", 12, "inset(0px 88% 0px 0px)"),
        ("End", 100, "inset(0px 0% 0px 0px)"),
        ("ArrowLeft", 98, "inset(0px 2% 0px 0px)"),
    ):
        line.press(key)
        expect(line).to_have_attribute("aria-valuenow", str(value))
        expect(layer).to_have_css("clip-path", hidden)


def test_what_is_on_screen_is_the_two_pictures(review):
    """At 100 % a pixel of the screen is one of the picture, on either side."""
    page = review.page
    result = shown(review)
    page.get_by_test_id("one-to-one").click()
    seen = {}
    for side in ("before", "after"):
        page.get_by_test_id(f"show-{side}").click()
        picture = page.get_by_test_id(f"preview-{side}")
        expect(picture).to_be_visible()
        box, stage = picture.bounding_box(), page.get_by_test_id("stage").bounding_box()
        assert (round(box["width"]), round(box["height"])) == (result["width"], result["height"])
        (face,) = [one["box"] for one in result["boxes"] if one["identity"] == PERSON]
        left, top, right, bottom = (int(edge) for edge in face)
        x, y = round(box["x"]) + left, round(box["y"]) + top
        assert stage["x"] <= x < stage["x"] + stage["width"]
        clip = {"x": x, "y": y, "width": right - left, "height": bottom - top}
        seen[side] = _decoded(page.screenshot(clip=clip))
        truth = review.picture(result[side])[top:bottom, left:right]
        assert np.abs(seen[side].astype(int) - truth).mean() < 3
    assert np.abs(seen["before"].astype(int) - seen["after"]).mean() > 3
    page.get_by_test_id("show-both").click()
    page.get_by_test_id("fit").click()


def _decoded(png):
    import cv2

    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_a_strength_is_kept_and_shown(review):
    page = review.page
    full = shown(review)
    slider = page.get_by_label(f"Strength of restoring person {PERSON}", exact=True)
    slider.focus()
    slider.press("Home")
    review.done("strength 0 %")
    assert review.people()[PERSON].strength == 0
    old = full["after"]
    expect(page.get_by_test_id("preview-after")).not_to_have_attribute("src", old)
    none = shown(review)
    (own,) = [one["box"] for one in none["boxes"] if one["identity"] == PERSON]
    left, top, right, bottom = (int(edge) for edge in own)
    inside = (slice(top, bottom), slice(left, right))
    assert changed(review, full)[inside].max() > 10
    assert changed(review, none)[inside].max() == 0
    assert none["faces"] == full["faces"] - 1
    page.keyboard.press("Control+z")
    expect(slider).to_have_value("100")
    assert review.people()[PERSON].strength == 1
    expect(page.get_by_test_id("preview-after")).not_to_have_attribute("src", none["after"])
    assert shown(review)["faces"] == full["faces"]


def test_a_loop_plays_both_films_together(review):
    page = review.page
    old = page.get_by_test_id("preview-after").get_attribute("src")
    review.go(f"preview?at={NEAR_THE_END}&person={LAST}")
    expect(page.get_by_test_id("preview-after")).not_to_have_attribute("src", old)
    shown(review)
    page.get_by_test_id("stage").focus()
    page.keyboard.press("l")
    expect(page.get_by_test_id("loop-bar")).to_be_visible()
    films = page.locator(".stage video")
    expect(films).to_have_count(2)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.stage video')].every(one => one.currentTime > 0)"
    )
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    page.keyboard.press(".")
    page.wait_for_function(
        """() => [...document.querySelectorAll(".stage video")]
            .every((one) => one.paused && !one.seeking)"""
    )
    times = films.evaluate_all("all => all.map(one => one.currentTime)")
    assert abs(times[0] - times[1]) < 0.5 / 25
