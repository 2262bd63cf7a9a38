"""Segments cover the film once, end at cuts, and are kept only for the same render."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrestore.errors import kept_if_broken_off, kept_notes
from refrestore.render.segment_folder import Segment, SegmentFolder, digest, split
from refrestore.types import Shot


def shots_of(cuts: list[int]) -> list[Shot]:
    return [
        Shot(index, a, b, Fraction(a, 25)) for index, (a, b) in enumerate(itertools.pairwise(cuts))
    ]


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=20),
    st.integers(1, 300),
    st.data(),
)
def test_segments_cover_every_frame_once(
    lengths: list[int], longest: int, data: st.DataObject
) -> None:
    cuts = [0]
    for length in lengths:
        cuts.append(cuts[-1] + length)
    first = data.draw(st.integers(0, cuts[-1] - 1))
    stop = data.draw(st.integers(first + 1, cuts[-1]))
    segments = split(shots_of(cuts), longest=longest, first=first, stop=stop)
    frames = [frame for segment in segments for frame in range(segment.first, segment.stop)]
    assert frames == list(range(first, stop))
    assert all(0 < len(segment) <= longest for segment in segments)
    assert [segment.index for segment in segments] == list(range(len(segments)))


def test_segments_end_at_cuts() -> None:
    segments = split(shots_of([0, 40, 90, 130, 500]), longest=100, first=0, stop=500)
    assert [(s.first, s.stop) for s in segments[:2]] == [(0, 90), (90, 130)]
    assert all(len(s) in (92, 93) for s in segments[2:])


def test_a_video_without_shots_is_still_rendered() -> None:
    assert split([], longest=50, first=0, stop=50) == [Segment(0, 0, 50)]


def test_a_folder_of_another_render_is_emptied(tmp_path: Path) -> None:
    segment = Segment(0, 0, 10)
    folder = SegmentFolder(tmp_path, digest(["a", 1]))
    folder.video(segment).write_bytes(b"packets")
    folder.record(segment).write_text("{}")
    folder.sign()
    assert SegmentFolder(tmp_path, digest(["a", 1])).finished(segment)
    assert not SegmentFolder(tmp_path, digest(["a", 2])).finished(segment)


@pytest.mark.parametrize("content", ["", "[]", '{"key": 5}', "not json"])
def test_a_damaged_manifest_starts_over(tmp_path: Path, content: str) -> None:
    segment = Segment(0, 0, 10)
    folder = SegmentFolder(tmp_path, "k")
    folder.video(segment).write_bytes(b"packets")
    folder.record(segment).write_text("{}")
    folder.sign()
    (folder.path / "manifest.json").write_text(content)
    assert not SegmentFolder(tmp_path, "k").finished(segment)


def test_what_is_kept_is_said(tmp_path: Path) -> None:
    segments = [Segment(0, 0, 1000), Segment(1, 1000, 1500)]
    folder = SegmentFolder(tmp_path, "k")
    assert folder.kept(segments) == "no segment was finished"
    assert not folder.kept(segments).goes_on
    folder.record(segments[0]).write_text("{}")
    folder.video(segments[0]).write_bytes(b"packets")
    said_on_the_way = kept_if_broken_off(lambda: folder.kept(segments))
    with pytest.raises(KeyboardInterrupt) as broken, said_on_the_way:
        raise KeyboardInterrupt
    (said,) = kept_notes(broken.value)
    assert said == f"1 of 2 segments (1,000 of 1,500 frames) are kept in {tmp_path}"
    assert said.goes_on
