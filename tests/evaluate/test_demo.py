"""The demo film: borders never show, the cut-out is clean, and the truth is kept."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refrestore.errors import MediaError
from refrestore.evaluate.demo import (
    MOVES,
    RATE,
    CameraMove,
    CameraView,
    far_moments,
    group_photo,
    make_demo_film,
)
from refrestore.evaluate.demo.before_after import FaceMoment, before_after, face_sheet, stacked
from refrestore.evaluate.demo.cutout import EYES, cut_out_portrait
from refrestore.evaluate.demo.gallery import gallery_wall, rope
from refrestore.evaluate.demo.moves import shown, sway
from refrestore.evaluate.demo.music import SOUND_RATE, music
from refrestore.evaluate.demo.packaged import packaged_picture
from refrestore.media.pixels import display_rgb
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader

SHORT = (
    CameraMove(CameraView(0.15, 0.39, 1.5), CameraView(0.16, 0.38, 1.5), 0.16, hand=3),
    CameraMove(
        CameraView(0.4, 0.42, 0.46), CameraView(0.42, 0.4, 0.5), 0.16, far=True, scene="gallery"
    ),
    CameraMove(
        CameraView(0.6, 0.44, 0.46), CameraView(0.6, 0.44, 0.46), 0.12, far=True, scene="walk-by"
    ),
)


def frames(path) -> np.ndarray:
    with VideoReader(path) as reader:
        return np.stack([display_rgb(frame) for frame in reader]).astype(float)


def test_a_larger_truth_shows_the_same(tmp_path) -> None:
    film, truth = tmp_path / "film.mp4", tmp_path / "truth.mp4"
    moves = SHORT[:1] + SHORT[2:]
    make_demo_film(film, moves=moves, size=(320, 180), truth=truth, truth_scale=2)
    small, large = frames(film), frames(truth)
    assert large.shape[1:3] == (360, 640)
    for one, other in zip(small, large, strict=True):
        shrunk = cv2.resize(other, (320, 180), interpolation=cv2.INTER_AREA)
        shift, _ = cv2.phaseCorrelate(*(np.ascontiguousarray(p[..., 1]) for p in (one, shrunk)))
        assert np.hypot(*shift) < 0.25


@given(
    x=st.floats(-0.5, 1.5), y=st.floats(-0.5, 1.5), zoom=st.floats(0.2, 4), wide=st.integers(20, 90)
)
@settings(max_examples=60, deadline=None)
def test_the_camera_never_shows_what_is_beyond_the_border(x, y, zoom, wide) -> None:
    # colour says where in the picture a pixel is from: a repeated border has no gradient
    height, width = 60, 100
    columns = np.tile(np.linspace(0, 250, width), (height, 1))
    rows = np.tile(np.linspace(0, 250, height)[:, None], (1, width))
    picture = np.stack([columns, rows, columns], axis=2).astype(np.uint8)
    size = (wide, 40)
    seen = shown(picture, CameraView(x, y, zoom), size).astype(float)
    # 8 bits are coarse: compare the average step at each edge with that over the whole
    actual = max(zoom, wide / width, 40 / height)
    span = seen[20, -1, 0] - seen[20, 0, 0]
    assert span == pytest.approx((wide - 1) / actual * 250 / (width - 1), abs=6)
    span = seen[-1, wide // 2, 1] - seen[0, wide // 2, 1]
    assert span == pytest.approx(39 / actual * 250 / (height - 1), abs=6)


def test_a_view_at_its_own_size_copies_pixels() -> None:
    photo = group_photo()
    seen = shown(photo, CameraView(0.5, 0.5, 1), (200, 100))
    height, width = photo.shape[:2]
    top, left = height // 2 - 50, width // 2 - 100
    np.testing.assert_array_equal(seen, photo[top : top + 100, left : left + 200])


def test_a_hand_sways_within_its_limit() -> None:
    phases = np.random.default_rng(0).uniform(0, 6, (2, 3))
    offsets = np.array([sway(step / 25, phases, 3.0) for step in range(500)])
    assert np.abs(offsets).max() <= 3.0
    assert np.abs(np.diff(offsets, axis=0)).max() < 0.7


def test_the_cut_out_keeps_the_person_and_nothing_else() -> None:
    layer = cut_out_portrait()
    alpha = layer[..., 3]
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert alpha[EYES[1], EYES[0]] == 1
    assert (alpha[-1, 60:480] == 1).all(), "she is cut off above the portrait's lower edge"
    for x, y in ((60, 60), (410, 120), (430, 310), (90, 140), (230, 4)):
        assert alpha[y, x] == 0
    assert (layer[..., :3] <= 255 * alpha[..., None] + 1e-3).all()
    soft = (alpha > 0) & (alpha < 1)
    assert 0.003 < soft.mean() < 0.03
    assert cv2.connectedComponents((alpha > 0.5).astype(np.uint8))[0] == 2


def test_the_group_hangs_in_the_gallery() -> None:
    wall = gallery_wall(np.random.default_rng(0)).astype(float)
    photo = group_photo()
    small = cv2.resize(photo, (800, 554), interpolation=cv2.INTER_AREA).astype(np.float32)
    found = cv2.matchTemplate(wall.astype(np.float32), small, cv2.TM_CCOEFF_NORMED)
    assert found.max() > 0.99
    assert rope()[..., 3].max() == 1


def test_a_missing_package_is_one_sentence() -> None:
    with pytest.raises(MediaError, match="nosuchpackage"):
        packaged_picture("nosuchpackage", "a.png")
    with pytest.raises(MediaError, match=r"nosuch\.png"):
        packaged_picture("refrestore", "nosuch.png")


def test_the_sound_is_as_long_as_the_film_and_ends_softly() -> None:
    sound = music(3.0, [(1.0, 2.0, 2.0)])
    assert sound.shape == (2, 3 * SOUND_RATE)
    assert 0.05 < np.abs(sound).max() <= 1
    assert np.abs(sound[:, -200:]).max() < 1e-3
    assert np.abs(np.diff(sound, axis=1)).max() < 0.2, "a click"


def test_the_truth_differs_in_far_shots_only(tmp_path) -> None:
    film, truth = tmp_path / "film.mp4", tmp_path / "truth.mp4"
    count = make_demo_film(film, moves=SHORT, size=(320, 180), truth=truth)
    assert count == 11
    spoilt, clean = frames(film), frames(truth)
    assert len(spoilt) == len(clean) == count
    error = np.abs(spoilt - clean).mean(axis=(1, 2, 3))
    assert error[:4].max() < 2, "more than two encoders explain"
    assert error[4:].min() > error[:4].max()
    assert sorted(stream.kind for stream in probe(film).streams) == ["audio", "video"]


def test_the_film_is_the_same_every_time(tmp_path) -> None:
    first, second = tmp_path / "1.mp4", tmp_path / "2.mp4"
    for path in (first, second):
        make_demo_film(path, moves=SHORT[2:], size=(320, 180))
    np.testing.assert_array_equal(frames(first), frames(second))


def test_far_moments_are_in_far_shots() -> None:
    moments = far_moments()
    assert len(moments) == sum(move.far for move in MOVES)
    start = Fraction(0)
    for move in MOVES:
        stop = start + move.frames / RATE
        assert any(start <= moment < stop for moment in moments) == move.far
        start = stop


def test_sheets_have_a_column_a_person_and_a_row_a_video(tmp_path) -> None:
    film = tmp_path / "film.mp4"
    make_demo_film(film, moves=SHORT[:1], size=(320, 180))
    moments = [
        FaceMoment(f"person {n}", "40 px", Fraction(0), (n, 0.05, n + 0.1, 0.25)) for n in (0, 0.9)
    ]
    two = face_sheet(moments, {"input": film, "restored": film})
    three = face_sheet(moments, {"input": film, "restored": film, "truth": film})
    assert two.shape[1] == three.shape[1]
    assert three.shape[0] - two.shape[0] == two.shape[0] - face_sheet(moments, {"i": film}).shape[0]
    frames = before_after(film, film, [Fraction(0)])
    assert frames.shape[1] > 2 * 320
    assert len(stacked([frames, two])) == len(frames) + len(two)
