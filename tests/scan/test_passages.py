"""What is seen in passages, put together, is what is seen in the film."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from refrestore.config import RuntimeSettings, ScanSettings
from refrestore.faces.analyser import load_face_models
from refrestore.media.packet_times import PacketTimes
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.simple import write_pictures
from refrestore.models.pack import load_face_pack
from refrestore.scan import spans
from refrestore.scan.frame_forms import FrameForms
from refrestore.scan.passages import FIRST_OWN, PassageToSee
from refrestore.scan.shots import DELAY, cut, measured
from refrestore.scan.spans import SpanFollower
from refrestore.scan.work import Here
from tests.scan.test_shots import scene

SCENES = (14, 6, 31, 5, 9, 20)
RUNTIME = RuntimeSettings(device="cpu", threads=1)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    pictures = [one for seed, count in enumerate(SCENES) for one in scene(seed, count)]
    pictures[25][:] = 255  # a flash
    options = {"g": "10", "sc_threshold": "0", "crf": "10"}
    write_pictures(path, pictures, rate=Fraction(25), options=options)
    models = load_face_models(load_face_pack(RUNTIME), "cpu", threads=1)
    return Here(probe(path), models, ScanSettings())


@pytest.fixture(autouse=True)
def short_spans(monkeypatch):
    monkeypatch.setattr(spans, "SPAN_SECONDS", Fraction(12, 25))
    monkeypatch.setattr(spans, "OVERLAP_SECONDS", Fraction(3, 25))


@pytest.mark.parametrize("length", [1, 11, 25])
def test_they_are_the_films(here, length) -> None:
    with VideoReader(here.info.path, info=here.info) as reader:
        whole = list(measured(map(FrameForms, reader)))
    pictures = [one for one, _ in whole if one is not None]
    rate = here.info.average_rate
    shape = spans.Spans.at(rate)
    follower, followed = SpanFollower(here.models, here.settings, rate, shape), {}
    begins = [0]
    for picture, cuts in cut(whole, rate):
        ended = follower.end_shot() if cuts else []
        begins += [picture.number] * cuts
        followed.update({(s.start, s.stop): one for s, one in [*ended, *follower.push(picture)]})
    followed.update({(s.start, s.stop): one for s, one in follower.end_shot()})
    assert begins == np.cumsum([0, *SCENES[:-1]]).tolist()

    packets = PacketTimes(here.info)
    changes, found = [], {}
    unit = here.info.time_base
    for first, stop, limit in packets.passages(
        lambda first: length, 80, shape.length + shape.overlap
    ):
        seen = PassageToSee(first, stop, limit, packets.ticks[first] * unit, unit, shape)(here)
        assert seen.whole
        assert seen.ticks == packets.ticks[first : first + len(seen.ticks)]
        assert len(seen.ticks) >= min(stop + DELAY + 1, len(pictures)) - first
        changes += seen.changes[FIRST_OWN if first else 0 : stop - first + FIRST_OWN]
        found |= seen.spans
        assert all(first <= begin <= stop for begin, _ in seen.spans)
    assert changes == [change for _, change in whole]
    right = {span for span in followed if span in found}
    assert all(found[span].detections == followed[span].detections for span in right)
    # A cut is seen from a passage's fifth frame on to the next one's first.
    assert {span for span in followed if span[0] in {0, 20, 56, 65}} <= right
    if length == 25:
        assert len(right) >= len(followed) - 2


def test_a_film_that_is_not_entered_is_not_seen(here) -> None:
    unit, shape = here.info.time_base, spans.Spans(12, 3)
    seen = PassageToSee(20, 30, 60, Fraction(77), unit, shape)(here)
    assert not seen.whole
    assert not seen.spans
