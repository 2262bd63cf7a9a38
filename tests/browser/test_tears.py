"""A couple of seconds of a real film: the woman, seen from afar and near, is one person."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from playwright.sync_api import expect

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.media.pixels import display_rgb
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures
from refrestore.project import Project
from refrestore.scan.scan import scan

from .conftest import Scanned

pytestmark = pytest.mark.shared

FAR, NEAR = (Fraction(24), Fraction(49, 2)), (Fraction(49, 2), Fraction(25))
"""Stretches of the scene on the bridge, seconds of each film."""


def frames(path, span, left, top):
    """Return the part of 640 x 360 that begins at a corner of the display picture."""
    with VideoReader(path, start=span[0], end=span[1]) as reader:
        whole = [display_rgb(frame) for frame in reader]
    return [picture[top : top + 360, left : left + 640] for picture in whole]


@pytest.fixture
def film(shared, tmp_path):
    """Return the couple from afar, then the woman near, and their project: she is two people."""
    data = shared / "data" / "film"
    path, folder = tmp_path / "film.mp4", tmp_path / "project"
    far = frames(data / "tears_of_steel_360p.mp4", FAR, 220, 0)
    near = frames(data / "tears_of_steel_720p.mp4", NEAR, 800, 0)
    write_pictures(path, [*far, *near], rate=Fraction(30), options={"crf": "14"})
    scan(path, folder, settings=ScanSettings(), runtime=RuntimeSettings(device="cpu"))
    with Project.open(folder) as project:
        last = max(project.tracks(), key=lambda track: track.first)
        assert last.first >= len(far) - 1
        holder = project.identity_of_track()[last.id]
        if len(project.identity(holder).tracks) > 1:  # clustered well: the user's work is undone
            project.separate([last.id])
    return Scanned(path, folder)


def test_the_same_woman_is_merged_and_seen_restored(film, opened):
    review = opened(film)
    page = review.page
    people = review.people()
    with Project.open(film.project) as project:
        tracks = project.tracks()
    right = max((t for t in tracks if t.first == 0), key=lambda t: _middle(film.project, t.id))
    near = max(tracks, key=lambda track: track.first)
    one, other = (
        next(i for i in people if track.id in people[i].tracks) for track in (right, near)
    )
    assert one != other
    review.card(other).locator(".card-face").drag_to(review.card(one).locator(".card-face"))
    page.get_by_test_id("merge-dialog").get_by_test_id("choose-merge").click()
    review.done("Merged")
    left = review.people()
    (kept,) = {one, other} & left.keys()
    assert left[kept].tracks == tuple(sorted(people[one].tracks + people[other].tracks))
    assert len(left) == len(people) - 1
    review.go(f"people/{kept}")
    page.get_by_test_id("preview-person").click()
    picture = page.get_by_test_id("preview-after")
    expect(picture).to_be_visible()
    result = review.json("/api/jobs")["jobs"][0]["result"]
    assert kept in [face["identity"] for face in result["boxes"]]
    page.get_by_test_id("face-jump").first.click()
    expect(picture).to_be_visible()
    before, after = review.picture(result["before"]), review.picture(result["after"])
    assert (np.abs(before.astype(int) - after).max() > 0) == (result["faces"] > 0)


def _middle(folder, track):
    with Project.open(folder) as project:
        box = project.faces([track]).box[0]
    return (box[0] + box[2]) / 2
