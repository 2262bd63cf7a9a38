from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from refrestore import sampling
from refrestore.media.coding import Coding, read_region
from refrestore.media.pixels import rgb
from refrestore.media.planes import clone, plane_views
from refrestore.media.reader import VideoReader
from refrestore.media.tensors import FrameTensor, crops

FORMATS = [
    "yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "yuvj420p", "yuva420p",
    "yuv420p10le", "yuv422p10le", "yuv444p12le", "gray", "gray10le", "gbrp", "gbrp10le", "gbrap",
    "nv12", "yuyv422", "bgr24", "p010le",
]  # fmt: skip
"""Every shape of planes: subsampling, depth, gray, RGB, alpha, interleaved."""

INSIDE = slice(6, -6)
"""Beyond its outermost samples chroma is mirrored here, and repeated by `read_region`."""


def noise(name, size=(64, 64), full=False, matrix=1):
    rng = np.random.default_rng(3)
    picture = av.VideoFrame(*size, name)
    picture.colorspace, picture.color_range = matrix, 2 if full else 1
    for plane in picture.planes:
        octets = rng.integers(0, 256, plane.buffer_size, np.uint8)
        if picture.format.components[0].bits in (10, 12) and not name.startswith("p0"):
            octets[1::2] &= (1 << picture.format.components[0].bits - 8) - 1
        plane.update(octets.tobytes())
    return picture


def turned(scale, turn=0.2, place=(20.0, 15.0), side=48):
    """A matrix that brings a place of the picture to the middle of the crop."""
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shift = (side - 1) / 2 - linear @ place
    return np.concatenate([linear, shift[:, None]], 1)[None]


def arrays(cut):
    return cut.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_a_crop_that_moves_nothing_is_what_the_region_reads(name, full):
    for matrix in (1, 6, 9):
        picture = noise(name, full=full, matrix=matrix)
        cut = arrays(crops([FrameTensor.of(picture)], np.eye(2, 3)[None], 64))[0]
        wanted = read_region(picture, 0, 0, 64, 64)
        np.testing.assert_allclose(cut[INSIDE, INSIDE], wanted[INSIDE, INSIDE], atol=2e-5)


def test_fields_keep_their_own_chroma(videos):
    with av.open(str(videos("interlaced"))) as source:
        picture = clone(next(source.decode(video=0)))
    assert picture.interlaced_frame
    rng = np.random.default_rng(0)
    for view in plane_views(picture):
        view[:] = rng.integers(60, 180, view.shape)
    for top in (0, 5, 8):
        shift = np.array([[[1.0, 0, -4], [0, 1, -top]]])
        cut = arrays(crops([FrameTensor.of(picture)], shift, 40))[0]
        np.testing.assert_allclose(cut[4:], read_region(picture, 4, top, 40, 40)[4:], atol=2e-5)


@pytest.mark.parametrize("name", ["gbrp", "gbrp10le", "gray"])
@pytest.mark.parametrize(
    ("scale", "place"),
    [
        (3.1, (20, 15)),
        (1, (5, 60)),
        (0.45, (30, 30)),
        (0.23, (90, 10)),
        (0.11, (-20, 140)),
        (9, (0, 0)),
    ],
)
def test_arrays_and_tensors_are_sampled_alike(name, scale, place):
    picture = noise(name, (190, 150), full=True)
    frame = FrameTensor.of(picture)
    matrices = np.concatenate([turned(scale, turn, place) for turn in (0.0, 0.3, -2.0)])
    cut = arrays(crops([frame] * 3, matrices, 48))
    wanted = sampling.crops(read_region(picture, 0, 0, 190, 150), matrices, 48)
    np.testing.assert_allclose(cut, wanted, atol=2e-3)
    seen = torch.from_numpy(read_region(picture, 0, 0, 190, 150)).permute(2, 0, 1)
    again = arrays(crops([FrameTensor.of_rgb(seen)] * 3, matrices, 48))
    np.testing.assert_allclose(again, wanted, atol=2e-3)


