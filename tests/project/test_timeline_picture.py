"""Who is on screen when: what is drawn where, and always the same bytes."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from fractions import Fraction

import matplotlib
import numpy as np
import pytest
from PIL import Image

from refrestore.config import ScanSettings
from refrestore.errors import UsageError
from refrestore.project.timeline_picture import (
    ALONE,
    RESTORED,
    UNHELPED,
    TimelineRow,
    clock,
    draw_timeline,
    write_timeline,
)
from refrestore.types import Shot


@pytest.fixture
def film(project, make):
    """Return a project: 1 with close-ups, 2 without, 3 ignored, 4 no face; 40 s in two shots."""
    with project.begin_scan(ScanSettings()) as writer:
        writer.add_shot(Shot(0, 0, 500, Fraction(2)))
        writer.add_shot(Shot(1, 500, 1000, Fraction(22)))
        for number, first in ((1, 0), (2, 250), (3, 500), (4, 900)):
            track = make.track(number, first, first + 100)
            writer.add_track(track, make.faces(first, first + 100))
            writer.add_thumbnail(number, np.full((64, 64, 3), (250, 20, 200), np.uint8))
        writer.add_reference(1, replace(make.reference(1), frame=50))
        writer.set_identities([[1], [2], [3], [4]])
    project.set_state(3, "ignore")
    project.set_state(4, "not_a_face")
    return project


def rgb(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def near(picture, colour):
    """Return (rows, columns) of the pixels of a colour."""
    return np.nonzero(np.abs(picture.astype(int) - rgb(colour)).max(axis=2) <= 2)


def texts(path):
    tree = ElementTree.parse(path)
    return ["".join(node.itertext()) for node in tree.iter("{http://www.w3.org/2000/svg}text")]


def test_each_person_has_a_bar_of_its_colour_at_its_time(film, tmp_path):
    path = tmp_path / "who.png"
    write_timeline(film, path)
    with Image.open(path) as opened:
        picture = np.asarray(opened.convert("RGB"))
    # The legend above shows each colour too, and the rim of a letter may be any grey.
    bars = {}
    for colour in (RESTORED, UNHELPED, ALONE):
        rows, columns = near(picture, colour)
        bar = (rows > 90) & (rows < len(picture) - 70) & (columns > 400)
        bars[colour] = rows[bar], columns[bar]
    tops = [bars[colour][0].mean() for colour in (RESTORED, UNHELPED, ALONE)]
    assert tops == sorted(tops)  # people as long on screen come by their ids
    first, second, third = (bars[colour][1] for colour in (RESTORED, UNHELPED, ALONE))
    per_second = (third.min() - first.min()) / 20  # tracks begin at 0, 10 and 20 s of 40
    assert second.min() - first.min() == pytest.approx(10 * per_second, abs=2)
    for columns in (first, second, third):
        assert np.ptp(columns) == pytest.approx(4 * per_second, abs=3)
    rows, columns = near(picture, "#fa14c8")
    assert len(rows) > 1000  # a thumbnail
    assert columns.max() < first.min()


def test_an_svg_says_names_times_and_nothing_of_what_is_no_face(film, tmp_path):
    film.rename(2, "Zoë <b>$x_1$ & co")
    path = tmp_path / "who.svg"
    write_timeline(film, path)
    said = texts(path)
    assert "1  person 1" in said
    assert "2  Zoë <b>$x_1$ & co" in said
    assert "4.0 s · 1 close-up" in said
    assert "4.0 s · no close-up" in said
    assert "4.0 s · left alone" in said
    assert not any("person 4" in text for text in said)
    assert {"0:05", "0:40"} <= set(said)
    assert "Who is on screen in film.mp4" in said


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_project_is_the_same_bytes_whatever_the_users_settings(film, tmp_path, kind):
    one, other = tmp_path / f"one.{kind}", tmp_path / f"other.{kind}"
    write_timeline(film, one)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        write_timeline(film, other)
        assert matplotlib.rcParams["font.size"] == 20  # and leaves them as they were
    assert one.read_bytes() == other.read_bytes()


def test_the_longest_seen_are_shown_where_there_are_too_many(film, tmp_path):
    film.merge([2, 3])
    write_timeline(film, tmp_path / "who.svg", most=1)
    said = texts(tmp_path / "who.svg")
    assert "2  person 2" in said
    assert "1  person 1" not in said
    assert any("(the 1 longest of 2 people)" in text for text in said)


def test_a_glimpse_of_one_frame_in_two_hours_is_seen():
    rows = [TimelineRow("1  Anna", "0.0 s", ((3600.0, 3600.04),), RESTORED)]
    content = draw_timeline(rows, [], (0, 7200), title="Film", kind="png")
    with Image.open(io.BytesIO(content)) as opened:
        rows, columns = near(np.asarray(opened.convert("RGB")), RESTORED)
    assert len(set(columns[rows > 100])) >= 2


def test_nobody_and_nothing_can_be_drawn(project, tmp_path):
    write_timeline(project, tmp_path / "who.svg")
    assert "nobody" in texts(tmp_path / "who.svg")
    draw_timeline([], range(5000), (0, 0), title="", kind="png")


def test_other_kinds_of_file_are_refused(film, tmp_path):
    with pytest.raises(UsageError, match=r"ends in \.png or \.svg"):
        write_timeline(film, tmp_path / "who.pdf")
    assert not (tmp_path / "who.pdf").exists()


def test_times_as_people_write_them():
    assert [clock(s) for s in (0, 59.6, 61, 754)] == ["0:00", "1:00", "1:01", "12:34"]
    assert clock(3725, hours=True) == "1:02:05"
    assert clock(-2) == "-0:02"
