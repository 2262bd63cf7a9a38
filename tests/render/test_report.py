"""Which faces the report shows: those in the picture, where a person has any."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
import torch

from refrestore.faces.align import FFHQ_TEMPLATE
from refrestore.render.crops import inside, storage_to_crop
from refrestore.render.face_table import gather
from refrestore.render.finishing import WHOLE, examples
from refrestore.render.people import Matched, People, Strangers
from refrestore.render.person_words import NOT_THEM, SAID, UNSEEN, reason_words, sentences
from refrestore.render.plan import Reason as PlanReason
from refrestore.render.plan import TrackPlan
from refrestore.render.report import SegmentRecord, summarise, write_report
from refrestore.render.segment_result import Account, Changed, Example
from refrestore.restore.guard import Reason
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
        track, PERSON.id, faces, strength.astype(np.float32), None, (None,) * len(faces)
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
    found = Matched("Anna", 0.4149, 0.37, Strangers(0.2051, 3))
    people = People([blurred], {}, {}, [], matched={PERSON.id: found})
    (person,) = summarise(people, [], [], lambda frame: frame / 25)
    assert person["provisional"]
    assert person["matched"] == {
        "profile": "Anna",
        "similarity": 0.4149,
        "needed": 0.37,
        "strangers": {"similarity": 0.2051, "met": 3},
    }
    assert sentences(person)[0] == (
        "Only seen blurred, matched to Anna: 60 faces, likeness 0.41, 3 others of the film reach "
        "0.21."
    )
    (unknown,) = summarise(People([blurred], {}, {}, []), [], [], lambda frame: frame / 25)
    assert unknown["matched"] is None
    assert sentences(unknown) == ["Only seen blurred."]


@pytest.mark.parametrize(
    ("strangers", "similarity", "said"),
    [
        (None, 0.41, "Matched to Anna: 60 faces, likeness 0.41."),
        (Strangers(0.366, 0), 0.41, "of strangers one in a hundred reaches 0.37."),
        (Strangers(0.2, 1), 0.41, "the other person of the film reaches 0.20."),
        (None, 0.21, "likeness 0.21 (0.37 is needed where nobody says so)."),
    ],
)
def test_how_far_strangers_reach_is_said_where_it_is_known(strangers, similarity, said) -> None:
    matched = {PERSON.id: Matched("Anna", similarity, 0.37, strangers)}
    people = People([PERSON], {}, {}, [], matched=matched)
    (person,) = summarise(people, [], [], lambda frame: frame / 25)
    assert said in sentences(person)[0]


def account(*changed: tuple[bool, float]) -> Account:
    return Account([Changed(3, helped, torch.tensor(level)) for helped, level in changed])


def test_only_what_can_be_seen_counts_as_restored_and_by_how_much_is_said() -> None:
    done = account((True, 4.0), (True, 6.0), (False, 1.5), (True, 0.3), (False, 0.9))
    done.left = {3: Counter({"can be read as it is": 2, NOT_THEM: 1})}
    record = SegmentRecord.of(10, done, [])
    assert (record.faces, record.faces_without_references) == (3, 1)
    assert record.unseen == {3: 2}
    plan = walking(np.full(4, 200.0), np.zeros(4))
    plan = replace(plan, reason="turned away", reasons=("turned away",) * 4)
    people = People([PERSON], {}, {}, [], matched={3: Matched("Anna", 0.5, 0.37)})
    wanted = {3: "Add photos."}
    (person,) = summarise(people, [plan], [record], lambda frame: frame / 25, wanted)
    assert (person["restored_faces"], person["unreferenced_faces"]) == (3, 1)
    assert person["change"] == {"referenced": 5.0, "unreferenced": 1.5}
    assert person["left_alone_faces"] == {
        "turned away": 4,
        "can be read as it is": 2,
        UNSEEN: 2,
        NOT_THEM: 1,
    }
    assert person["wanted"] is None  # close-ups have helped
    assert sentences(person)[1:] == [
        "2 faces restored from close-ups, changed by 5.0 of 255 grey levels on average.",
        "1 face cleaned without close-ups, changed by 1.5 of 255 grey levels on average.",
        "Left alone: 4 faces turned away, 2 faces readable already, 2 faces changed by less than "
        "can be seen, 1 face readable and not Anna.",
    ]


def test_lids_that_no_close_up_shows_are_said_to_be_drawn(tmp_path) -> None:
    levels = [torch.tensor(level) for level in (4.0, 4.0, 0.1, 4.0)]
    changed = [Changed(3, True, one, lowered=at < 3) for at, one in enumerate(levels)]
    SegmentRecord.of(4, Account(changed), []).write(tmp_path / "record")
    record = SegmentRecord.read(tmp_path / "record")
    assert record.lowered == {3: 2}  # of those that can be seen
    plan = walking(np.full(4, 200.0), np.zeros(4))
    (person,) = summarise(People([PERSON], {}, {}, []), [plan], [record], lambda frame: frame / 25)
    assert person["lowered_faces"] == 2
    assert "Eyes are shut in 2 of them, and in no close-up: their lids are drawn." in sentences(
        person
    )
    stored = json.loads((tmp_path / "record").read_text())
    del stored["lowered"]  # of an older release
    (tmp_path / "record").write_text(json.dumps(stored))
    record = SegmentRecord.read(tmp_path / "record")
    (person,) = summarise(People([PERSON], {}, {}, []), [plan], [record], lambda frame: frame / 25)
    assert not any("lids" in said for said in sentences(person))


def test_a_face_that_nobody_sees_change_is_not_restored_nor_shown() -> None:
    done = account((True, 0.4))
    shape = torch.zeros(4, 4, 3, dtype=torch.uint8)
    done.pictures = {7: Example(0, 1.0, torch.tensor(0.4), shape, shape)}
    record = SegmentRecord.of(1, done, [])
    assert record.faces == 0
    plan = walking(np.full(1, 200.0), np.ones(1))
    (person,) = summarise(
        People([PERSON], {}, {}, []), [plan], [record], lambda frame: frame / 25, {3: "Add photos."}
    )
    assert person["pictures"] == []
    assert person["wanted"] == "Add photos."
    assert sentences(person) == [f"Left alone: 1 face {UNSEEN}.", "Add photos."]


def test_likeness_is_of_the_faces_that_were_restored_from_close_ups() -> None:
    def sample(choice: str, before: float, after: float) -> dict[str, object]:
        return {
            "identity": 3, "choice": choice, "reason": "", "belief": "",
            "input": before, "unreferenced": None, "restored": after,
        }  # fmt: skip

    samples = [
        sample("restored from references", 0.5, 0.8),
        sample("restored from references", 0.6, 0.8),
        sample("left as it was", 0.9, 0.99),
    ]
    record = SegmentRecord(1, {3: 2}, samples=samples, change={3: [8.0, 0.0]})
    (person,) = summarise(People([PERSON], {}, {}, []), [], [record], lambda frame: frame / 25)
    assert person["likeness"] == {"before": 0.55, "after": 0.8}
    assert sentences(person) == [
        "2 faces restored from close-ups, changed by 4.0 of 255 grey levels on average; likeness "
        "to the close-ups 0.55 before, 0.80 after."
    ]


def test_the_words_are_those_of_plan_and_guard() -> None:
    assert Reason.SOMEBODY_ELSE.value == NOT_THEM
    known = {reason.value for reason in Reason} | set(get_args(PlanReason))
    assert set(SAID) <= known
    assert reason_words(NOT_THEM, None) == NOT_THEM


def test_a_record_of_an_older_release_is_read(tmp_path) -> None:
    old = {
        "frames": 2,
        "restored": {"3": 4},
        "used": {},
        "samples": [],
        "pictures": {"7": {"frame": 1, "inside": 1.0, "before": "", "after": ""}},
    }
    (tmp_path / "record.json").write_text(json.dumps(old))
    record = SegmentRecord.read(tmp_path / "record.json")
    assert record.faces == 4
    plan = walking(np.full(2, 200.0), np.ones(2))
    (person,) = summarise(People([PERSON], {}, {}, []), [plan], [record], lambda frame: frame / 25)
    assert person["change"] == {"referenced": None, "unreferenced": None}
    assert [one["frame"] for one in person["pictures"]] == [1]
    assert sentences(person) == ["4 faces restored from close-ups."]


def test_a_record_survives_its_file(tmp_path) -> None:
    record = SegmentRecord(
        2,
        {3: 4},
        {3: {0: 2}},
        [],
        {7: {"frame": 1, "inside": 0.5}},
        {3: 1},
        {4: 2},
        {3: [4.5, 1.25]},
        {4: {"can be read as it is": 2}},
    )
    record.write(tmp_path / "record.json")
    assert SegmentRecord.read(tmp_path / "record.json") == record


def told(name: str) -> dict[str, object]:
    """Return a person of a report who is named so and matched to a profile named so."""
    people = People([replace(PERSON, name=name)], {}, {}, [], matched={3: Matched(name, 0.4, 0.37)})
    (person,) = summarise(people, [], [SegmentRecord(5)], lambda frame: frame / 25)
    return person


def test_a_name_on_the_page_is_text_and_in_the_file_exact(tmp_path) -> None:
    name = "A\x1b[2Jn\u202ena <b>\udcff"
    report = {
        "output": {"name": name, "width": 64, "height": 48},
        "source": {"name": name},
        "version": "1",
        "notes": [name],
        "faces": 0,
        "unreferenced": 0,
        "unseen": 2,
        "frames": 5,
        "identities": [told(name)],
        "stages": [name],
        "device": "cpu",
        "precision": "float32",
    }
    write_report(report, tmp_path / "r.json", tmp_path / "r.html")
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["notes"] == [name]
    page = (tmp_path / "r.html").read_text("utf-8")
    assert page.count("A\ufffd[2Jn\ufffdna &lt;b&gt;\ufffd") >= 6
    assert not set(page) & {"\x1b", "\u202e"}
