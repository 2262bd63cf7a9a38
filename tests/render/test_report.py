"""Which faces the report shows: those in the picture, where a person has any."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from refrestore.faces.align import FFHQ_TEMPLATE
from refrestore.render.crops import inside, storage_to_crop
from refrestore.render.paint import WHOLE, examples
from refrestore.render.people import Matched, People
from refrestore.render.plan import TrackPlan
from refrestore.render.report import SegmentRecord, summarise, write_report
from refrestore.render.work import gather
from refrestore.types import Faces, Geometry, Identity

PICTURE = Geometry(640, 360)
PERSON = Identity(3, "Anna", "restore", (7,), 2.4, 60, 5)


def keypoints(left: float, top: float = 100, side: float = 128) -> np.ndarray:
    """Return the keypoints of a face whose crop begins there."""
    return FFHQ_TEMPLATE * (side / 512) + np.array([left, top], np.float32)


def walking(lefts: np.ndarray, strength: np.ndarray, track: int = 7) -> TrackPlan:
    """Return a track whose crops begin at these columns, frame by frame."""
    count = len(lefts)
    points = np.stack([keypoints(left) for left in lefts]).astype(np.float32)
    faces = Faces(
        frame=np.arange(count),
        box=np.concatenate([points.min(1), points.max(1)], 1),
        keypoints=points,
        score=np.ones(count, np.float32),
        track=np.full(count, track),
    )
    return TrackPlan(
        track, PERSON.id, faces, strength.astype(np.float32), None, np.ones(len(faces))
    )


@pytest.mark.parametrize(
    ("left", "top", "share"),
    [(100, 100, 1), (0, 0, 1), (-64, 100, 0.5), (640 - 64, 100, 0.5), (-64, -64, 0.25)],
)
def test_the_share_of_a_crop_that_the_picture_fills(left, top, share) -> None:
    matrices = storage_to_crop(keypoints(left, top)[None], PICTURE)
    assert inside(matrices, PICTURE)[0] == pytest.approx(share, abs=0.06)


def test_the_share_is_counted_on_the_storage_grid_of_a_turned_picture() -> None:
    turned = Geometry(640, 360, Fraction(27, 20), 90)  # shown 360 wide and 864 high
    for top, share in ((700, 1), (864 - 64, 0.5)):
        matrices = storage_to_crop(keypoints(100, top)[None], turned)
        assert inside(matrices, turned)[0] == pytest.approx(share, abs=0.06)


def shown(plan: TrackPlan) -> int:
    work = gather([plan], 0, len(plan.faces), PICTURE, context=0)
    (row,) = examples(work)
    return row


def test_a_face_in_the_picture_is_shown_rather_than_one_at_its_edge() -> None:
    lefts = np.linspace(100, -120, 60)  # in the picture until frame 27
    strength = np.ones(60)
    assert 0 < shown(walking(lefts, strength)) <= 27
    strength[:28] = 0.7  # a little weaker, and whole
    assert shown(walking(lefts, strength)) <= 27


def test_a_face_that_is_hardly_restored_shows_nothing() -> None:
    lefts, strength = np.linspace(100, -120, 60), np.ones(60)
    strength[:28] = 0.1
    assert shown(walking(lefts, strength)) in (28, 29)  # those that hang over the least


def test_where_all_are_whole_the_strongest_nearest_the_middle_is_shown() -> None:
    strength = np.where((np.arange(60) >= 20) & (np.arange(60) < 30), 1, 0.9)
    assert shown(walking(np.full(60, 200.0), strength)) == 25
    assert (
        examples(gather([walking(np.full(9, 200.0), np.zeros(9))], 0, 9, PICTURE, context=0))
        == set()
    )


def spread(*insides: float) -> list[int]:
    """Return the frames of the pictures that a report shows of one in each segment."""
    plan = walking(np.full(10, 200.0), np.ones(10))
    records = [
        SegmentRecord(1, pictures={7: {"frame": place, "inside": share, "before": "", "after": ""}})
        for place, share in enumerate(insides)
    ]
    (person,) = summarise(People([PERSON], {}, {}, []), [plan], records, lambda frame: frame / 25)
    return [picture["frame"] for picture in person["pictures"]]


def test_over_the_film_mirrored_crops_are_shown_only_of_who_has_no_other() -> None:
    assert spread(0.5, 1, 0.7, WHOLE, 1) == [1, 3, 4]
    assert spread(0.5, 0.7) == [0, 1]
    assert spread(*[1] * 20) == [0, 3, 7, 11, 15, 19]


def test_who_is_only_seen_blurred_is_told_with_what_they_were_matched_by(tmp_path) -> None:
    blurred = replace(PERSON, provisional=True)
    people = People([blurred], {}, {}, [], matched={PERSON.id: Matched("Anna", 0.4149, 0.37)})
    (person,) = summarise(people, [], [], lambda frame: frame / 25)
    assert person["provisional"]
    assert person["matched"] == {"profile": "Anna", "similarity": 0.4149, "needed": 0.37}
    (unknown,) = summarise(People([blurred], {}, {}, []), [], [], lambda frame: frame / 25)
    assert unknown["matched"] is None


def test_a_record_survives_its_file(tmp_path) -> None:
    record = SegmentRecord(2, {3: 4}, {3: {0: 2}}, [], {7: {"frame": 1, "inside": 0.5}})
    record.write(tmp_path / "record.json")
    assert SegmentRecord.read(tmp_path / "record.json") == record


def test_a_name_on_the_page_is_text_and_in_the_file_exact(tmp_path) -> None:
    name = "A\x1b[2Jn\u202ena <b>\udcff"
    report = {
        "output": {"name": name, "width": 64, "height": 48},
        "source": {"name": name},
        "version": "1",
        "notes": [name],
        "faces": 0,
        "unreferenced": 0,
        "frames": 5,
        "identities": [],
        "stages": [name],
        "device": "cpu",
        "precision": "float32",
    }
    write_report(report, tmp_path / "r.json", tmp_path / "r.html")
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["notes"] == [name]
    page = (tmp_path / "r.html").read_text("utf-8")
    assert page.count("A\ufffd[2Jn\ufffdna &lt;b&gt;\ufffd") >= 4
    assert not set(page) & {"\x1b", "\u202e"}
