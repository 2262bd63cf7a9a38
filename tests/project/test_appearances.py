"""Who is on screen when, as other programs read it."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from fractions import Fraction

import pytest

from refrestore.config import ScanSettings
from refrestore.moment import Timecode
from refrestore.project import Project
from refrestore.project.appearances import appearances, as_csv, as_edl, too_many
from refrestore.types import Shot

TIMES = " ".join([r"(\d\d:\d\d:\d\d[:;]\d\d)"] * 4)
EVENT = re.compile(rf"(\d{{3}})  AX       V     C        {TIMES}")
CUT = 500


def filled(project: Project, make, rate: Fraction = Fraction(25)) -> Project:
    """1 before and after a cut and once more, 2 with two tracks at once, 3 no face."""
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_shot(Shot(0, 0, CUT, Fraction(2)))
        writer.add_shot(Shot(1, CUT, 1000, Fraction(2) + CUT / rate))
        spans = {1: (400, CUT), 2: (CUT, 520), 3: (600, 650), 4: (0, 60), 5: (30, 90), 6: (7, 9)}
        for number, (first, stop) in spans.items():
            track = replace(make.track(number, first, stop), size=float(10 * number))
            writer.add_track(track, make.faces(first, stop, 200.0 * number))
        writer.set_identities([[1, 2, 3], [4, 5], [6]])
    project.rename(2, 'Anna, "the\n second"')
    project.set_state(3, "not_a_face")
    return project


def test_appearances_go_on_over_cuts_and_overlapping_tracks(project, make):
    found = appearances(filled(project, make))
    assert [(one.identity.id, one.first, one.stop, one.tracks) for one in found] == [
        (1, 400, 520, (1, 2)),
        (1, 600, 650, (3,)),
        (2, 0, 90, (4, 5)),
    ]
    assert [(one.start, one.end, one.size) for one in found] == [
        (16.0, 20.8, 20.0),
        (24.0, 26.0, 30.0),
        (0.0, 3.6, 50.0),
    ]


def test_the_table_is_in_order_of_time_and_any_name_fits(project, make):
    text = as_csv(filled(project, make), Timecode.parse("10:00:00:00"))
    assert text.count("\r\n") == 4
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["person"] for row in rows] == ["2", "1", "1"]
    assert rows[0]["name"] == project.identity(2).name
    assert rows[1] | {"name": ""} == {
        "person": "1", "name": "", "state": "restore", "start": "16.000", "end": "20.800",
        "start_timecode": "10:00:16:00", "end_timecode": "10:00:20:20",
        "first_frame": "400", "stop_frame": "520", "face_pixels": "20", "tracks": "1 2",
    }  # fmt: skip


def test_the_list_has_sources_where_the_film_is_and_a_reel_without_overlaps(project, make):
    begins = Timecode.parse("01:00:00:00")
    text = as_edl(filled(project, make), begins)
    lines = text.split("\r\n")
    assert lines[:2] == ["TITLE: film.mp4", "FCM: NON-DROP FRAME"]
    events = [found.groups() for line in lines if (found := EVENT.fullmatch(line))]
    assert events == [
        ("001", "01:00:16:00", "01:00:20:20", "01:00:00:00", "01:00:04:20"),
        ("002", "01:00:24:00", "01:00:26:00", "01:00:04:20", "01:00:06:20"),
        ("003", "01:00:00:00", "01:00:03:15", "01:00:06:20", "01:00:10:10"),
    ]
    names = [line.removeprefix("* COMMENT: ") for line in lines if line.startswith("* COMMENT")]
    assert names[2].startswith('Anna, "the')
    assert all(
        not line or line.startswith(("TITLE", "FCM", "* ")) or EVENT.fullmatch(line)
        for line in lines
    ), "a name broke a line"


def test_dropped_numbers_are_dropped(tmp_path, make):
    rate = Fraction(30000, 1001)
    video = replace(make.video(tmp_path), rate=rate, duration=1000 / rate)
    with Project.create(tmp_path / "project", video) as project:
        text = as_edl(filled(project, make, rate), Timecode.parse("00:59:59;00"))
    assert "FCM: DROP FRAME" in text
    first = next(found.groups() for line in text.splitlines() if (found := EVENT.fullmatch(line)))
    assert first[1] == str(Timecode.parse("00:59:59;00").advanced(400, rate))
    assert first[3] == "00:59:59;00"


def test_long_lists_are_said(project, make):
    found = appearances(filled(project, make))
    assert too_many(found) is None
    assert "1200 events" in str(too_many(found * 400))


@pytest.mark.parametrize("write", [as_csv, as_edl])
def test_nobody_is_an_empty_list(write, project):
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_shot(Shot(0, 0, 1000, Fraction(2)))
        writer.set_identities([])
    assert "AX" not in write(project)
