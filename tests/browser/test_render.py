"""A part of the film, rendered, stopped and gone on with, and what comes out."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from playwright.sync_api import expect

from refrestore.config import RenderSettings
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.project import Project

AROUND = 0.6
"""How far past a face's box the restored picture goes, in its sides."""

ENCODED = 24
"""The most that coding alone changes in a pixel."""


@pytest.fixture
def short_segments(monkeypatch):
    """Let a render be resumed every few frames, as a film's is every ten seconds."""
    field = RenderSettings.model_fields["segment_seconds"]
    monkeypatch.setattr(field, "default", 0.32)
    RenderSettings.model_rebuild(force=True)
    yield
    monkeypatch.undo()
    RenderSettings.model_rebuild(force=True)


def order(review, name, start, end):
    """Fill in the form for a part of the film."""
    page = review.page
    page.get_by_test_id("view-render").click()
    page.get_by_test_id("output-name").fill(name)
    page.get_by_test_id("range-part").click()
    for field, moment in (("range-start", start), ("range-end", end)):
        page.get_by_test_id(field).fill(moment)
        page.get_by_test_id(field).press("Enter")
    return page.get_by_test_id("render")


def state(review, value):
    expect(review.page.get_by_test_id("progress")).to_have_attribute("data-state", value)


def pictures(path, **part):
    with VideoReader(path, **part) as reader:
        return {frame.time: display_rgb(frame) for frame in reader}


def boxes(folder, time):
    with Project.open(folder) as project:
        number = round(time * project.video.rate)
        return project.faces(first=number, stop=number + 1).box


def test_a_part_is_rendered_and_only_its_faces_change(review):
    page = review.page
    review.watched.allow("409")
    folder = review.folder.parent
    first, stop = Fraction("0.8"), Fraction("0.88")
    source = (folder / "film.mp4").read_bytes()
    button = order(review, "part.mp4", "0.8", "0:00.88")
    expect(page.get_by_test_id("estimate")).not_to_be_empty()
    button.click()
    state(review, "done")
    expect(page.get_by_test_id("output")).to_have_text("part.mp4")
    made = pictures(folder / "part.mp4")
    given = pictures(folder / "film.mp4", start=first, end=stop)
    assert [time - min(made) for time in made] == [time - min(given) for time in given]
    assert len(made) == 2
    for (time, before), after in zip(given.items(), made.values(), strict=True):
        difference = np.abs(before.astype(int) - after).max(axis=2)
        near, face = np.zeros((2, *difference.shape), bool)
        found = boxes(review.folder, time)
        assert len(found) >= 5
        for left, top, right, bottom in found:
            more = AROUND * max(right - left, bottom - top)
            rows = slice(max(0, int(top - more)), int(bottom + more) + 1)
            near[rows, max(0, int(left - more)) : int(right + more) + 1] = True
            face[int(top) : int(bottom), int(left) : int(right)] = True
        assert difference[~near].max() <= ENCODED
        assert difference[face].mean() > 2 * difference[~near].mean()
    assert (folder / "film.mp4").read_bytes() == source
    with page.context.expect_page() as opened:
        page.get_by_test_id("report").click()
    report = opened.value
    expect(report.locator("body")).to_contain_text("person 1")
    assert report.locator("img").count() > 0
    assert report.locator("img").first.evaluate("one => one.decode().then(() => one.naturalWidth)")
    report.close()
    button.click()
    dialog = page.get_by_test_id("confirm-dialog")
    expect(dialog).to_contain_text("part.mp4")
    dialog.get_by_test_id("choose-no").click()
    expect(dialog).to_have_count(0)
    assert len(review.json("/api/jobs")["jobs"]) == 1


def test_a_cancelled_render_goes_on_where_it_stopped(review, short_segments):
    page = review.page
    folder = review.folder.parent
    with Project.open(review.folder) as project:  # two people are work enough to be stopped in
        for who in project.identities()[2:]:
            project.set_state(who.id, "ignore")
    button = order(review, "out.mp4", "0.5", "1.3")
    kept = folder / ".out.mp4.refrestore"
    button.click()
    expect(page.locator('[data-testid="latest-frame"] img')).to_be_visible()
    page.wait_for_function(
        """() => /Frame (9|1\\d) of 20/.test(
            document.querySelector("[data-testid=progress-words]").textContent)"""
    )
    page.get_by_test_id("cancel").click()
    state(review, "cancelled")
    done = finished(kept)
    assert done
    assert not (folder / "out.mp4").exists()
    expect(button).to_contain_text("going on where it stopped")
    page.reload()
    page.get_by_test_id("render-view").wait_for()
    expect(page.get_by_test_id("range-part")).to_have_attribute("aria-checked", "true")
    expect(page.get_by_test_id("range-start")).to_have_value("0:00.50")
    expect(page.get_by_test_id("output-name")).to_have_value("out.mp4")
    expect(button).to_contain_text("going on where it stopped")
    page.get_by_test_id("scale-2").click()
    expect(button).not_to_contain_text("going on")
    page.get_by_test_id("scale-1").click()
    expect(button).to_contain_text("going on where it stopped")
    button.click()
    state(review, "running")
    while len(now := finished(kept)) <= len(done):
        page.wait_for_timeout(50)
    assert done.items() <= now.items()
    state(review, "done")
    assert not kept.exists()
    assert len(pictures(folder / "out.mp4")) == 20


def finished(folder):
    """Return the segments that need not be made again, and when each was made."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("segment-*.mkv")}
