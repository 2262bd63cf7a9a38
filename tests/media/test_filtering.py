"""A treated film has the same frames and times, and the same pixels wherever it is entered."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from refrestore.errors import MediaError
from refrestore.media.filtering import treat
from refrestore.media.planes import planar, plane_views
from refrestore.media.probe import probe
from refrestore.media.reader import VideoReader
from refrestore.media.source import treated
from refrestore.media.treatment import UNTREATED, Treatment
from tests.analogue import STEP, luma, scene, write_tape

SIZE = (192, 96)
TICK = Fraction(1, 25)
PERIOD = SIZE[0] // STEP
"""Moments after which the scene is what it was."""
TREATMENTS = {
    "top": Treatment(deinterlace="frame", top_first=True),
    "bottom": Treatment(deinterlace="frame", top_first=False),
    "light": Treatment(denoise="light"),
    "strong": Treatment(denoise="strong"),
    "all": Treatment(deinterlace="frame", top_first=True, denoise="strong"),
    "fields": Treatment(deinterlace="field", top_first=True),
    "fields, bottom": Treatment(deinterlace="field", top_first=False, denoise="light"),
}


def planes(picture):
    return [view.copy() for view in plane_views(planar(picture))]


def read(info, **where):
    with VideoReader(info.path, info=info, **where) as reader:
        return [(frame.index, frame.time, planes(frame.picture), frame) for frame in reader]


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other.astype(float)) ** 2))


@pytest.fixture(scope="module")
def tapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tapes")
    return {
        order: write_tape(folder / f"{order}.mkv", order, noise=6, frames=30, size=SIZE)
        for order in ("top", "bottom")
    }


@pytest.mark.parametrize("name", TREATMENTS)
def test_entered_late_the_pictures_are_those_of_the_whole_film(tapes, name):
    info = treated(probe(tapes["bottom" if "bottom" in name else "top"]), TREATMENTS[name])
    whole = read(info)
    assert len(whole) == 30 * info.treatment.frames == info.frames
    for start in (1, 3, 4, 12, 13, 15, 29, len(whole) - 2, len(whole) - 1):
        late = read(info, enter=(start, whole[start][1]))
        assert [one[:2] for one in late] == [one[:2] for one in whole[start:]]
        for one, other in zip(late, whole[start:], strict=True):
            assert all(np.array_equal(*pair) for pair in zip(one[2], other[2], strict=True))


@pytest.mark.parametrize("name", ["top", "bottom"])
def test_a_moving_picture_is_of_one_moment_again(tmp_path, name):
    plain = probe(write_tape(tmp_path / "film.mkv", name, codec="ffv1", size=SIZE))
    info = treated(plain, TREATMENTS[name])
    before, after = read(plain), read(info)
    assert [one[:2] for one in after] == [one[:2] for one in before]
    limited = lambda levels: 16 + levels.astype(float) * 219 / 255  # noqa: E731
    for number in (0, 1, 20, 39):  # the first and the last lack a neighbour
        truth = limited(scene(SIZE, 2 * number))
        assert psnr(after[number][2][0], truth) > psnr(before[number][2][0], truth) + 6
        assert after[number][3].picture.pts == before[number][3].picture.pts
    wrong = read(treated(plain, TREATMENTS["bottom" if name == "top" else "top"]))
    truth = limited(scene(SIZE, 40))
    assert psnr(wrong[20][2][0], truth) < psnr(after[20][2][0], truth) - 3


@pytest.mark.parametrize("name", ["fields", "fields, bottom"])
def test_each_field_is_a_picture_of_its_own_moment(tmp_path, name):
    order = "bottom" if "bottom" in name else "top"
    plain = probe(write_tape(tmp_path / "film.mkv", order, codec="ffv1", size=SIZE))
    before, after = read(plain), read(treated(plain, TREATMENTS[name]))
    assert [one[0] for one in after] == list(range(2 * len(before)))
    assert [one[1] for one in after[::2]] == [one[1] for one in before]
    for one, other, following in zip(after[::2], after[1::2], after[2::2], strict=False):
        assert other[1] == (one[1] + following[1]) / 2
    assert after[-1][1] - after[-2][1] == Fraction(1, 50)
    for _, time, _, frame in after:
        assert frame.picture.pts * frame.picture.time_base == time
    limited = lambda levels: 16 + levels.astype(float) * 219 / 255  # noqa: E731
    for number in (2, 3, 40, 41, 62):
        moments = [psnr(after[number][2][0], limited(scene(SIZE, at))) for at in range(PERIOD)]
        assert int(np.argmax(moments)) == number


def test_a_gap_is_no_long_field(tmp_path):
    film = write_tape(tmp_path / "film.mkv", "top", frames=20, size=SIZE)
    info = treated(probe(film), TREATMENTS["fields"])
    pictures = [
        (one[0], Fraction(one[0] + 9 * (one[0] > 3), 25), one[3].picture)
        for one in read(probe(film))
    ]
    given = [one[1] for one in treat(info.treatment, pictures, info.longest)]
    assert given[7] - given[6] == Fraction(1, 50)
    assert given[8] - given[7] == Fraction(9, 25) + Fraction(1, 50)
    assert given == sorted(set(given))


def test_a_deinterlaced_picture_is_not_flagged_as_two(tapes):
    info = probe(tapes["top"])
    assert read(info)[5][3].picture.interlaced_frame
    for one in read(treated(info, TREATMENTS["all"])):
        assert not one[3].picture.interlaced_frame


def test_an_untreated_film_is_the_decoders(tapes):
    info = probe(tapes["top"])
    assert info.treatment == UNTREATED
    pictures = [(0, Fraction(0), av.VideoFrame(16, 16, "yuv420p"))]
    assert next(iter(treat(UNTREATED, pictures, TICK)))[2] is pictures[0][2]


@pytest.mark.parametrize(("name", "gain"), [("light", 1), ("strong", 3)])
def test_noise_is_taken_away(tmp_path, name, gain):
    kind = {"codec": "ffv1", "frames": 12, "size": SIZE}
    clean, noisy = (
        probe(write_tape(tmp_path / f"{noise}.mkv", "progressive", noise=noise, **kind))
        for noise in (0, 6)
    )
    truth, before = read(clean), read(noisy)
    after = read(treated(noisy, TREATMENTS[name]))
    for number in (0, 6, 11):
        was, now = (psnr(one[number][2][0], truth[number][2][0]) for one in (before, after))
        assert now > was + gain


@pytest.mark.parametrize(
    "pixel_format",
    ["yuv411p", "yuv420p", "yuv422p", "yuv420p10le", "yuv422p10le", "yuv444p12le", "gray",
     "gbrp10le", "yuvj420p", "uyvy422", "nv12"],
)  # fmt: skip
def test_every_kind_of_picture_keeps_its_kind(pixel_format):
    frames = []
    for number in range(5):
        gray = av.VideoFrame.from_ndarray(luma(SIZE, number, "top"), "gray")
        frames.append((number, Fraction(number, 25), gray.reformat(format=pixel_format)))
    kind = planar(frames[0][2]).format.name
    light = Treatment(deinterlace="frame", denoise="light")
    result = list(treat(light, frames, TICK))
    assert [one[:2] for one in result] == [one[:2] for one in frames]
    assert {one[2].format.name for one in result} == {kind}


def test_a_film_may_change_its_kind_of_picture_on_the_way():
    kinds = ["yuv420p"] * 3 + ["yuv422p"] * 3
    frames = [
        (number, Fraction(number, 25), av.VideoFrame(64, 48, kind))
        for number, kind in enumerate(kinds)
    ]
    result = list(treat(TREATMENTS["all"], frames, TICK))
    assert [one[0] for one in result] == list(range(6))
    assert [one[2].format.name for one in result] == kinds


def test_what_cannot_be_kept_is_refused():
    frames = [(number, Fraction(number), av.VideoFrame(64, 48, "gray10le")) for number in range(3)]
    with pytest.raises(MediaError, match="without loss: give --deinterlace off"):
        list(treat(TREATMENTS["top"], frames, TICK))


def test_pictures_without_times_go_through():
    frames = [(number, Fraction(number), av.VideoFrame(64, 48, "yuv420p")) for number in range(4)]
    for _, _, picture in frames:
        picture.pts = None
    result = list(treat(replace(TREATMENTS["all"], top_first=None), frames, TICK))
    assert [one[1] for one in result] == [one[1] for one in frames]
    assert all(one[2].pts is None for one in result)