def test_a_crop_mirrors_as_opencv_does():
    image = np.random.default_rng(1).random((30, 20, 3), np.float32)
    matrix = turned(1.0, 0.0, (3, 5), 64)
    wanted = cv2.warpAffine(image, matrix[0], (64, 64), borderMode=cv2.BORDER_REFLECT_101)
    picture = torch.from_numpy(image).permute(2, 0, 1)
    np.testing.assert_allclose(sampling.crops(image, matrix, 64)[0], wanted, atol=1e-5)
    cut = crops([FrameTensor.of_rgb(picture)], matrix, 64)
    np.testing.assert_allclose(arrays(cut)[0], wanted, atol=1e-5)


@pytest.mark.parametrize("size", [(2, 2), (3, 40), (17, 2)])
@pytest.mark.parametrize("name", ["yuv420p", "gray", "yuv422p10le"])
def test_tiny_pictures_have_crops(name, size):
    frame = FrameTensor.of(noise(name, size))
    for scale in (0.1, 1, 20):
        cut = crops([frame], turned(scale), 48)
        assert torch.isfinite(cut).all()


def test_only_what_a_crop_shows_is_read():
    image = torch.full((3, 200, 300), torch.nan)
    image[:, 60:110, 100:150] = 0.5
    cut = crops([FrameTensor.of_rgb(image)], turned(2.0, 0.1, (125, 85), 64), 64)
    assert (cut - 0.5).abs().max() < 1e-6


def test_frames_of_all_kinds_share_a_batch():
    frames = [FrameTensor.of(noise(name)) for name in ("yuv420p", "gray", "gbrp10le")]
    matrices = np.concatenate([turned(0.4), turned(1.3), turned(2.2)])
    together = crops(frames, matrices, 48)
    alone = [
        crops([frame], matrix[None], 48) for frame, matrix in zip(frames, matrices, strict=True)
    ]
    assert torch.equal(together, torch.cat(alone))
    assert crops([], np.zeros((0, 2, 3)), 48).shape == (0, 3, 48, 48)


def test_planes_are_seen_where_they_lie():
    picture = noise("yuv420p10le")
    frame = FrameTensor.of(picture)
    assert [plane.dtype for plane in frame.planes] == [torch.uint16] * 3
    for plane, view in zip(frame.planes, plane_views(picture), strict=True):
        assert plane.data_ptr() == view.ctypes.data


def test_crops_of_ten_bits_are_finer_than_eight():
    picture = noise("gray10le", full=True)
    plane_views(picture)[0][:] = 513
    assert crops([FrameTensor.of(picture)], turned(2.0), 48)[0, 0, 9, 9] == pytest.approx(
        513 / 1023
    )


@pytest.mark.shared
@pytest.mark.parametrize(
    "film",
    ["film/tears_of_steel_720p.mp4", "film/tears_of_steel_360p.mp4", "tapes/tsduck__test-206.1.ts"],
)
def test_real_film_is_cut_as_out_of_whole_pictures(shared, film):
    with VideoReader(shared / "data" / film) as reader:
        frame = next(frame for frame in reader if frame.index == 20)
    whole, planes = rgb(frame), FrameTensor.of(frame.picture)
    middle = (frame.picture.width / 2, frame.picture.height / 3)
    for side, size in ((128, 64), (256, 150), (512, 64), (128, 200)):
        matrix = turned(side / (2.5 * size), 0.1, middle, side)
        wanted = sampling.crops(whole, matrix, side).astype(np.float32)
        assert np.abs(arrays(crops([planes], matrix, side)) * 255 - wanted).mean() < 0.6


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("bits", "dtype"), [(8, torch.uint8), (10, torch.uint16)])
def test_nothing_is_waited_for_on_a_gpu(interlaced, bits, dtype):
    with FakeTensorMode():
        coding = Coding(False, 3, bits, False, 0.2126, 0.0722, 2, 2)
        planes = [torch.zeros(1, *size, dtype=dtype) for size in ((720, 1280), *[(360, 640)] * 2)]
        frame = FrameTensor(tuple(planes), coding, interlaced).to(torch.device("cuda"))
        matrices = np.concatenate([turned(0.3), turned(2.5)])
        cut = crops([frame, frame], matrices, 128)
        assert (cut.device.type, cut.shape) == ("cuda", (2, 3, 128, 128))
        again = crops([FrameTensor.of_rgb(one) for one in cut], matrices, 112)
        assert again.device.type == "cuda"
