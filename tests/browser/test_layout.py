"""Where things are, at the widths of a large screen, a laptop, a tablet and a telephone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .conftest import WIDE, served

WIDTHS = 1728, 1280, 944, 820, 390

SPREAD = 2.39
"""Width by height of a film in scope: its stage side by side is the widest."""


@pytest.fixture(scope="module")
def review(chromium, demo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("layout")
    with served(chromium, demo.copied(folder / "demo"), folder) as review:
        project = review.json("/api/project")
        video = {**project["video"], "width": round(SPREAD * project["video"]["height"])}

        def scope(route):
            route.fulfill(json={**project, "video": video})

        review.page.route("**/api/project", scope)
        # What is restored is looked at elsewhere; here it would be another shape.
        review.page.route("**/api/previews", lambda route: route.abort())
        review.watched.allow("ERR_FAILED")
        review.page.reload()
        review.go(f"preview?at={WIDE}")
        yield review


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("show", ["both", "before", "after", "beside"])
def test_the_stage_stays_in_its_column_and_shows_both_sides(review, width, show):
    page = review.page
    page.set_viewport_size({"width": width, "height": 900})
    page.get_by_test_id("fit").click()
    page.get_by_test_id(f"show-{show}").click()
    expect(page.get_by_test_id(f"show-{show}")).to_have_attribute("aria-checked", "true")
    stage = page.get_by_test_id("stage").bounding_box()
    column = page.locator(".preview-main").bounding_box()
    assert stage["width"] == pytest.approx(column["width"], abs=1)
    assert stage["x"] + stage["width"] <= width
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    panel = page.locator(".preview-faces").bounding_box()
    apart = panel["x"] >= stage["x"] + stage["width"], panel["y"] >= stage["y"] + stage["height"]
    assert any(apart)
    for side in ("before", "after"):
        shown = show in ("both", "beside", side)
        layer = page.locator(f".layer.{side}")
        expect(layer).to_be_visible() if shown else expect(layer).to_be_hidden()
        if not shown:
            continue
        box, sheet = layer.bounding_box(), layer.locator(".sheet").bounding_box()
        share = 2 if show == "beside" else 1
        assert box["width"] == pytest.approx(stage["width"] / share, abs=2)
        assert sheet["x"] >= box["x"] - 1
        assert sheet["x"] + sheet["width"] <= box["x"] + box["width"] + 1
        assert sheet["height"] <= box["height"] + 1
        assert sheet["width"] >= 0.98 * box["width"] or sheet["height"] >= 0.98 * box["height"]
