"""Somebody whom the scan missed is drawn on a frame, becomes a card, and is restored."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from refrestore.project import Project
from refrestore.project.anchors import overlaps

from .conftest import WIDE, served
from .test_preview import shown

pytestmark = pytest.mark.xdist_group("browser")

FRAME = 14
"""The frame shown at `WIDE`."""


@pytest.fixture(scope="module")
def missing(demo, tmp_path_factory):
    """Return a project whose scan lacks the far face of somebody who has close-ups."""
    copied = demo.copied(tmp_path_factory.mktemp("draw") / "demo")
    with Project.open(copied.project) as project:
        here = project.faces(first=FRAME, stop=FRAME + 1)
        people = project.identities()
        track, person = next(
            (track, one)
            for one in people
            for track in here.track.tolist()
            if track in one.tracks and one.references and len(one.tracks) > 1
        )
        faces = project.faces([track])
        for table, key in (("tracks", "id"), ("chunks", "track"), ("reference_crops", "track")):
            project.database.execute(f"DELETE FROM {table} WHERE {key} = ?", (track,))
    return copied, faces, person.id


@pytest.fixture(scope="module")
def review(chromium, missing, tmp_path_factory):
    with served(chromium, missing[0], tmp_path_factory.mktemp("home")) as review:
        yield review


@pytest.fixture
def box(missing):
    """Return where the face is on the frame, left, top, right, bottom in pixels of the film."""
    faces = missing[1]
    return faces.box[faces.frame == FRAME][0].astype(float)


def drag(page, box):
    """Draw a box with the mouse."""
    stage = page.get_by_test_id("draw-stage").bounding_box()
    scale = stage["width"] / 640
    left, top, right, bottom = box * scale + np.tile([stage["x"], stage["y"]], 2)
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move((left + right) / 2, (top + bottom) / 2)
    page.mouse.move(right, bottom)
    page.mouse.up()


def drawn_box(page):
    """Return the drawn box in pixels of the film."""
    stage = page.get_by_test_id("draw-stage").bounding_box()
    found = page.get_by_test_id("drawn-box").bounding_box()
    corner = np.array([found["x"] - stage["x"], found["y"] - stage["y"]])
    edges = np.concatenate([corner, corner + np.array([found["width"], found["height"]])])
    return edges * 640 / stage["width"]


def test_from_a_missing_face_to_one_that_is_restored(review, missing, box):
    page = review.page
    _, faces, person = missing
    before = review.people()
    review.go(f"preview?at={WIDE}")
    page.get_by_test_id("draw-here").click()
    known = page.get_by_test_id("known-face")
    expect(known.first).to_be_visible()
    expect(page.locator(f'[data-testid="known-face"][data-identity="{person}"]')).to_have_count(0)
    count = known.count()
    drag(page, box)
    assert drawn_box(page) == pytest.approx(box, abs=2.5)
    page.get_by_test_id("draw-known").click()
    page.locator(f'[data-testid="pick"][data-identity="{person}"]').click()
    expect(page.get_by_test_id("drawn-person")).to_have_text(before[person].name)
    review.done("The face is drawn.")
    expect(known).to_have_count(count + 1)
    (track,) = set(review.people()[person].tracks) - set(before[person].tracks)
    with Project.open(review.folder) as project:
        found = project.faces([track])
    assert found.frame.tolist() == faces.frame.tolist()
    assert overlaps(found.box, faces.box).min() > 0.5
    review.go(f"preview?at={WIDE}&person={person}")
    result = shown(review)
    (face,) = [one for one in result["boxes"] if one["identity"] == person]
    assert face["strength"] > 0
    changed = review.picture(result["before"]) != review.picture(result["after"])
    left, top, right, bottom = (round(edge) for edge in face["box"])
    assert changed[top:bottom, left:right].any()
    review.undo_all()
    assert review.people() == before


def test_a_new_person_by_keys_alone_on_a_telephone(review, box):
    page = review.page
    before = review.people()
    page.set_viewport_size({"width": 390, "height": 800})
    review.go(f"draw?at={WIDE}")
    expect(page.get_by_test_id("known-face").first).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    stage = page.get_by_test_id("draw-stage")
    stage.focus()
    page.keyboard.press("Enter")
    made = drawn_box(page)
    assert made[3] - made[1] == pytest.approx(90, abs=2)
    for key, towards, edge in (("ArrowLeft", box[0], 0), ("ArrowUp", box[1], 1)):
        back = {"ArrowLeft": "ArrowRight", "ArrowUp": "ArrowDown"}[key]
        steps = round((made[edge] - towards) / 3.6)
        for _ in range(abs(steps)):
            page.keyboard.press(key if steps > 0 else back)
    for key, edge in (("Shift+ArrowLeft", 2), ("Shift+ArrowUp", 3)):
        for _ in range(round((drawn_box(page)[edge] - box[edge]) / 3.6)):
            page.keyboard.press(key)
    assert drawn_box(page) == pytest.approx(box, abs=5)
    page.get_by_test_id("drawn-name").fill("Nora")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("drawn-person")).to_have_text("Nora")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    (person,) = set(review.people()) - set(before)
    page.get_by_test_id("drawn-person").click()
    expect(page.get_by_role("heading", name="Nora")).to_be_visible()
    review.go("people")
    expect(review.card(person)).to_contain_text("Nora")
    review.undo_all()
    expect(review.card(person)).to_have_count(0)
    page.set_viewport_size({"width": 1280, "height": 800})


def test_a_box_is_moved_resized_and_taken_away(review):
    page = review.page
    review.go(f"draw?at={WIDE}")
    expect(page.get_by_test_id("known-face").first).to_be_visible()
    drag(page, np.array([200.0, 100, 260, 180]))
    stage = page.get_by_test_id("draw-stage").bounding_box()
    scale = stage["width"] / 640

    def pull(start, end):
        for press, (x, y) in ((page.mouse.down, start), (page.mouse.up, end)):
            page.mouse.move(stage["x"] + x * scale, stage["y"] + y * scale, steps=3)
            press()

    pull((230, 140), (250, 130))
    assert drawn_box(page) == pytest.approx([220, 90, 280, 170], abs=3)
    pull((280, 170), (300, 200))
    assert drawn_box(page) == pytest.approx([220, 90, 300, 200], abs=3)
    pull((230, 140), (900, 140))  # no farther than the picture
    assert drawn_box(page)[2] == pytest.approx(640, abs=3)
    page.get_by_test_id("draw-stage").focus()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("drawn-box")).to_have_count(0)
    expect(page.get_by_test_id("whose")).to_have_count(0)


def test_what_is_no_face_or_known_is_said_and_changes_nothing(review):
    page = review.page
    before = review.people()
    review.go(f"draw?at={WIDE}")
    known = page.get_by_test_id("known-face").first
    expect(known).to_be_visible()
    (name, identity) = known.inner_text(), known.get_attribute("data-identity")
    stage, place = page.get_by_test_id("draw-stage").bounding_box(), known.bounding_box()
    corner = np.array([place["x"] - stage["x"], place["y"] - stage["y"]])
    edges = np.concatenate([corner, corner + np.array([place["width"], place["height"]])])
    drag(page, edges * 640 / stage["width"])
    page.get_by_test_id("draw-new").click()
    error = page.get_by_test_id("draw-error")
    expect(error).to_contain_text(f"known already: it is {name} ({identity}), track")
    drag(page, np.array([4.0, 300, 60, 356]))
    expect(error).to_have_count(0)
    page.get_by_test_id("draw-new").click()
    expect(error).to_contain_text("No face was found in the box")
    assert review.people() == before
