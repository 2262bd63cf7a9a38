"""Interlaced film is told by what its pictures show, whatever their flags say."""

from __future__ import annotations

import pytest

from refrestore.config import ScanSettings
from refrestore.errors import UsageError
from refrestore.media.fields import ENOUGH, Combing, judge, measure
from refrestore.media.probe import probe
from refrestore.media.source import open_source, source_notes
from tests.analogue import luma, write_tape

SIZE = (192, 96)


@pytest.mark.parametrize("noise", [0, 6])
@pytest.mark.parametrize("order", ["top", "bottom", "progressive"])
def test_the_order_of_fields_is_seen(order, noise):
    one, other = (luma(SIZE, number, order, noise=noise).astype("float32") for number in (3, 4))
    assert judge(one, other) == order
    assert judge(one[:-1], other[:-1]) == order  # an odd number of lines


def test_what_does_not_move_is_not_judged():
    one = luma(SIZE, 3, "top").astype("float32")
    assert not judge(one, one)
    still = luma(SIZE, 3, "top", noise=3).astype("float32")
    assert not judge(one, still)  # noise alone


def test_few_combed_pictures_make_no_interlaced_film():
    assert not Combing(0, 0, 0).interlaced
    assert not Combing(2, 0, 40).interlaced
    assert not Combing(2, 0, 2).interlaced
    assert not Combing(9, 4, 2).interlaced  # in no order
    assert Combing(8, 0, 12).interlaced  # film at 24 pictures a second in 60 fields
    assert Combing(9, 1, 0).top_first is True
    assert Combing(1, 9, 0).top_first is False
    assert Combing(5, 5, 0).top_first is None


@pytest.mark.parametrize("flagged", [True, False])
@pytest.mark.parametrize("order", ["top", "bottom"])
def test_interlaced_film_is_measured_whether_flagged_or_not(tmp_path, order, flagged):
    film = write_tape(tmp_path / "film.mpg", order, flagged=flagged)
    assert probe(film).interlaced == flagged
    info = open_source(film, ScanSettings())
    assert info.treatment.deinterlace == "frame"
    assert info.treatment.top_first == (order == "top")
    assert not info.interlaced  # nobody is to treat its pictures as two
    (note,) = source_notes(info, "auto")
    assert f"{order} field first" in note
    assert "deinterlaced" in note
    assert source_notes(info) == [note]  # the report's


def test_a_flag_that_lies_is_not_believed(tmp_path):
    info = open_source(write_tape(tmp_path / "film.mpg", "progressive"), ScanSettings())
    assert info.interlaced
    assert not info.treatment.filters
    (note,) = source_notes(info, "auto")
    assert "flagged interlaced, but 0 of" in note
    assert source_notes(info) == []


def test_a_film_of_one_fields_lines_has_not_two(tmp_path):
    film = write_tape(tmp_path / "film.mpg", "top", size=(192, 288), flagged=False)
    info = open_source(film, ScanSettings())
    assert not info.treatment.filters
    assert source_notes(info, "auto") == []


def test_what_the_user_says_counts(tmp_path):
    film = write_tape(tmp_path / "film.mpg", "bottom")
    off = open_source(film, ScanSettings(deinterlace="off"))
    assert off.interlaced
    assert not off.treatment.filters
    assert source_notes(off, "off") == []
    with pytest.raises(
        UsageError, match="mix its two fields: give --deinterlace auto, frame or field"
    ):
        open_source(film, ScanSettings(deinterlace="off", denoise="light"))
    asked = open_source(
        write_tape(tmp_path / "progressive.mpg", "progressive"), ScanSettings(deinterlace="frame")
    )
    assert asked.treatment.deinterlace == "frame"
    assert asked.treatment.top_first is None


@pytest.mark.parametrize("order", ["top", "bottom"])
def test_a_frame_for_each_field_is_said_and_counted(tmp_path, order):
    plain = probe(write_tape(tmp_path / "film.mpg", order))
    info = open_source(plain.path, ScanSettings(deinterlace="field"))
    assert info.treatment.top_first == (order == "top")
    assert info.average_rate == 2 * plain.average_rate == 2 * info.file_rate
    assert info.file_tick == plain.time_base == 2 * info.time_base
    (note,) = source_notes(info, "field")
    assert "one for each field, at twice the rate" in note


def test_a_long_film_is_looked_at_in_places(tmp_path):
    film = write_tape(tmp_path / "film.mkv", "progressive", frames=160)
    assert ENOUGH <= measure(probe(film)).judged <= ENOUGH + 8
    film = write_tape(tmp_path / "tape.mkv", "top", frames=160)
    combing = measure(probe(film))
    assert combing.top == combing.judged == 48
