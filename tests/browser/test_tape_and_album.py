"""A tape and an album: somebody who is never sharp in the film gets her own face from photos."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from refrestore.config import RuntimeSettings
from refrestore.evaluate.demo import group_photo
from refrestore.faces.analyser import load_face_models
from refrestore.models.pack import load_face_pack
from refrestore.project import Project

from .conftest import WIDE
from .test_preview import shown
from .test_render import order, state

MOMENTS = WIDE, WIDE + 0.2, WIDE + 0.44
"""Of the shot in which she is far away, seconds."""

HERS = slice(0.2, 0.62), slice(0.8, 1.0)
"""Where she is in the group photo, shares of height and width."""


@pytest.fixture
def photos(tmp_path):
    """Return two photos of whom the film shows far away only."""
    group = group_photo()
    rows, columns = (
        slice(int(part.start * side), int(part.stop * side))
        for part, side in zip(HERS, group.shape, strict=False)
    )
    picture = group[rows, columns]
    Image.fromarray(picture).save(tmp_path / "one.png")
    Image.fromarray(picture[:, ::-1]).save(tmp_path / "two.png")
    return picture, [tmp_path / "one.png", tmp_path / "two.png"]


def test_from_photos_to_a_render(review, photos):
    page = review.page
    picture, files = photos
    who = next(card for card in review.json("/api/identities")["identities"] if card["wanted"])
    with Project.open(review.folder) as project:  # the others would take most of the time
        project.set_states([one for one in review.people() if one != who["id"]], "ignore")
    without = [at_moment(review, time, who) for time in MOMENTS]
    review.go("people")
    review.card(who["id"]).get_by_test_id("card-photos").click()
    dialog = page.get_by_test_id("new-person")
    dialog.get_by_test_id("photo-input").set_input_files(files)
    dialog.get_by_test_id("profile-name").fill("Phoebe")
    expect(dialog.get_by_test_id("make-profile")).to_contain_text("2 photos")
    dialog.get_by_test_id("make-profile").click()
    review.done("Phoebe is a profile of 2 close-ups, linked to")
    gains = []
    for time, plain in zip(MOMENTS, without, strict=True):
        restored = at_moment(review, time, who, other_than=plain)
        (face,) = [one for one in restored["boxes"] if one["identity"] == who["id"]]
        assert face["name"] == "Phoebe"
        assert face["strength"] > 0
        before, after = likeness(review, (plain, restored), face["box"], picture)
        gains.append(after - before)
    assert np.mean(gains) > 0.03, gains
    button = order(review, "tape.mp4", f"0:0{WIDE}", f"0:0{WIDE + 0.16:.2f}")
    button.click()
    state(review, "done")
    report = next(j for j in review.json("/api/jobs")["jobs"] if j["kind"] == "render")["result"]
    people = {one["id"]: one for one in review.json(report["report"])["identities"]}
    assert people[who["id"]]["profile"] == "Phoebe"
    assert people[who["id"]]["restored_faces"] > 0
    assert people[who["id"]]["unreferenced_faces"] == 0


def at_moment(review, time, who, other_than=None):
    """Return a restored moment, which somebody's profile has changed."""
    review.go(f"preview?at={time:.2f}&person={who['id']}")
    if other_than:
        after = review.page.get_by_test_id("preview-after")
        expect(after).not_to_have_attribute("src", other_than["after"])
    return shown(review)


def likeness(review, results, box, picture):
    """Return how like her photo the face at a box is, after what each preview did."""
    models = load_face_models(load_face_pack(RuntimeSettings(device="cpu")), "cpu", threads=1)
    left, top, right, bottom = (round(edge) for edge in box)
    more = right - left

    def embedded(image):
        """Of the face in the middle; a far one is not always found in a whole frame."""
        image = np.ascontiguousarray(image)
        found = models.detector.detect([image], [0], 640)
        apart = (found.box[:, :2] + found.box[:, 2:] - image.shape[1::-1]) / 2
        return models.describe(
            image, found[[int(np.linalg.norm(apart, axis=1).argmin())]]
        ).embedding[0]

    def near_by(image):
        near = image[max(0, top - more) : bottom + more, max(0, left - more) : right + more]
        return Image.fromarray(near).resize([4 * side for side in near.shape[1::-1]])

    own = embedded(picture)
    return [float(embedded(near_by(review.picture(one["after"]))) @ own) for one in results]
